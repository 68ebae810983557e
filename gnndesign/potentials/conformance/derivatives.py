"""Promises about slopes: forces and stress are those of an energy without steps."""

from __future__ import annotations

import ase
import numpy as np
from ase.data import chemical_symbols, covalent_radii
from scipy.linalg import expm

from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.conformance.copies import free_copy, transformed
from gnndesign.potentials.conformance.tolerance import (
    TOLERANCE,
    Structures,
    close,
    lacking,
)

_PLACES = np.linspace(-1.0, 1.0, 11)
"""Where on a short path energies and forces are asked for, in steps."""

_WEIGHTS = np.array([1, 4, 2, 4, 2, 4, 2, 4, 2, 4, 1]) / 15.0
"""Simpson's rule on these places."""


LARGEST_JUMP = 1e-3
"""eV; no energy may change by more than this without a force that accounts for it."""


def check_forces_are_the_gradient(potential: Potential, structures: Structures) -> None:
    """Forces are minus the central difference of the energy.

    Forces are averaged over the path of the difference (Simpson's rule), so that the
    check holds to the same accuracy where the energy surface is rough.
    """
    tolerance = TOLERANCE[potential.dtype]
    rng = np.random.default_rng(2)
    for atoms in structures:
        for direction in rng.normal(size=(2, len(atoms), 3)):
            path: list[ase.Atoms] = []
            for place in _PLACES:
                copy = free_copy(atoms)
                copy.positions += place * tolerance.step * direction
                path.append(copy)
            energy, forces, _ = _host(potential.compute(path))
            forces = forces.reshape(len(path), *direction.shape)
            pull = -_WEIGHTS @ np.einsum("ni,kni->k", direction, forces) / 2.0
            slope = (energy[-1] - energy[0]) / (2.0 * tolerance.step)
            what = f"forces of {atoms.symbols} and minus the slope of the energy"
            _same_slope(potential, atoms, what, pull, slope)


def check_stress_is_the_strain_derivative(
    potential: Potential, structures: Structures
) -> None:
    """Stress times volume is the central difference of the energy by strain."""
    tolerance = TOLERANCE[potential.dtype]
    rng = np.random.default_rng(3)
    for atoms in structures:
        if not atoms.pbc.all():
            continue
        for strain in rng.normal(size=(3, 3, 3)) * 0.3:
            strain = 0.5 * (strain + strain.T)  # noqa: PLW2901 - its symmetric part
            path: list[ase.Atoms] = []
            for place in _PLACES:
                # exp commutes with its generator: along this path dE is V σ : dε.
                deformation = expm(place * tolerance.step * strain)
                path.append(transformed(atoms, deformation))
            energy, _, stress = _host(potential.compute(path))
            volume = np.array([copy.cell.volume for copy in path])
            virial = _WEIGHTS @ (volume * np.einsum("ij,kij->k", strain, stress)) / 2.0
            slope = (energy[-1] - energy[0]) / (2.0 * tolerance.step)
            what = f"stress of {atoms.symbols} and the slope of the energy"
            _same_slope(potential, atoms, what, virial, slope)


def check_smooth(potential: Potential, structures: Structures) -> None:
    """Two dimers pulled apart: energy is the integral of force, also at the cutoff.

    The pair that faces each other goes through the whole range and beyond the cutoff;
    every change of the energy must be accounted for by the force on the way. Where
    forces are no gradient, by declaration, they and the energy must have no step at
    the cutoff. A potential that is not extensive knows no dimers.
    """
    if not potential.is_extensive:
        return
    number = int(structures[0].numbers[0])
    reach = potential.card.cutoff or 8.0
    distances = np.linspace(0.6 * reach, reach + 0.3, 81)
    energy, pull = _pulled_apart(potential, number, distances)
    third = (distances[1] - distances[0]) / 3.0
    work = third * (pull[:-2:2] + 4.0 * pull[1:-1:2] + pull[2::2])
    if potential.is_conservative:
        close(
            potential,
            f"the energy of two {chemical_symbols[number]} dimers has no step",
            np.diff(energy[::2]),
            -work,
            LARGEST_JUMP,
        )
    if potential.card.cutoff is None:
        return
    tolerance = TOLERANCE[potential.dtype]
    sides = reach + tolerance.across * np.array([-1.0, 1.0])
    energy, pull = _pulled_apart(potential, number, sides)
    close(
        potential,
        f"the energy is continuous at the cutoff of {reach} Å",
        energy[:1],
        energy[1:],
        4 * tolerance.energy,
    )
    close(
        potential,
        f"the force is continuous at the cutoff of {reach} Å",
        pull[:1],
        pull[1:],
        tolerance.forces,
    )


def _same_slope(
    potential: Potential, atoms: ase.Atoms, what: str, got: float, wanted: float
) -> None:
    """By atom; where forces and stress are declared to be no gradient, another."""
    got, wanted = got / len(atoms), wanted / len(atoms)
    limit = TOLERANCE[potential.dtype].gradient
    if not potential.is_conservative:
        lacking(potential, what, got, wanted, limit)
        return
    close(potential, f"{what}, an atom", got, wanted, limit)


def _host(prediction: Prediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        prediction.energy.cpu().double().numpy(),
        prediction.forces.cpu().double().numpy(),
        prediction.stress.cpu().double().numpy(),
    )


def _pulled_apart(
    potential: Potential, number: int, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) eV, (n,) eV/Å: energies, and forces that push the dimers apart."""
    bond = 2.2 * covalent_radii[number]
    pairs = [
        ase.Atoms([number] * 4, positions=[[x, 0, 0] for x in (-bond, 0, d, d + bond)])
        for d in distances
    ]
    prediction = potential.compute(pairs)
    energy, forces, _ = _host(prediction)
    return energy, forces.reshape(-1, 4, 3)[:, 2:, 0].sum(1)
