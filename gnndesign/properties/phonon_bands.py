"""Phonon bands along the standard path, density of states, thermal properties.

Special points and path: W. Setyawan and S. Curtarolo, Comput. Mater. Sci. 49, 299
(2010), as ASE has them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ase
import numpy as np
from ase.dft.kpoints import parse_path_string
from jaxtyping import Float, Int

from gnndesign.errors import StructureError
from gnndesign.units import EV_TO_J_PER_MOL


@dataclass(frozen=True, slots=True, kw_only=True)
class PhononBands:
    """Frequencies along a path through the Brillouin zone.

    Attributes:
        q_points: (n_q, 3) in reciprocal primitive vectors.
        distances: (n_q,) 1/Å along the path, without the factor 2π.
        frequencies_THz: (n_q, n_bands), ascending; negative for imaginary ones.
        segment_starts: first q-point of every straight piece. A piece begins with the
            point where the one before ended, or jumps to another.
        ticks: distances of the special points; two in one place where the path jumps.
        labels: their names, "G" for the zone's center.
    """

    q_points: Float[np.ndarray, "n_q 3"]
    distances: Float[np.ndarray, " n_q"]
    frequencies_THz: Float[np.ndarray, "n_q n_bands"]
    segment_starts: tuple[int, ...]
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    @property
    def segments(self) -> tuple[slice, ...]:
        """The q-points of every straight piece."""
        ends = (*self.segment_starts[1:], len(self.distances))
        return tuple(map(slice, self.segment_starts, ends))

    @property
    def special_points(self) -> dict[str, Float[np.ndarray, " 3"]]:
        """q-points by their labels, in the order of the path."""
        ends = [
            self.q_points[k]
            for piece in self.segments
            for k in (piece.start, piece.stop - 1)
        ]
        # Where two pieces meet there is one label.
        corners = ends[:1] + [q for p, q in pairwise(ends) if not np.allclose(p, q)]
        return dict(zip(self.labels, corners, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhononDensityOfStates:
    """Number of modes of the primitive cell an interval of frequency.

    Attributes:
        frequencies_THz: (n,) ascending, negative for imaginary ones.
        density_per_THz: (n,); its integral is the number of bands.
    """

    frequencies_THz: Float[np.ndarray, " n"]
    density_per_THz: Float[np.ndarray, " n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmonicThermodynamics:
    """Thermal properties of harmonic phonons at constant volume.

    With n = 1 / (exp(hν / kT) - 1), sums over the modes and means over the q-points:

        F = Σ hν / 2 + kT ln(1 - exp(-hν / kT)),  S = -∂F/∂T,  C_V = T ∂S/∂T

    M. Born and K. Huang, Dynamical Theory of Crystal Lattices (Oxford, 1954). Of a mole
    of primitive cells; divided by `n_atoms`, of a mole of atoms. Imaginary modes and the
    three acoustic ones at q = 0 are left out.

    Attributes:
        temperatures_K: (n,).
        free_energy: (n,) vibrational Helmholtz energy, eV a primitive cell.
        entropy_J_per_mol_K: (n,) of a mole of primitive cells.
        heat_capacity_J_per_mol_K: (n,) C_V of a mole of primitive cells.
        zero_point_energy: eV a primitive cell.
        n_atoms: of the primitive cell.
    """

    temperatures_K: Float[np.ndarray, " n"]
    free_energy: Float[np.ndarray, " n"]
    entropy_J_per_mol_K: Float[np.ndarray, " n"]
    heat_capacity_J_per_mol_K: Float[np.ndarray, " n"]
    zero_point_energy: float
    n_atoms: int

    @property
    def free_energy_per_atom(self) -> Float[np.ndarray, " n"]:
        """(n,) eV."""
        return self.free_energy / self.n_atoms

    @property
    def entropy_per_atom_J_per_mol_K(self) -> Float[np.ndarray, " n"]:
        """(n,) of a mole of atoms."""
        return self.entropy_J_per_mol_K / self.n_atoms

    @property
    def heat_capacity_per_atom_J_per_mol_K(self) -> Float[np.ndarray, " n"]:
        """(n,) C_V of a mole of atoms; 3 R = 24.94 where it is hot."""
        return self.heat_capacity_J_per_mol_K / self.n_atoms

    def at(self, curve: Float[np.ndarray, " n"], temperature_K: float) -> float:
        """A curve at a temperature, between those computed; NaN beyond them."""
        found = np.interp(
            temperature_K, self.temperatures_K, curve, left=np.nan, right=np.nan
        )
        return float(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhononMesh:
    """Frequencies on a mesh of q-points, the inequivalent ones.

    Attributes:
        q_points: (n_q, 3) in reciprocal primitive vectors.
        weights: (n_q,) number of equivalent points of the whole mesh.
        frequencies_THz: (n_q, n_bands) ascending.
    """

    q_points: Float[np.ndarray, "n_q 3"]
    weights: Int[np.ndarray, " n_q"]
    frequencies_THz: Float[np.ndarray, "n_q n_bands"]


def band_structure(phonon: Any, primitive: ase.Atoms, n_points: int) -> PhononBands:
    """Bands along the standard path.

    Args:
        phonon: a `phonopy.Phonopy` with force constants.
        primitive: its primitive cell.
        n_points: about as many in all; at least five a piece.

    Raises:
        StructureError: no standard path is known for the lattice.
    """
    try:
        path = primitive.cell.bandpath(npoints=0, eps=1e-3)
    except (RuntimeError, ValueError) as error:
        raise StructureError(
            f"No standard path for the lattice of "
            f"{primitive.get_chemical_formula('metal')}: {error}. Wanted a right-handed "
            "cell in three dimensions; take its primitive cell."
        ) from error
    reciprocal = np.linalg.inv(primitive.cell.array).T
    pieces = [
        (start, end)
        for names in parse_path_string(path.path)
        for start, end in pairwise(names)
    ]
    corners = [[np.array(path.special_points[n]) for n in piece] for piece in pieces]
    lengths = [float(np.linalg.norm((b - a) @ reciprocal)) for a, b in corners]
    counts = [max(5, round(n_points * x / sum(lengths))) for x in lengths]
    q_points = [np.linspace(a, b, n) for (a, b), n in zip(corners, counts, strict=True)]
    starts = np.cumsum([0.0, *lengths])
    distances = [
        np.linspace(start, start + length, n)
        for start, length, n in zip(starts[:-1], lengths, counts, strict=True)
    ]
    ticks, labels = _ticks(pieces, starts.tolist())
    found = phonon.run_qpoints(np.concatenate(q_points))
    return PhononBands(
        q_points=np.concatenate(q_points),
        distances=np.concatenate(distances),
        frequencies_THz=np.array(found.frequencies),
        segment_starts=tuple(np.cumsum([0, *counts[:-1]]).tolist()),
        ticks=ticks,
        labels=labels,
    )


def _ticks(
    pieces: list[tuple[str, str]], starts: list[float]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    found = [(starts[0], pieces[0][0])]
    for place, (_, end) in enumerate(pieces):
        found.append((starts[place + 1], end))
        if place + 1 < len(pieces) and pieces[place + 1][0] != end:
            found.append((starts[place + 1], pieces[place + 1][0]))
    return tuple(x for x, _ in found), tuple(name for _, name in found)


def sample_mesh(phonon: Any, mesh_length: float) -> PhononMesh:
    """Sample the Brillouin zone; the mesh stays in `phonon` for what needs it.

    Args:
        phonon: a `phonopy.Phonopy` with force constants.
        mesh_length: Å; along a reciprocal vector b are `mesh_length` |b| points.
    """
    from phonopy.phonon.mesh import (
        MeshGRGridFallbackWarning,
        MeshSymmetryFallbackWarning,
    )

    with warnings.catch_warnings():
        # It says that it took a better mesh than a plain one.
        warnings.simplefilter("ignore", MeshGRGridFallbackWarning)
        warnings.simplefilter("ignore", MeshSymmetryFallbackWarning)
        mesh = phonon.run_mesh(float(mesh_length))
    return PhononMesh(
        q_points=np.array(mesh.qpoints),
        weights=np.array(mesh.weights, dtype=np.int64),
        frequencies_THz=np.array(mesh.frequencies),
    )


def density_of_states(phonon: Any) -> PhononDensityOfStates:
    """By the tetrahedron method, on the mesh that was sampled last."""
    found = phonon.run_total_dos()
    return PhononDensityOfStates(
        frequencies_THz=np.array(found.frequency_points),
        density_per_THz=np.array(found.dos),
    )


def thermodynamics(
    phonon: Any, temperatures_K: Float[np.ndarray, " n"]
) -> HarmonicThermodynamics:
    """Thermal properties on the mesh that was sampled last."""
    found = phonon.run_thermal_properties(
        temperatures=temperatures_K, exclude_gamma_acoustic=True
    )
    zero = phonon.run_thermal_properties(
        temperatures=np.array([0.0]), exclude_gamma_acoustic=True
    )
    kilo = 1e3 / EV_TO_J_PER_MOL
    return HarmonicThermodynamics(
        temperatures_K=np.array(temperatures_K, dtype=float),
        free_energy=np.array(found.free_energy) * kilo,
        entropy_J_per_mol_K=np.array(found.entropy),
        heat_capacity_J_per_mol_K=np.array(found.heat_capacity),
        zero_point_energy=float(zero.free_energy[0]) * kilo,
        n_atoms=len(phonon.primitive),
    )
