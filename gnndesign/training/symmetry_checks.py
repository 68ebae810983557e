"""Measurements of symmetry: each gives numbers, or a sentence why it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement

import ase
import numpy as np
import torch
from ase.data import covalent_radii

from gnndesign.potentials.conformance.copies import transformed
from gnndesign.training.audit_subject import Subject
from gnndesign.training.rotations import random_rotations
from gnndesign.training.worst_rotation import worst_rotation

_MOST_PAIRS = 6
"""Pairs of elements that are pulled apart."""

_FAR = 50.0
"""Å between copies where a potential does not say how far it reaches."""


def permutation(subject: Subject) -> tuple[float, float]:
    """Energy and forces after reordering the atoms."""
    found: list[tuple[float, float]] = []
    for _ in range(subject.settings.n_random):
        orders = [subject.rng.permutation(len(atoms)) for atoms in subject.structures]
        found.append(
            subject.compare(
                lambda k, atoms, orders=orders: atoms[orders[k]],
                lambda k, forces, orders=orders: forces[orders[k]],
            )
        )
    return _worst(found)


def translation(subject: Subject) -> tuple[float, float]:
    """Energy and forces after moving, and after wrapping atoms into the cell."""
    found: list[tuple[float, float]] = []
    for _ in range(subject.settings.n_random):
        shift = subject.rng.uniform(-5.0, 5.0, size=3)

        def moved(_: int, atoms: ase.Atoms, shift: np.ndarray = shift) -> ase.Atoms:
            copy = atoms.copy()
            copy.positions += shift
            copy.wrap()
            return copy

        found.append(subject.compare(moved, lambda _, forces: forces))
    return _worst(found)


def rotation(subject: Subject) -> tuple[float, float]:
    """Energy and forces under random rotations."""
    generator = torch.Generator().manual_seed(subject.seed)
    matrices = random_rotations(subject.settings.n_random, generator).numpy()
    return _worst([_under(subject, matrix) for matrix in matrices])


def worst_of_rotations(subject: Subject) -> tuple[float, float]:
    """Energy and forces under the rotations that change them most."""
    settings = subject.settings
    found = worst_rotation(
        subject.potential,
        subject.structures,
        steps=settings.ascent_steps,
        starts=settings.ascent_starts,
        seed=subject.seed,
    )
    return float(found.energy_violation.max()), float(found.force_violation.max())


def inversion(subject: Subject) -> tuple[float, float]:
    """Energy and forces of the mirror image."""
    return _under(subject, -np.eye(3))


def extensivity(subject: Subject) -> tuple[float]:
    """Energy of two copies less twice that of one, an atom.

    Copies lie side by side in a cell of twice the length, or out of reach.
    """
    reach = subject.potential.card.cutoff or _FAR
    doubled = [_doubled(atoms, reach) for atoms in subject.structures]
    energy, _ = subject.predict(doubled)
    sizes = np.array([len(atoms) for atoms in doubled])
    return (float((np.abs(energy - 2.0 * subject.energy) / sizes).max()),)


def smoothness(subject: Subject) -> tuple[float, float] | str:
    """Jump of energy (an atom) and force where two dimers part at the cutoff."""
    reach = subject.potential.card.cutoff
    if reach is None:
        return "The potential does not say at which distance it cuts off."
    numbers = sorted(
        {n for atoms in subject.structures for n in atoms.numbers.tolist()}
    )
    found: list[tuple[float, float]] = []
    for pair in list(combinations_with_replacement(numbers, 2))[:_MOST_PAIRS]:
        sides = [
            _two_dimers(pair, reach + side * subject.tolerance.across)
            for side in (-1.0, 1.0)
        ]
        energy, forces = subject.predict(sides)
        jump = np.linalg.norm(forces[1] - forces[0], axis=1).max()
        found.append((float(abs(energy[1] - energy[0])) / 4.0, float(jump)))
    return _worst(found)


def _under(subject: Subject, matrix: np.ndarray) -> tuple[float, float]:
    return subject.compare(
        lambda _, atoms: transformed(atoms, matrix.T),
        lambda _, forces: forces @ matrix.T,
    )


def _doubled(atoms: ase.Atoms, reach: float) -> ase.Atoms:
    if atoms.pbc.any():
        axis = int(np.flatnonzero(atoms.pbc)[0])
        times = [1, 1, 1]
        times[axis] = 2
        return atoms.repeat(times)
    copy = atoms.copy()
    copy.positions[:, 0] += np.ptp(atoms.positions[:, 0]) + reach + 1.0
    return atoms + copy


def _two_dimers(pair: tuple[int, int], distance: float) -> ase.Atoms:
    one, other = pair
    bonds = [2.2 * float(covalent_radii[number]) for number in pair]
    places = [-bonds[0], 0.0, distance, distance + bonds[1]]
    return ase.Atoms(
        [one, one, other, other], positions=[[place, 0.0, 0.0] for place in places]
    )


def _worst(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    energy, forces = np.max(np.array(found), axis=0).tolist()
    return energy, forces


Measurement = Callable[[Subject], tuple[float, ...] | str]
