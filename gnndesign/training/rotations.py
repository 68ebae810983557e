"""How far a potential is from turning with the structure, and where it is farthest.

For a structure x of N atoms and a rotation R, positions and cell as columns,

    energy violation    |E(R x) - E(x)| / N
    force violation     |R⁻¹ F(R x) - F(x)|, the largest of an atom

are zero of an equivariant potential. Of others they depend on R: a few random rotations
give a typical value, gradient ascent over R the worst.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, ShapeError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import EnergyModel


def rotation_matrix(
    vectors: Float[Tensor, "n_systems 3"],
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) turns by |v| radians about v, smooth in v; exp of [v]×."""
    x, y, z = vectors.unbind(1)
    o = torch.zeros_like(x)
    rows = [torch.stack(row, 1) for row in ((o, -z, y), (z, o, -x), (-y, x, o))]
    return torch.linalg.matrix_exp(torch.stack(rows, 1))


def random_rotations(
    n: int, generator: torch.Generator | None = None
) -> Float[Tensor, "n 3 3"]:
    """(n, 3, 3) drawn evenly from all rotations, float64, on the host.

    From normal quaternions (G. Marsaglia, Ann. Math. Stat. 43, 645 (1972)).
    """
    q = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    w, *xyz = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    vectors = torch.stack(xyz, 1)
    sine = vectors.norm(dim=1, keepdim=True).clamp(min=1e-30)
    return rotation_matrix(vectors / sine * 2.0 * torch.atan2(sine, w[:, None]))


def rotated(batch: AtomicBatch, rotations: Tensor) -> AtomicBatch:
    """Each structure turned by its matrix; pairs of neighbors stay what they were."""
    back = rotations.to(batch.cell).mT
    positions = torch.einsum(
        "ni,nij->nj", batch.positions, back.index_select(0, batch.system_index)
    )
    return batch.with_geometry(positions=positions, cell=batch.cell @ back)


def rotation_violation(
    potential: EnergyModel,
    batch: AtomicBatch,
    edges: NeighborList,
    rotations: Float[Tensor, "n_systems 3"] | Float[Tensor, "n_systems 3 3"],
    *,
    with_forces: bool = False,
    length: float = 1.0,
) -> Float[Tensor, " n_systems"]:
    """Squared violation of each structure, for training: eV².

        ((E(R x) - E(x)) / N)² + length² Σ |R⁻¹ F(R x) - F(x)|² / 3N

    Differentiable with respect to the weights, where they want a gradient, and to the
    rotations. F is minus the gradient of the energy.

    Args:
        potential: states atomic energies.
        batch: structures.
        edges: their pairs.
        rotations: vectors (see `rotation_matrix`) or matrices, one a structure.
        with_forces: whether the second term is there; it costs twice as much.
        length: Å, weighs forces against energies.
    """
    matrices = _matrices(rotations, batch)
    with torch.enable_grad():
        here = TurnedSlope.of(potential, batch, edges, None, with_forces=with_forces)
        return _squared(potential, batch, edges, matrices, here, length)


def adversarial_rotations(
    potential: EnergyModel,
    batch: AtomicBatch,
    edges: NeighborList,
    *,
    steps: int = 3,
    step_size: float = 0.3,
    generator: torch.Generator | None = None,
    with_forces: bool = False,
    length: float = 1.0,
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) rotations under which each structure is violated strongly.

    From a random rotation, `steps` turns of `step_size` radians along the gradient of
    `rotation_violation` over the rotation (the inner maximisation of adversarial
    training: A. Madry et al., ICLR 2018). Without gradient; weights gather none.

    Args:
        potential: states atomic energies.
        batch: structures.
        edges: their pairs.
        steps: of the ascent; 0 for random rotations.
        step_size: radians.
        generator: of the random rotations, on the host.
        with_forces: see `rotation_violation`.
        length: likewise.

    Raises:
        ParameterError: fewer than zero steps, or a step size that is not positive.
    """
    if steps < 0 or not step_size > 0:
        raise ParameterError(
            f"Wanted steps >= 0 and step_size > 0 radians, got {steps}, {step_size}."
        )
    batch = batch.detach()
    rotations = random_rotations(batch.n_systems, generator).to(batch.cell)
    if steps == 0:
        return rotations
    with torch.enable_grad():
        here = TurnedSlope.of(potential, batch, edges, None, with_forces=with_forces)
    here = here.detach()
    for _ in range(steps):
        uphill = uphill_turn(potential, batch, edges, rotations, here, length)[1]
        rotations = rotation_matrix(step_size * uphill) @ rotations
    return rotations


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedSlope:
    """(n_systems,) energies, eV, and their gradient by the positions as given, eV/Å."""

    energy: Tensor
    gradient: Tensor | None

    @staticmethod
    def of(
        potential: EnergyModel,
        batch: AtomicBatch,
        edges: NeighborList,
        rotations: Tensor | None,
        *,
        with_forces: bool,
    ) -> TurnedSlope:
        """Energies after a turn; the gradient is by the positions before it.

        So it is that of the energy at rest where the potential is equivariant.
        """
        positions = batch.positions.detach()
        if with_forces:
            positions = positions.requires_grad_()
        here = batch.with_geometry(positions=positions, cell=batch.cell.detach())
        there = here if rotations is None else rotated(here, rotations)
        energy = batch.sum_over_atoms(potential.atomic_energies(there, edges))
        gradient = None
        if with_forces:
            (gradient,) = torch.autograd.grad(
                energy.sum(), positions, create_graph=True, materialize_grads=True
            )
        return TurnedSlope(energy=energy, gradient=gradient)

    def detach(self) -> TurnedSlope:
        """The same numbers, cut off from automatic differentiation."""
        gradient = None if self.gradient is None else self.gradient.detach()
        return TurnedSlope(energy=self.energy.detach(), gradient=gradient)


def _squared(
    potential: EnergyModel,
    batch: AtomicBatch,
    edges: NeighborList,
    matrices: Tensor,
    here: TurnedSlope,
    length: float,
) -> Float[Tensor, " n_systems"]:
    with_forces = here.gradient is not None
    there = TurnedSlope.of(potential, batch, edges, matrices, with_forces=with_forces)
    sizes = batch.atoms_per_system
    found = ((there.energy - here.energy) / sizes) ** 2
    if here.gradient is None or there.gradient is None:
        return found
    apart = ((there.gradient - here.gradient) ** 2).sum(1)
    return found + length**2 * batch.sum_over_atoms(apart) / (3 * sizes)


def uphill_turn(
    potential: EnergyModel,
    batch: AtomicBatch,
    edges: NeighborList,
    rotations: Tensor,
    here: TurnedSlope,
    length: float,
) -> tuple[Tensor, Tensor]:
    """(n_systems,) squared violations, and (n_systems, 3) unit vectors uphill."""
    turn = torch.zeros_like(rotations[:, 0]).requires_grad_()
    with torch.enable_grad():
        matrices = rotation_matrix(turn) @ rotations
        value = _squared(potential, batch, edges, matrices, here, length)
        if not value.requires_grad:  # An energy that does not know of directions.
            return value, torch.zeros_like(turn)
        (slope,) = torch.autograd.grad(
            value.sum(), turn, allow_unused=True, materialize_grads=True
        )
    return value.detach(), slope / (slope.norm(dim=1, keepdim=True) + 1e-30)


def _matrices(rotations: Tensor, batch: AtomicBatch) -> Tensor:
    if rotations.shape == (batch.n_systems, 3):
        return rotation_matrix(rotations)
    if rotations.shape == (batch.n_systems, 3, 3):
        return rotations
    raise ShapeError(
        f"Wanted rotations of shape ({batch.n_systems}, 3) or ({batch.n_systems}, 3, "
        f"3), got {tuple(rotations.shape)}."
    )
