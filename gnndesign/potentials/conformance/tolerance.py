"""How near two predictions must be to count as the same, and saying where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import ase
import numpy as np
import torch
from torch import Tensor

from gnndesign.potentials.base import Potential, Prediction

Structures: TypeAlias = Sequence[ase.Atoms]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far two numbers that should be equal may lie apart.

    Attributes:
        energy: eV an atom.
        forces: eV/Å.
        stress: eV/Å³.
        magnetic_moments_muB: µB.
        step: half the length, Å or strain, of the paths along which the energy is
            compared with the work of the forces.
        gradient: eV/Å (of strain: eV), an atom: the energy difference along such a
            path, less the work, by the length of the path.
        across: Å, how near to the cutoff a pair is put on either side of it.
    """

    energy: float
    forces: float
    stress: float
    magnetic_moments_muB: float
    step: float
    gradient: float
    across: float


TOLERANCE: dict[torch.dtype, Tolerance] = {
    # Couplings and weights that were rounded to float32 before being raised leave
    # rotations exact to 1e-9 only.
    torch.float64: Tolerance(
        energy=1e-8,
        forces=1e-7,
        stress=1e-8,
        magnetic_moments_muB=1e-7,
        step=1e-3,
        gradient=1e-7,
        across=1e-9,
    ),
    torch.float32: Tolerance(
        energy=3e-6,
        forces=2e-4,
        stress=5e-6,
        magnetic_moments_muB=2e-4,
        step=2e-2,
        gradient=5e-3,
        across=1e-6,
    ),
}
"""By the floating type that a potential computes in."""


def same(
    potential: Potential,
    structures: Structures,
    got: Prediction,
    expected: Prediction,
    what: str,
) -> None:
    """Raise AssertionError unless two predictions agree within the tolerance."""
    tolerance = TOLERANCE[potential.dtype]
    same_energy(potential, structures, got.energy, expected.energy, what)
    close(potential, f"forces, {what}", got.forces, expected.forces, tolerance.forces)
    close(potential, f"stress, {what}", got.stress, expected.stress, tolerance.stress)
    if got.atomic_energies is not None and expected.atomic_energies is not None:
        close(
            potential,
            f"energy of an atom, {what}",
            got.atomic_energies,
            expected.atomic_energies,
            10 * tolerance.energy,
        )
    if (
        got.magnetic_moments_muB is not None
        and expected.magnetic_moments_muB is not None
    ):
        close(
            potential,
            f"magnetic moment, {what}",
            got.magnetic_moments_muB,
            expected.magnetic_moments_muB,
            tolerance.magnetic_moments_muB,
        )


def same_energy(
    potential: Potential,
    structures: Structures,
    got: Tensor,
    expected: Tensor,
    what: str,
) -> None:
    """Raise AssertionError unless two energies an atom agree within the tolerance."""
    sizes = torch.tensor([len(atoms) for atoms in structures], device=got.device)
    limit = TOLERANCE[potential.dtype].energy
    close(potential, f"energy an atom, {what}", got / sizes, expected / sizes, limit)


def close(
    potential: Potential,
    what: str,
    got: float | np.ndarray | Tensor,
    expected: float | np.ndarray | Tensor,
    limit: float,
) -> None:
    """Raise AssertionError, with the worst place, where two arrays differ too much."""
    a = torch.as_tensor(got).detach().cpu().double()
    b = torch.as_tensor(expected).detach().cpu().double()
    difference = (a - b).abs()
    largest = float(difference.max()) if difference.numel() else 0.0
    if largest <= limit:  # A NaN is not.
        return
    where = tuple(np.unravel_index(int(difference.argmax()), tuple(difference.shape)))
    raise AssertionError(
        f"'{potential.card.name}': {what}: got {float(a[where]):.10g}, wanted "
        f"{float(b[where]):.10g} at {tuple(map(int, where))}; they differ by "
        f"{largest:.3g}, allowed is {limit:.3g} in {potential.dtype}."
    )


def lacking(
    potential: Potential,
    what: str,
    got: float | Tensor,
    expected: float | Tensor,
    limit: float,
) -> None:
    """Raise AssertionError where a lack is declared of which nothing is to be seen.

    Nothing is asked in float32, where a lack may be smaller than rounding.
    """
    if potential.dtype is not torch.float64:
        return
    difference = (torch.as_tensor(got) - torch.as_tensor(expected)).abs()
    require(
        potential,
        f"{what} differ, as declared; now that they do not, declare it",
        kept=float(difference.max()) > limit,
    )


def require(potential: Potential, promise: str, *, kept: bool) -> None:
    """Raise AssertionError unless the promise is kept."""
    if not kept:
        raise AssertionError(f"'{potential.card.name}' breaks a promise: {promise}.")
