"""What must not move: fixed atoms, a fixed center of mass.

Forces lose the part that would break a constraint, before anything else sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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


@state_class
class Constraints:
    """Of every system of a batch.

    Attributes:
        fixed: (n_atoms,) atoms that must not move.
        center_fixed: (n_systems,) whether the center of mass must not move.
    """

    fixed: Bool[Tensor, " n_atoms"] = per_atom()
    center_fixed: Bool[Tensor, " n_systems"] = per_system()

    @classmethod
    def from_atoms(
        cls, structures: Sequence[ase.Atoms], device: torch.device | str = "cpu"
    ) -> Constraints:
        """The `FixAtoms` and `FixCom` constraints of the structures.

        Raises:
            StructureError: another constraint, which would be ignored in silence.
        """
        fixed = [np.zeros(len(atoms), dtype=bool) for atoms in structures]
        center = np.zeros(len(structures), dtype=bool)
        for index, atoms in enumerate(structures):
            for constraint in atoms.constraints:
                match constraint:
                    case FixAtoms():
                        fixed[index][constraint.get_indices()] = True
                    case FixCom():
                        center[index] = True
                    case _:
                        raise StructureError(
                            f"Structure {index} has the constraint "
                            f"{type(constraint).__name__}; wanted FixAtoms or FixCom. "
                            "Remove it with atoms.set_constraint()."
                        )
        return cls(
            fixed=torch.as_tensor(np.concatenate(fixed), device=device),
            center_fixed=torch.as_tensor(center, device=device),
        )

    def fixed_atoms(self, batch: AtomicBatch) -> Int[Tensor, " n_systems"]:
        """(n_systems,) number of fixed atoms."""
        return batch.sum_over_atoms(self.fixed.to(torch.int64))

    def apply(self, batch: AtomicBatch, prediction: Prediction) -> Prediction:
        """The prediction without what would break a constraint."""
        return replace(prediction, forces=self.on_atoms(batch, prediction.forces))

    def on_atoms(
        self,
        batch: AtomicBatch,  # noqa: ARG002
        vectors: Float[Tensor, "n_atoms 3"],
    ) -> Float[Tensor, "n_atoms 3"]:
        """Forces, or displacements, that break no constraint."""
        if bool(self.fixed.any()):
            vectors = vectors.masked_fill(self.fixed[:, None], 0.0)
        return vectors
