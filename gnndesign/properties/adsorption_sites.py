"""Where a molecule can come down on a slab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from ase.constraints import FixAtoms
from jaxtyping import Float

from gnndesign.errors import StructureError
from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.symmetry import quiet_pymatgen

_LEAST_VACUUM = 6.0
"""Å."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BareSite:
    """A site of a face.

    Attributes:
        name: its kind and a number: "hollow 2".
        position: (3,) Å, in the plane of the atoms that make it.
    """

    name: str
    position: Float[np.ndarray, " 3"]


def surface_normal(slab: ase.Atoms) -> Float[np.ndarray, " 3"]:
    """(3,) unit vector out of the upper face, which the first two cell vectors span.

    Raises:
        StructureError: no slab with room above it.
    """
    if bool(slab.pbc[:2].all()) and slab.cell.rank == 3:
        a, b, c = slab.cell.array
        normal = np.cross(a, b)
        normal *= np.sign(c @ normal) / np.linalg.norm(normal)
        if not slab.pbc[2]:
            return normal
        height = float(c @ normal)
        levels = np.sort(slab.positions @ normal % height)
        gaps = np.diff(np.append(levels, levels[0] + height))
        if gaps.max() >= _LEAST_VACUUM:
            return normal
    raise StructureError(
        f"{slab.get_chemical_formula('metal')} is no slab: wanted one that is periodic "
        "along its first two cell vectors, and along the third not or with at least "
        f"{_LEAST_VACUUM} Å of vacuum."
    )


def refuse_divided(slab: ase.Atoms) -> None:
    """Say no to a slab that reaches through the top of its cell.

    Raises:
        StructureError: its upper face is not that of its highest atoms.
    """
    normal = surface_normal(slab)
    room = float(slab.cell.array[2] @ normal) - float(np.ptp(slab.positions @ normal))
    if slab.pbc[2] and room < _LEAST_VACUUM:
        raise StructureError(
            f"The vacuum of {slab.get_chemical_formula('metal')} is not above its "
            f"highest atoms, where only {room:.1f} Å are left. Move the slab so that it "
            "is whole."
        )


def adsorption_sites(slab: ase.Atoms, kinds: Sequence[str]) -> list[BareSite]:
    """Sites of the upper face that symmetry does not turn into each other.

    Args:
        slab: see `surface_normal`.
        kinds: "ontop", "bridge", "hollow".

    Raises:
        StructureError: none is found.
    """
    from pymatgen.analysis.adsorption import AdsorbateSiteFinder

    normal = surface_normal(slab)
    bare = ase.Atoms(slab.numbers, slab.positions, cell=slab.cell, pbc=True)
    structure: Any = to_pymatgen(bare)
    with quiet_pymatgen():
        finder = AdsorbateSiteFinder(structure, mi_vec=normal.tolist())
        found = finder.find_adsorption_sites(distance=0.0, put_inside=True)["all"]
    # The fourfold hollow of a square is the bridge over its diagonal to pymatgen, so
    # that the name is given by the atoms around.
    sites: list[BareSite] = []
    counts = dict.fromkeys(kinds, 0)
    for position in np.asarray(found, dtype=float):
        kind = _kind(bare, position)
        if kind in counts:
            counts[kind] += 1
            sites.append(BareSite(name=f"{kind} {counts[kind]}", position=position))
    if not sites:
        raise StructureError(
            f"No site of {', '.join(kinds)} is found on "
            f"{slab.get_chemical_formula('metal')}. Try other kinds of sites."
        )
    return sites


def _kind(slab: ase.Atoms, position: Float[np.ndarray, " 3"]) -> str:
    """By the number of atoms that are nearest."""
    from ase.geometry import get_distances
    from ase.neighborlist import primitive_neighbor_list

    _, distances = get_distances(
        [position], slab.positions, cell=slab.cell, pbc=slab.pbc
    )
    reach = 1.1 * float(distances.min()) + 0.1
    # Periodic images count each.
    points = np.vstack([slab.positions, position])
    centers, neighbors = primitive_neighbor_list(
        "ij", slab.pbc, slab.cell, points, reach
    )
    n = int(((centers == len(slab)) & (neighbors < len(slab))).sum())
    return {1: "ontop", 2: "bridge"}.get(n, "hollow")


def put_on(
    slab: ase.Atoms, molecule: ase.Atoms, site: BareSite, distance: float
) -> ase.Atoms:
    """The slab with a molecule, whose lowest atom is above the site.

    Args:
        slab: its constraints are kept.
        molecule: its z axis goes along the surface normal.
        site: of a cell of the slab.
        distance: Å.
    """
    normal = surface_normal(slab)
    first = slab.cell.array[0] / np.linalg.norm(slab.cell.array[0])
    axes = np.array([first, np.cross(normal, first), normal])
    lowest = int(molecule.positions[:, 2].argmin())
    relative = (molecule.positions - molecule.positions[lowest]) @ axes
    adsorbate = ase.Atoms(
        molecule.numbers, site.position + distance * normal + relative
    )
    atoms = slab.copy()
    constraints = [c for c in atoms.constraints if not isinstance(c, FixAtoms)]
    fixed = [c.index for c in atoms.constraints if isinstance(c, FixAtoms)]
    atoms.constraints = []
    atoms += adsorbate
    if fixed:
        constraints.append(FixAtoms(np.concatenate(fixed)))
    atoms.constraints = constraints
    return atoms


def is_intact(adsorbed: ase.Atoms, molecule: ase.Atoms) -> bool:
    """Whether a molecule has the bonds it had, by covalent radii and a quarter more."""
    return bool((_bonds(adsorbed) == _bonds(molecule)).all())


def _bonds(atoms: ase.Atoms) -> np.ndarray:
    """(n_atoms, n_atoms) whether bonded."""
    from ase.data import covalent_radii

    radii = covalent_radii[atoms.numbers]
    periodic = bool(atoms.pbc.any())
    distances = atoms.get_all_distances(mic=periodic)
    return distances < 1.25 * (radii[:, None] + radii)
