"""A guess of how stiff a structure is, before anything was learnt about it.

Between neighbors that are t times the sum of their covalent radii apart there are
springs of stiffness k(t), which pull along the bond and, weaker by `ACROSS`, across it;
every degree of freedom has a weak spring of its own. The springs feel atoms and cell:
stiff bonds among soft ones, long waves and strains are told apart, and a quasi-Newton
method that starts from the inverse of this Hessian has less to learn. (D. Packwood et
al., J. Chem. Phys. 144, 164109 (2016), from whom the idea is; theirs know distances
alone. R. Lindh et al., Chem. Phys. Lett. 241, 423 (1995), for molecules.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii
from jaxtyping import Bool, Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import state_class
from gnndesign.neighbors import find_neighbors
from gnndesign.simulation.constraints import Constraints
from gnndesign.simulation.coordinates import MANDEL, Vector

STIFFNESS = 5.0
"""eV/Å², of a bond as long as the sum of the radii."""
DECAY = 5
"""k(t) = STIFFNESS t^-DECAY (1 - (t/REACH)²)², smooth at the end."""
REACH = 2.0
ACROSS = 0.1
OWN = 0.5
"""eV/Å²."""
MOST_ATOMS = 300
"""Of a structure that gets springs; the inverse is a matrix without zeros."""
PLAIN = 30.0
"""eV/Å², of all degrees of freedom of a larger one."""


@state_class
class Springs:
    """The inverse Hessians of the springs of the systems of a batch.

    Systems with as many atoms are in one group, so that few calls do for all.

    Attributes:
        systems: of each group, (n,) places in the batch.
        atoms: of each group, (n, n_atoms) places in the batch.
        inverses: of each group, (n, 3 n_atoms + 6, 3 n_atoms + 6) Å²/eV; (n, 0, 0) where
            there are no springs.
    """

    systems: tuple[Tensor, ...]
    atoms: tuple[Tensor, ...]
    inverses: tuple[Tensor, ...]

    def solve(self, vector: Vector) -> Vector:
        """The inverse Hessians times a vector."""
        atoms, cell = torch.empty_like(vector.atoms), torch.empty_like(vector.cell)
        for systems, places, inverse in zip(
            self.systems, self.atoms, self.inverses, strict=True
        ):
            of_atoms, of_cell = vector.atoms[places].flatten(1), vector.cell[systems]
            whole = torch.cat([of_atoms, of_cell], 1)
            if inverse.shape[1] == 0:
                whole = whole / PLAIN
            else:
                # Not as a matrix product, which rounds otherwise in a larger batch.
                whole = (inverse * whole[:, None]).sum(-1)
            atoms[places] = whole[:, :-6].reshape(*places.shape, 3)
            cell[systems] = whole[:, -6:]
        return Vector(atoms=atoms, cell=cell)

    def select(self, systems: Bool[Tensor, " n_systems"]) -> Springs:
        """Keep the systems for which the mask is true."""
        pairs = zip(_one_by_one(self), systems.tolist(), strict=True)
        return _grouped([one for one, stays in pairs if stays])

    @staticmethod
    def concatenate(several: Sequence[Springs]) -> Springs:
        """Of the systems of some batches, in the order given."""
        return _grouped([one for springs in several for one in _one_by_one(springs)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inverse:
    n_atoms: int
    matrix: Tensor


def springs_between(
    batch: AtomicBatch,
    constraints: Constraints,
    strains: Float[Tensor, "n_systems 6 6"],
) -> Springs:
    """The springs of a geometry, without those of what cannot move.

    Args:
        batch: geometry.
        constraints: fixed atoms feel no springs.
        strains: projectors on the strains of the cell that are let through.
    """
    small = batch.atoms_per_system <= MOST_ATOMS
    some = batch.select(small)
    hessians = iter(_hessians(some)) if bool(small.any()) else iter(())
    counts = batch.atoms_per_system.tolist()
    fixed = torch.split(constraints.fixed, counts)
    found: list[_Inverse] = []
    for k, n_atoms in enumerate(counts):
        if n_atoms > MOST_ATOMS:
            matrix = np.empty((0, 0))
        else:
            free = np.eye(3 * n_atoms + 6)
            moves = ~fixed[k].cpu().numpy().repeat(3)
            free[: 3 * n_atoms, : 3 * n_atoms] *= moves
            free[-6:, -6:] = strains[k].cpu().numpy()
            hessian = free @ next(hessians) @ free + np.eye(len(free)) - free
            matrix = free @ np.linalg.inv(hessian) @ free
        inverse = torch.as_tensor(matrix, dtype=batch.cell.dtype, device=batch.device)
        found.append(_Inverse(n_atoms=n_atoms, matrix=inverse))
    return _grouped(found)


def _one_by_one(springs: Springs) -> list[_Inverse]:
    """In the order of the batch."""
    groups = zip(springs.systems, springs.atoms, springs.inverses, strict=True)
    found: dict[int, _Inverse] = {}
    for systems, atoms, inverse in groups:
        for place, matrix in zip(systems.tolist(), inverse, strict=True):
            found[place] = _Inverse(n_atoms=atoms.shape[1], matrix=matrix)
    return [found[place] for place in sorted(found)]


def _grouped(inverses: Sequence[_Inverse]) -> Springs:
    starts = np.cumsum([0, *(one.n_atoms for one in inverses)])
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(inverses):
        groups.setdefault(one.n_atoms, []).append(place)
    device = inverses[0].matrix.device
    return Springs(
        systems=tuple(
            torch.as_tensor(places, device=device) for places in groups.values()
        ),
        atoms=tuple(
            torch.as_tensor(starts[places][:, None] + np.arange(n_atoms), device=device)
            for n_atoms, places in groups.items()
        ),
        inverses=tuple(
            torch.stack([inverses[place].matrix for place in places])
            for places in groups.values()
        ),
    )


def _hessians(batch: AtomicBatch) -> list[Float[np.ndarray, "dimension dimension"]]:
    """Of each system, (3 n_atoms + 6, 3 n_atoms + 6) eV/Å²."""
    radii = covalent_radii[batch.atomic_numbers.cpu().numpy()]
    edges = find_neighbors(batch, REACH * 2.0 * float(radii.max()))
    i, j = edges.centers.cpu().numpy(), edges.neighbors.cpu().numpy()
    bonds = edges.vectors(batch).cpu().double().numpy()
    # Atoms on top of each other are not relaxed, but this is not the place to say so.
    length = np.maximum(np.linalg.norm(bonds, axis=1), 1e-6)
    t = length / (radii[i] + radii[j])
    near = t < REACH
    i, j, bonds, length, t = (part[near] for part in (i, j, bonds, length, t))
    # Closer than half the radii a bond would be stiffer than any.
    t = np.maximum(t, 0.5)
    stiffness = STIFFNESS * t**-DECAY * (1.0 - (t / REACH) ** 2) ** 2
    along = bonds / length[:, None]
    springs = ACROSS * np.eye(3) + (1.0 - ACROSS) * along[:, :, None] * along[:, None]
    springs *= stiffness[:, None, None]

    counts = batch.atoms_per_system.tolist()
    ends = np.searchsorted(i, np.cumsum([0, *counts]))
    starts = np.cumsum([0, *counts])
    return [
        _hessian(n, i[part] - first, j[part] - first, bonds[part], springs[part])
        for n, first, part in zip(
            counts, starts, map(slice, ends, ends[1:]), strict=False
        )
    ]


def _hessian(
    n_atoms: int, i: np.ndarray, j: np.ndarray, bonds: np.ndarray, springs: np.ndarray
) -> Float[np.ndarray, "dimension dimension"]:
    """Of one system. Every pair is there twice, as i, j and as j, i.

    A move u and a strain L stretch a bond b by u_j - u_i + b L.
    """
    of_atoms = np.zeros((n_atoms, n_atoms, 3, 3))
    np.add.at(of_atoms, (i, i), springs)
    np.subtract.at(of_atoms, (i, j), springs)
    basis = MANDEL.numpy() / n_atoms**0.5
    stretch = np.einsum("ei,aij->eaj", bonds, basis)
    pull = np.einsum("eij,eaj->eia", springs, stretch)
    coupling = np.zeros((n_atoms, 3, 6))
    np.subtract.at(coupling, i, pull)
    of_cell = 0.5 * np.einsum("eai,eib->ab", stretch, pull)
    flat = of_atoms.transpose(0, 2, 1, 3).reshape(3 * n_atoms, 3 * n_atoms)
    mixed = coupling.reshape(3 * n_atoms, 6)
    whole = np.block([[flat, mixed], [mixed.T, of_cell]])
    return whole + OWN * np.eye(len(whole))
