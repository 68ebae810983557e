"""The Wulff shape: the crystal of given volume with the lowest surface energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from jaxtyping import Float, Int

from gnndesign.structures.symmetry import quiet_pymatgen
from gnndesign.units import EV_PER_A2_TO_J_PER_M2

_Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WulffShape:
    """A polyhedron; its faces are as far from the center as their surface energy.

    Attributes:
        area_fractions: of the shape's surface, by Miller index of one of each family.
        mean_energy: eV/Å² over the shape.
        mean_energy_J_per_m2: the same in J/m².
        shape_factor: area over volume to the power 2/3; 4.836 for a sphere.
        vertices: (n_vertices, 3), in eV/Å² along Cartesian axes.
        triangles: (n_triangles, 3) vertices of each.
        families: (n_triangles,) family of each, its place in `area_fractions`.
    """

    area_fractions: Mapping[_Index, float]
    mean_energy: float
    mean_energy_J_per_m2: float
    shape_factor: float
    vertices: Float[np.ndarray, "n_vertices 3"]
    triangles: Int[np.ndarray, "n_triangles 3"]
    families: Int[np.ndarray, " n_triangles"]


def wulff_shape(bulk: ase.Atoms, energies: Mapping[_Index, float]) -> WulffShape | None:
    """The shape, by pymatgen.

    Args:
        bulk: the conventional cell that the indices refer to.
        energies: eV/Å² by Miller index, one of each family that symmetry makes one.

    Returns:
        None where the faces do not enclose a volume.
    """
    from pymatgen.analysis.wulff import WulffShape as PymatgenShape
    from pymatgen.core import Lattice
    from scipy.spatial import QhullError

    if not energies or min(energies.values()) <= 0:
        return None
    # pymatgen's tolerance is absolute, so that the largest energy is made 1.
    scale = max(energies.values())
    heights = [energy / scale for energy in energies.values()]
    try:
        with quiet_pymatgen():
            shape = PymatgenShape(Lattice(bulk.cell.array), list(energies), heights)
    except (QhullError, np.linalg.LinAlgError, ValueError):
        return None
    vertices = np.array(shape.wulff_pt_list, dtype=float)
    triangles = np.array(shape.wulff_cv_simp, dtype=int)
    # Directions that do not close leave corners at infinity.
    if np.abs(vertices).max() > 1e3:
        return None
    areas = np.array(shape.color_area, dtype=float)
    total = float(areas.sum())
    fractions = dict(zip(energies, (areas / total).tolist(), strict=True))
    mean = scale * float(shape.weighted_surface_energy)
    return WulffShape(
        area_fractions=fractions,
        mean_energy=mean,
        mean_energy_J_per_m2=mean * EV_PER_A2_TO_J_PER_M2,
        shape_factor=float(shape.shape_factor),
        vertices=scale * vertices,
        triangles=triangles,
        families=_families(shape, vertices, triangles),
    )


def _families(
    shape: Any,
    vertices: Float[np.ndarray, "n_vertices 3"],
    triangles: Int[np.ndarray, "n_triangles 3"],
) -> Int[np.ndarray, " n_triangles"]:
    """(n_triangles,) place of the family whose face a triangle lies in."""
    normals = np.array([facet.normal for facet in shape.facets])
    heights = np.array([facet.e_surf for facet in shape.facets])
    family = np.array([facet.index for facet in shape.facets])
    # A point of a face is as far along its normal as the face is high.
    gaps = np.abs(vertices @ normals.T - heights)[triangles].max(axis=1)
    return family[gaps.argmin(axis=1)]
