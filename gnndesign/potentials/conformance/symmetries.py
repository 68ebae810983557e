"""Promises about symmetry: numbering, place, direction and handedness of a structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.conformance.copies import transformed
from gnndesign.potentials.conformance.tolerance import (
    TOLERANCE,
    Structures,
    require,
    same,
)


def check_permutation(potential: Potential, structures: Structures) -> None:
    """The order of the atoms has no meaning."""
    rng = np.random.default_rng(1)
    orders = [rng.permutation(len(atoms)) for atoms in structures]
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
    same(potential, structures, shuffled, expected, "atoms in another order")


def check_translation(potential: Potential, structures: Structures) -> None:
    """Moving everything, and folding atoms back into the cell, changes nothing."""
    moved = [atoms.copy() for atoms in structures]
    for atoms in moved:
        atoms.translate([1.234, -5.678, 3.21])
        atoms.wrap()
    same(
        potential,
        structures,
        potential.compute(moved),
        potential.compute(list(structures)),
        "structures moved and wrapped",
    )


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
    if potential.dtype is not torch.float64:
        return  # The lack may be smaller than rounding.
    lacking = not torch.allclose(
        got.energy, expected.energy, rtol=0.0, atol=TOLERANCE[torch.float64].energy
    )
    require(
        potential,
        f"structures {how} differ, as declared; now that they do not, declare it",
        kept=lacking,
    )
