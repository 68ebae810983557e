"""Degrees of freedom of the cell in a relaxation.

The cell moves by small symmetric strains: lattice vectors and positions, as rows, are
multiplied by exp(ε) from the right. The generalised coordinate is n ε, n the number of
atoms, so that its force has the size of a force on an atom (ASE's FrechetCellFilter
uses the same scale):

    force = -V (σ + P 1) / n        P: target pressure, positive under compression

projected on what may change.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError


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

        Raises:
            ParameterError: no mode of this name.
        """
        if text is None or text == "none":
            return None
        try:
            return cls(text)
        except ValueError as error:
            wanted = ", ".join(repr(mode.value) for mode in cls)
            raise ParameterError(
                f"Wanted cell=None or {wanted}, got {text!r}."
            ) from error


def check_has_cell(batch: AtomicBatch, mode: CellMode | None) -> None:
    """Refuse to relax a cell that does not repeat along all three axes.

    Raises:
        StructureError: names the structure.
    """
    open_systems = (~batch.pbc.all(1)).nonzero()[:, 0].tolist()
    if mode is not None and open_systems:
        raise StructureError(
            f"cell='{mode}' wants structures that are periodic along three axes; "
            f"structure {open_systems[0]} is not. Use cell=None, or set a cell and pbc."
        )


def cell_force(
    batch: AtomicBatch,
    stress: Float[Tensor, "n_systems 3 3"],
    mode: CellMode,
    pressure: float,
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) eV, symmetric; `pressure` in eV/Å³."""
    identity = torch.eye(3, dtype=stress.dtype, device=stress.device)
    symmetric = 0.5 * (stress + stress.mT) + pressure * identity
    scale = batch.volume / batch.atoms_per_system
    force = -scale[:, None, None] * symmetric
    mean = force.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * identity
    match mode:
        case CellMode.ISOTROPIC:
            return mean
        case CellMode.CONSTANT_VOLUME:
            return force - mean
        case CellMode.FULL:
            return force


def deform(
    batch: AtomicBatch, positions: Tensor, strain: Float[Tensor, "n_systems 3 3"]
) -> tuple[Float[Tensor, "n_atoms 3"], Float[Tensor, "n_systems 3 3"]]:
    """Positions and cell after a symmetric logarithmic strain."""
    gradient = torch.linalg.matrix_exp(strain)
    return (
        torch.einsum("ni,nij->nj", positions, gradient[batch.system_index]),
        batch.cell @ gradient,
    )
