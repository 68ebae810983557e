"""Promises about symmetry: numbering, place, direction, handedness, size."""

from __future__ import annotations

from dataclasses import replace

import ase
import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.conformance.copies import free_copy, transformed
from gnndesign.potentials.conformance.tolerance import (
    TOLERANCE,
    Structures,
    lacking,
    same,
    same_energy,
)

_OUT_OF_REACH = 40.0
"""Å, between molecules, for a potential that does not say how far it sees."""


def check_permutation(potential: Potential, structures: Structures) -> None:
    """The order of the atoms has no meaning.

    Where it has one, by declaration, atoms change places with those of their element.
    """
    invariant = potential.is_permutation_invariant
    rng = np.random.default_rng(1)
    orders = [_shuffled(atoms, rng, by_element=not invariant) for atoms in structures]
    shuffled = potential.compute(
        [atoms[order] for atoms, order in zip(structures, orders, strict=True)]
    )
    original = potential.compute(list(structures))
    starts = np.cumsum([0, *(len(order) for order in orders[:-1])])
    places = torch.as_tensor(
        np.concatenate([o + s for o, s in zip(orders, starts, strict=True)]),
        device=original.forces.device,
    )

    def reordered(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[places]

    expected = Prediction(
        energy=original.energy,
        atomic_energies=reordered(original.atomic_energies),
        forces=original.forces[places],
        stress=original.stress,
        magnetic_moments_muB=reordered(original.magnetic_moments_muB),
    )
    if not invariant:
        what = "energies of atoms in another order"
        _other_energy(potential, what, shuffled, expected)
        return
    same(potential, structures, shuffled, expected, "atoms in another order")


def check_translation(potential: Potential, structures: Structures) -> None:
    """Moving everything, and folding atoms back into the cell, changes nothing."""
    moved = [atoms.copy() for atoms in structures]
    for atoms in moved:
        atoms.translate([1.234, -5.678, 3.21])
        atoms.wrap()
    got, expected = potential.compute(moved), potential.compute(list(structures))
    if not potential.is_translation_invariant:
        what = "energies of structures elsewhere"
        _other_energy(potential, what, got, expected)
        return
    same(potential, structures, got, expected, "structures moved and wrapped")


def check_rotation(potential: Potential, structures: Structures) -> None:
    """Turning a structure turns its forces and stress and keeps its energy."""
    turn = Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    _check_orthogonal(
        potential, structures, turn, "turned", declared=potential.is_equivariant
    )


def check_inversion(potential: Potential, structures: Structures) -> None:
    """A structure and its mirror image differ by signs alone."""
    _check_orthogonal(
        potential,
        structures,
        -np.eye(3),
        "mirrored",
        declared=potential.is_equivariant and potential.is_mirror_symmetric,
    )


def _check_orthogonal(
    potential: Potential,
    structures: Structures,
    matrix: np.ndarray,
    how: str,
    *,
    declared: bool,
) -> None:
    turned = [transformed(atoms, matrix.T) for atoms in structures]
    original = potential.compute(list(structures))
    q = torch.as_tensor(
        matrix, dtype=original.forces.dtype, device=original.forces.device
    )
    expected = replace(
        original,
        forces=original.forces @ q.mT,
        stress=q @ original.stress @ q.mT,
    )
    got = potential.compute(turned)
    if declared:
        same(potential, structures, got, expected, f"structures {how}")
        return
    _other_energy(potential, f"energies of structures {how}", got, expected)


def check_extensivity(potential: Potential, structures: Structures) -> None:
    """Twice a structure has twice its energy: a supercell, or two out of reach.

    A potential that is not extensive, by declaration, refuses twice a structure or has
    another energy for it.
    """
    doubles = [_twice(potential, atoms) for atoms in structures]
    found = potential.compute(list(structures))
    expected = replace(found, energy=2.0 * found.energy)
    if potential.is_extensive:
        got = potential.compute(doubles).energy
        same_energy(potential, doubles, got, expected.energy, "of twice a structure")
        return
    try:
        got = potential.compute(doubles)
    except StructureError:
        return
    _other_energy(potential, "energies of twice a structure", got, expected)


def _other_energy(
    potential: Potential, what: str, got: Prediction, expected: Prediction
) -> None:
    limit = TOLERANCE[torch.float64].energy
    lacking(potential, what, got.energy, expected.energy, limit)


def _twice(potential: Potential, atoms: ase.Atoms) -> ase.Atoms:
    copy = free_copy(atoms)
    if atoms.pbc.any():
        return copy.repeat(np.where(np.arange(3) == np.argmax(atoms.pbc), 2, 1))
    other = copy.copy()
    away = np.ptp(atoms.positions[:, 0]) + (potential.cutoff or _OUT_OF_REACH)
    other.positions[:, 0] += 2.0 * away
    return copy + other


def _shuffled(
    atoms: ase.Atoms, rng: np.random.Generator, *, by_element: bool
) -> np.ndarray:
    if not by_element:
        return rng.permutation(len(atoms))
    order = np.arange(len(atoms))
    for number in np.unique(atoms.numbers):
        places = np.flatnonzero(atoms.numbers == number)
        order[places] = np.roll(places, 1)
    return order
