"""What must not move: atoms, directions, the center of mass, a crystal's symmetry.

Forces and stress lose the part that would break a constraint before anything else sees
them. That part is taken by a projection which is the same everywhere on the way: of an
atom by a matrix, of the atoms that a space group makes of one by a matrix each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ase
import numpy as np
import torch
from ase.constraints import FixAtoms, FixCom
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.members import per_atom, per_system, state_class
from gnndesign.potentials.base import Prediction
from gnndesign.simulation.freedom import Freedom


@state_class
class Constraints:
    """Of every system of a batch.

    Attributes:
        fixed: (n_atoms,) atoms that must not move.
        center_fixed: (n_systems,) whether the center of mass must not move.
        frames: (n_atoms, 3, 3) M. Of a vector v on each atom of a group, as a row, what
            is let through is u @ M, u the mean of v @ Mᵀ over the group.
        first: (n_atoms,) the first atom of the group, counted within its system. A
            group is one atom; under symmetry, all that are images of one another.
        strains: (n_systems, 9, 9) what is let through of a stress or strain.
        beyond_fixed: (n_systems,) whether `frames` says more than `fixed`.
    """

    fixed: Bool[Tensor, " n_atoms"] = per_atom()
    center_fixed: Bool[Tensor, " n_systems"] = per_system()
    frames: Float[Tensor, "n_atoms 3 3"] = per_atom()
    first: Int[Tensor, " n_atoms"] = per_atom()
    strains: Float[Tensor, "n_systems 9 9"] = per_system()
    beyond_fixed: Bool[Tensor, " n_systems"] = per_system()

    @classmethod
    def from_atoms(
        cls, structures: Sequence[ase.Atoms], device: torch.device | str = "cpu"
    ) -> Constraints:
        """The constraints of the structures.

        `FixAtoms`, `FixCartesian`, `FixedPlane`, `FixedLine`, `FixCom`, `FixSymmetry`.

        Raises:
            StructureError: another constraint, which would be ignored in silence, or
                two that do not go together.
        """
        left = [Freedom.of(atoms) for atoms in structures]

        def tensor(arrays: Sequence[Any]) -> Tensor:
            return torch.as_tensor(np.concatenate(arrays), device=device)

        return cls(
            fixed=tensor([one.fixed for one in left]),
            center_fixed=tensor([[one.center_fixed] for one in left]),
            frames=tensor([one.frames for one in left]),
            first=tensor([one.first for one in left]),
            strains=tensor([one.strains[None] for one in left]),
            beyond_fixed=tensor([[one.beyond_fixed] for one in left]),
        )

    def fixed_atoms(self, batch: AtomicBatch) -> Int[Tensor, " n_systems"]:
        """(n_systems,) number of fixed atoms."""
        return batch.sum_over_atoms(self.fixed.to(torch.int64))

    def apply(self, batch: AtomicBatch, prediction: Prediction) -> Prediction:
        """The prediction without what would break a constraint.

        A net force on a fixed center of mass stays: it is for `without_center` in a
        relaxation, and for the momenta in dynamics.
        """
        if not bool(self.fixed.any() | self.beyond_fixed.any()):
            return prediction
        forces = self.on_atoms(batch, prediction.forces)
        stress = prediction.stress
        if bool(self.beyond_fixed.any()):
            allowed = torch.einsum("nab,nb->na", self.strains, stress.flatten(1))
            allowed = allowed.view_as(stress)
            stress = torch.where(self.beyond_fixed[:, None, None], allowed, stress)
        return replace(prediction, forces=forces, stress=stress)

    def on_atoms(
        self, batch: AtomicBatch, vectors: Float[Tensor, "n_atoms 3"]
    ) -> Float[Tensor, "n_atoms 3"]:
        """Forces, or displacements, that move no fixed atom and break no symmetry."""
        if bool(self.beyond_fixed.any()):
            allowed = self._in_groups(batch, vectors)
            atoms = self.beyond_fixed[batch.system_index, None]
            vectors = torch.where(atoms, allowed, vectors)
        if bool(self.fixed.any()):
            vectors = vectors.masked_fill(self.fixed[:, None], 0.0)
        return vectors

    def without_center(
        self,
        batch: AtomicBatch,
        vectors: Float[Tensor, "n_atoms 3"],
        masses: Float[Tensor, " n_atoms"],
    ) -> Float[Tensor, "n_atoms 3"]:
        """Forces, or displacements, that leave a fixed center of mass where it is.

        The nearest with Σ m v = 0 that `on_atoms` lets through: v less its components
        along the three vectors that `on_atoms` makes of m e_x, m e_y, m e_z.
        """
        if not bool(self.center_fixed.any()):
            return vectors
        index = batch.system_index
        axes = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
        normal = torch.stack(
            [self.on_atoms(batch, masses[:, None] * axis) for axis in axes], 1
        )
        gram = batch.sum_over_atoms(normal @ normal.mT)
        share = batch.sum_over_atoms((normal @ vectors[:, :, None])[:, :, 0])
        # A direction in which no atom may move has no inverse, and needs none.
        factor = (torch.linalg.pinv(gram, hermitian=True) @ share[:, :, None])[..., 0]
        factor = factor.masked_fill(~self.center_fixed[:, None], 0.0)
        return vectors - torch.einsum("na,nai->ni", factor[index], normal)

    def _in_groups(
        self, batch: AtomicBatch, vectors: Float[Tensor, "n_atoms 3"]
    ) -> Float[Tensor, "n_atoms 3"]:
        counts = batch.atoms_per_system
        start = torch.cumsum(counts, 0) - counts
        group = start[batch.system_index] + self.first
        turned = torch.einsum("ni,nji->nj", vectors, self.frames)
        total = torch.zeros_like(turned).index_add(0, group, turned)
        size = torch.bincount(group, minlength=batch.n_atoms)
        mean = (total / size.clamp(min=1)[:, None])[group]
        return torch.einsum("nj,nji->ni", mean, self.frames)


def refuse_in_dynamics(atoms: ase.Atoms) -> None:
    """Say no to constraints that relaxations alone know.

    Raises:
        StructureError: names them.
    """
    others = [
        type(entry).__name__
        for entry in atoms.constraints
        if not isinstance(entry, FixAtoms | FixCom)
    ]
    if others:
        raise StructureError(
            f"Molecular dynamics keeps FixAtoms and FixCom; this structure has "
            f"{', '.join(others)}. Remove it with atoms.set_constraint(), or relax."
        )
