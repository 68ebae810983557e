"""The device memory of one evaluation: `Workspace`.

Per atom there are the joint rows of every layer (the backward pass needs them again),
and one set of summed messages, features and their gradients, which all layers share.
Messages are never stored: per edge there are its record, four integers, and one slot of
four numbers for each kernel that adds to its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.potentials.kernels.gpu_layout import LayerLayout


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Buffers for up to `n_atoms` atoms and `n_edges` directed pairs.

    Rows of atoms and edges beyond those in use have no edges, and change nothing.

    Attributes:
        n_atoms: capacity; also the stride of the blocks of features.
        n_edges: capacity.
        species: place of each atom's element in the network's tables.
        row_starts: first edge of each atom; edges are sorted by center.
        receivers: neighbor of each edge.
        intervals: of each edge in the radial table.
        mirrors: the edge that leads back, -1 where there is none.
        records: geometry, see gpu_kernels.py.
        below: 1 where a distance is below the radial table.
        slots: gradient with respect to an edge's vector, in parts.
        joints: of each layer, see gpu_layout.py.
        messages: summed messages of the current layer, then their gradient.
        features: of the current layer.
        joint_gradient, feature_gradient: of the current layer.
        energies: (n_atoms,) eV, float64.
        gradients: (n_atoms, 3) eV/Å, dE/dr, float64.
        virials: (n_atoms, 6) eV; summed over a structure dE/dstrain, float64.
    """

    n_atoms: int
    n_edges: int
    species: Int[Tensor, " n_atoms"]
    row_starts: Int[Tensor, " n_atoms+1"]
    receivers: Int[Tensor, " n_edges"]
    intervals: Int[Tensor, " n_edges"]
    mirrors: Int[Tensor, " n_edges"]
    records: Float[Tensor, "n_edges 8"]
    below: Int[Tensor, " 1"]
    slots: Float[Tensor, "n_edges _slots 4"]
    joints: tuple[Float[Tensor, " _size"], ...]
    messages: Float[Tensor, " _messages"]
    features: Float[Tensor, " _features"]
    joint_gradient: Float[Tensor, " _joint"]
    feature_gradient: Float[Tensor, " _features"]
    energies: Float[Tensor, " n_atoms"]
    gradients: Float[Tensor, "n_atoms 3"]
    virials: Float[Tensor, "n_atoms 6"]


def allocate(
    layouts: Sequence[LayerLayout],
    *,
    n_atoms: int,
    n_edges: int,
    n_slots: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Workspace:
    """Uninitialised buffers; only `species` has a meaning (the first)."""
    sizes = _Sizes.of(layouts)

    def numbers(*shape: int, kind: torch.dtype = dtype) -> Tensor:
        return torch.empty(shape, dtype=kind, device=device)

    def integers(*shape: int) -> Tensor:
        return numbers(*shape, kind=torch.int32)

    return Workspace(
        n_atoms=n_atoms,
        n_edges=n_edges,
        species=torch.zeros(n_atoms, dtype=torch.int64, device=device),
        row_starts=integers(n_atoms + 1),
        receivers=integers(n_edges),
        intervals=integers(n_edges),
        mirrors=integers(n_edges),
        records=numbers(n_edges, 8),
        below=integers(1),
        slots=numbers(n_edges, n_slots, 4),
        joints=tuple(numbers(n_atoms * size) for size in sizes.joints),
        messages=numbers(n_atoms * sizes.messages),
        features=numbers(n_atoms * sizes.features),
        joint_gradient=numbers(n_atoms * max(sizes.joints)),
        feature_gradient=numbers(n_atoms * sizes.features),
        energies=numbers(n_atoms, kind=torch.float64),
        gradients=numbers(n_atoms, 3, kind=torch.float64),
        virials=numbers(n_atoms, 6, kind=torch.float64),
    )


def bytes_per_atom(layouts: Sequence[LayerLayout], dtype: torch.dtype) -> int:
    """Device memory of a workspace for one atom, without its edges."""
    sizes = _Sizes.of(layouts)
    numbers = sum(sizes.joints) + max(sizes.joints) + sizes.messages
    numbers += 2 * sizes.features
    return numbers * dtype.itemsize + 8 + 4 + 10 * 8


def bytes_per_edge(n_slots: int, dtype: torch.dtype) -> int:
    """Device memory of a workspace for one directed pair."""
    return (8 + 4 * n_slots) * dtype.itemsize + 3 * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """Numbers an atom of each buffer."""

    joints: tuple[int, ...]
    messages: int
    features: int

    @classmethod
    def of(cls, layouts: Sequence[LayerLayout]) -> _Sizes:
        return cls(
            joints=tuple(layout.joint.size for layout in layouts),
            messages=max(layout.messages.size for layout in layouts),
            features=max(layout.features.size for layout in layouts),
        )
