"""What L-BFGS remembers, and the step that follows from it.

With moves s, changes of the gradient y, and a first inverse Hessian P scaled by γ, the
inverse Hessian of the BFGS formula is, in compact form (R. Byrd, J. Nocedal and R.
Schnabel, Math. Program. 63, 129 (1994), eq. 2.21),

    H = γ P + [S, γ P Y] [ R⁻ᵀ (D + γ Yᵀ P Y) R⁻¹   -R⁻ᵀ ] [   Sᵀ   ]
                         [ -R⁻¹                       0  ] [ γ Yᵀ P ]

R the upper triangle of Sᵀ Y and D its diagonal. It is the same H as that of the two-loop
recursion, in a tenth of the calls: all inner products of a batch are taken at once.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import per_atom, per_system, state_class
from gnndesign.simulation.coordinates import Vector

MEMORY = 20
"""Pairs that are remembered."""
LEAST_CURVATURE = 0.05
"""eV/Å², s·y / s·s of a pair that is learnt from."""


@state_class
class SecantPairs:
    """The last moves and what they did to the gradient, the latest at the end.

    A place that holds no pair yet has zeros, and 1 on the diagonal of `moves_changes`.

    Attributes:
        atoms: (n_atoms, 3, memory, 3) s, y and P y of the atoms.
        cell: (n_systems, 3, memory, 6) those of the cell.
        moves_changes: (n_systems, memory, memory) R.
        changes_changes: (n_systems, memory, memory) Yᵀ P Y.
        scale: (n_systems,) γ = s·y / y·P y of the latest pair.
    """

    atoms: Float[Tensor, "n_atoms 3 memory 3"] = per_atom()
    cell: Float[Tensor, "n_systems 3 memory 6"] = per_system()
    moves_changes: Float[Tensor, "n_systems memory memory"] = per_system()
    changes_changes: Float[Tensor, "n_systems memory memory"] = per_system()
    scale: Float[Tensor, " n_systems"] = per_system()


def no_pairs(batch: AtomicBatch) -> SecantPairs:
    """Nothing is known yet."""
    n, zeros = batch.n_systems, batch.cell.new_zeros
    identity = torch.eye(MEMORY, dtype=batch.cell.dtype, device=batch.device)
    return SecantPairs(
        atoms=zeros((batch.n_atoms, 3, MEMORY, 3)),
        cell=zeros((n, 3, MEMORY, 6)),
        moves_changes=identity.repeat(n, 1, 1),
        changes_changes=zeros((n, MEMORY, MEMORY)),
        scale=batch.cell.new_ones(n),
    )


def learnt(
    batch: AtomicBatch,
    pairs: SecantPairs,
    move: Vector,
    change: Vector,
    preconditioned: Vector,
    wanted: Bool[Tensor, " n_systems"],
) -> SecantPairs:
    """With one more pair, where it is `wanted` and its curvature is positive enough.

    Args:
        batch: geometry.
        pairs: known.
        move: s.
        change: y.
        preconditioned: P y.
        wanted: (n_systems,); elsewhere the numbers may be none.
    """
    index = batch.system_index
    curvature = move.dot(batch, change)
    enough = curvature > LEAST_CURVATURE * move.dot(batch, move)
    wanted = wanted & enough
    new_atoms = torch.stack([move.atoms, change.atoms, preconditioned.atoms], 1)
    new_cell = torch.stack([move.cell, change.cell, preconditioned.cell], 1)
    atoms = torch.cat([pairs.atoms[:, :, 1:], new_atoms[:, :, None]], 2)
    cell = torch.cat([pairs.cell[:, :, 1:], new_cell[:, :, None]], 2)
    atoms = torch.where(wanted[index, None, None, None], atoms, pairs.atoms)
    cell = torch.where(wanted[:, None, None, None], cell, pairs.cell)
    latest = Vector(atoms=atoms[:, 1, -1], cell=cell[:, 1, -1])
    with_change = _products(batch, atoms, cell, 0, latest)
    latest = Vector(atoms=atoms[:, 2, -1], cell=cell[:, 2, -1])
    with_preconditioned = _products(batch, atoms, cell, 1, latest)

    def grown(old: Tensor, last_column: Tensor, last_row: Tensor) -> Tensor:
        new = torch.zeros_like(old)
        new[:, :-1, :-1] = old[:, 1:, 1:]
        new[:, -1], new[:, :, -1] = last_row, last_column
        return torch.where(wanted[:, None, None], new, old)

    squares = torch.where(wanted, with_preconditioned[:, -1], 1.0)
    return SecantPairs(
        atoms=atoms,
        cell=cell,
        moves_changes=grown(
            pairs.moves_changes, with_change, torch.zeros_like(with_change)
        ),
        changes_changes=grown(
            pairs.changes_changes, with_preconditioned, with_preconditioned
        ),
        scale=torch.where(wanted, curvature / squares, pairs.scale),
    )


def descent(
    batch: AtomicBatch, pairs: SecantPairs, gradient: Vector, preconditioned: Vector
) -> Vector:
    """-H g.

    Args:
        batch: geometry.
        pairs: known.
        gradient: g.
        preconditioned: P g.
    """
    scale = pairs.scale[:, None]
    atoms, cell = pairs.atoms, pairs.cell
    with_moves = _products(batch, atoms, cell, 0, gradient)
    with_changes = scale * _products(batch, atoms, cell, 1, preconditioned)
    upper = pairs.moves_changes
    inner = torch.linalg.solve_triangular(upper, with_moves[:, :, None], upper=True)
    diagonal = upper.diagonal(dim1=1, dim2=2)
    # Where there is no pair `inner` is 0, and the 1 on the diagonal does no harm.
    middle = diagonal * inner[:, :, 0]
    # Not as a matrix product, which rounds otherwise in a larger batch.
    middle = middle + scale * (pairs.changes_changes * inner.mT).sum(-1) - with_changes
    outer = torch.linalg.solve_triangular(upper.mT, middle[:, :, None], upper=False)
    # Of s, y and P y; y itself is not in the step.
    shares = torch.stack([outer[:, :, 0], -scale * inner[:, :, 0]], 1)
    of_atoms = shares[batch.system_index, :, :, None] * atoms[:, ::2]
    return Vector(
        atoms=-(pairs.scale[batch.system_index, None] * preconditioned.atoms)
        - of_atoms.sum((1, 2)),
        cell=-(scale * preconditioned.cell)
        - (shares[:, :, :, None] * cell[:, ::2]).sum((1, 2)),
    )


def _products(
    batch: AtomicBatch, atoms: Tensor, cell: Tensor, kind: int, vector: Vector
) -> Float[Tensor, "n_systems memory"]:
    """Inner products of a vector with all s (kind 0) or y (kind 1)."""
    of_atoms = (atoms[:, kind] * vector.atoms[:, None]).sum(-1)
    of_cell = (cell[:, kind] * vector.cell[:, None]).sum(-1)
    return batch.sum_over_atoms(of_atoms) + of_cell
