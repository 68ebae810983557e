"""Degrees of freedom of the cell in a relaxation.

The cell moves by small symmetric strains: lattice vectors and positions, as rows, are
multiplied by exp(ε) from the right. The generalised coordinate is n ε, n the number of
atoms, so that its force has the size of a force on an atom (ASE's FrechetCellFilter
uses the same scale):

    force = -V (σ + P 1) / n        P: target pressure, positive under compression

projected on what may change. Lattice vectors that must stay are in the kernel of every
strain let through: with Q the projector on what is normal to all of them, ε = Q ε Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import ase
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.symmetrize import symmetry_operations
from gnndesign.units import EV_PER_A3_TO_GPA


class CellMode(StrEnum):
    """What of the cell may change."""

    ISOTROPIC = "isotropic"
    """The volume; the shape stays."""
    CONSTANT_VOLUME = "constant_volume"
    """The shape; the volume stays."""
    FULL = "full"
    """Everything."""

    @classmethod
    def parse(cls, text: str | None) -> CellMode | None:
        """The mode of this name; None (or "none") keeps the cell.

        "fixed_shape" is another name of "isotropic", "fixed_volume" of
        "constant_volume".

        Raises:
            ParameterError: no mode of this name.
        """
        if text is None or text == "none":
            return None
        other = {"fixed_shape": cls.ISOTROPIC, "fixed_volume": cls.CONSTANT_VOLUME}
        if text in other:
            return other[text]
        try:
            return cls(text)
        except ValueError as error:
            wanted = ", ".join(repr(mode.value) for mode in cls)
            raise ParameterError(
                f"Wanted cell=None or {wanted}, got {text!r}."
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFreedom:
    """What of the cell may change, and against which pressure.

    Attributes:
        mode: volume, shape or both.
        fixed_axes: lattice vectors that keep their length and direction: letters of
            "abc".
        pressure_GPa: target, positive under compression.
    """

    mode: CellMode
    fixed_axes: str = ""
    pressure_GPa: float = 0.0

    def __post_init__(self) -> None:
        axes = self.fixed_axes
        if set(axes) - set("abc") or len(set(axes)) in (len(axes) - 1, 3):
            raise ParameterError(
                f"Wanted fixed_axes as one or two letters of 'abc', got {axes!r}. To "
                "keep the whole cell give cell=None."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Say no to a cell that does not repeat along all three axes.

        Raises:
            StructureError: what to do instead.
        """
        if not atoms.pbc.all():
            raise StructureError(
                f"cell='{self.mode}' wants structures that are periodic along three "
                f"axes; this one has pbc {atoms.pbc.tolist()}. Use cell=None, or set a "
                "cell and pbc."
            )

    def refuse_symmetry(self, atoms: ase.Atoms, symprec: float) -> None:
        """Say no to a space group that takes fixed axes to ones that are not fixed.

        Raises:
            StructureError: names the axes.
        """
        if not self.fixed_axes:
            return
        kept = atoms.cell.array[["abc".index(axis) for axis in self.fixed_axes]]
        held = np.linalg.pinv(kept) @ kept
        turns = symmetry_operations(atoms, symprec).turns
        if np.abs(turns @ held - held @ turns).max() > 1e-6:
            raise StructureError(
                f"The symmetry takes fixed_axes='{self.fixed_axes}' to axes that are "
                "not fixed. Fix other axes, or do not fix the symmetry."
            )

    def force(
        self, batch: AtomicBatch, stress: Float[Tensor, "n_systems 3 3"]
    ) -> Float[Tensor, "n_systems 3 3"]:
        """(n_systems, 3, 3) eV, symmetric: see the head of this file."""
        identity = torch.eye(3, dtype=stress.dtype, device=stress.device)
        pressure = self.pressure_GPa / EV_PER_A3_TO_GPA
        symmetric = 0.5 * (stress + stress.mT) + pressure * identity
        scale = batch.volume / batch.atoms_per_system
        return self.project(batch, -scale[:, None, None] * symmetric)

    def project(
        self, batch: AtomicBatch, symmetric: Float[Tensor, "n_systems 3 3"]
    ) -> Float[Tensor, "n_systems 3 3"]:
        """The part of strains (or their forces) that is let through."""
        free = self._free_directions(batch)
        inside = free @ symmetric @ free
        trace = inside.diagonal(dim1=-2, dim2=-1).sum(-1)
        dimension = free.diagonal(dim1=-2, dim2=-1).sum(-1)
        mean = (trace / dimension)[:, None, None] * free
        match self.mode:
            case CellMode.ISOTROPIC:
                return mean
            case CellMode.CONSTANT_VOLUME:
                return inside - mean
            case CellMode.FULL:
                return inside

    def _free_directions(self, batch: AtomicBatch) -> Float[Tensor, "n_systems 3 3"]:
        """(n_systems, 3, 3) the projector on what is normal to the fixed vectors."""
        identity = torch.eye(3, dtype=batch.cell.dtype, device=batch.device)
        if not self.fixed_axes:
            return identity.expand_as(batch.cell)
        kept = batch.cell[:, ["abc".index(axis) for axis in self.fixed_axes]]
        return identity - torch.linalg.pinv(kept) @ kept


def exponential(
    symmetric: Float[Tensor, "n_systems 3 3"],
) -> Float[Tensor, "n_systems 3 3"]:
    """Exp of symmetric matrices, each by itself.

    `torch.linalg.matrix_exp` chooses its method for all of a batch together, so that
    its last digits depend on the company.
    """
    values, vectors = torch.linalg.eigh(symmetric)
    return (vectors * values.exp()[:, None, :]) @ vectors.mT


def deform(
    batch: AtomicBatch, positions: Tensor, strain: Float[Tensor, "n_systems 3 3"]
) -> tuple[Float[Tensor, "n_atoms 3"], Float[Tensor, "n_systems 3 3"]]:
    """Positions and cell after a symmetric logarithmic strain."""
    gradient = exponential(strain)
    return (
        torch.einsum("ni,nij->nj", positions, gradient[batch.system_index]),
        batch.cell @ gradient,
    )
