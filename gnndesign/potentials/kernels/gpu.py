"""A lowered network on a GPU: `GPUNetwork`, its kernels written in Triton.

A step is: records of all edges (one kernel); then for each layer one matrix product an
irrep, one convolution kernel a sender irrep, another product, the gate; the read-out;
all of it backwards; and the sums over edges and atoms. Nothing that belongs to an edge
and a channel is stored, no atomic operation is used, and every sum has one order: the
same input gives the same bits.

Energies and gradients of atoms are summed in float64, the network is evaluated in
`dtype`. Matrix products follow `torch.set_float32_matmul_precision`, which must stay
"highest" (torch's default) for the accuracy that is promised.

What has been seen: all kernels on CPU tensors by Triton's interpreter, in agreement with
the plain network; and all of them compiled for compute capability 9.0. No GPU has run
them yet: the choice of tiles (gpu_tile.py), CUDA graphs (gpu_graphs.py) and all speed
are unproven. `benchmarks/gpu_kernels.py` is the first thing to run on one.

A kernel is compiled when it is first used, and kept by Triton (TRITON_CACHE_DIR): some
20 s for SevenNet-0 and a minute or more for SevenNet-l3i5, once for small systems and
once for those of 1024 atoms and more.

Memory, float32: `bytes_per_atom` and `bytes_per_edge`; SevenNet-0 39 kB an atom and
92 bytes an edge, SevenNet-l3i5 69 kB and 108 bytes. With 50 edges an atom and the
neighbor list's 40 bytes an edge, 100,000 atoms take 4.5 GB and 7.6 GB, so there is no
need to treat edges in chunks. Most of it are joint rows and summed messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import MissingDependencyError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import SCALAR
from gnndesign.potentials.base import Slopes
from gnndesign.potentials.kernels.gpu_graphs import GraphCache
from gnndesign.potentials.kernels.gpu_layer import Tiling
from gnndesign.potentials.kernels.gpu_layout import LayerLayout
from gnndesign.potentials.kernels.gpu_prepare import (
    n_slots,
    prepare_grid,
    prepare_layers,
)
from gnndesign.potentials.kernels.gpu_tile import OPTIONS, Tile
from gnndesign.potentials.kernels.gpu_workspace import (
    Workspace,
    allocate,
    bytes_per_atom,
    bytes_per_edge,
)
from gnndesign.potentials.kernels.lowering import LoweredNetwork
from gnndesign.potentials.kernels.radial_table import RadialTable

_BLOCK = 128
_GRAPH_ATOMS = 4096
"""Up to here launching kernels one by one costs as much as running them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """An evaluation that the device may still be working on.

    Attributes:
        slopes: the answer, if it is valid.
        below: (1,) whether a distance was below the radial table; then the answer is
            not valid. To look at it is to wait for the device.
    """

    slopes: Slopes
    below: Bool[Tensor, " 1"]


class GPUNetwork:
    """Evaluates a network on a CUDA device.

    Args:
        lowered: the network.
        tables: radial weights of each layer, on one grid.
        device: a CUDA device; "cpu" where Triton interprets (TRITON_INTERPRET=1).
        dtype: of the network, float32 or float64.

    Raises:
        MissingDependencyError: Triton is not installed.
    """

    def __init__(
        self,
        lowered: LoweredNetwork,
        tables: tuple[RadialTable, ...],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        try:
            from gnndesign.potentials.kernels import gpu_kernels
        except ImportError as error:
            raise MissingDependencyError(
                "The GPU kernels need Triton, which torch's builds for CUDA on Linux "
                "bring along. Install such a build, or `pip install triton`."
            ) from error
        self.device = device
        self.dtype = dtype
        self.tiling: Tiling = Tile.choose
        self._kernels: Any = gpu_kernels
        self._layouts = tuple(LayerLayout.of(layer) for layer in lowered.layers)
        self._n_slots = n_slots(self._layouts)
        self._layers = prepare_layers(lowered, tables, self._layouts, device, dtype)
        self._readout = torch.from_numpy(lowered.readout).to(device, dtype)
        self._scale = torch.from_numpy(lowered.scale).to(device)
        self._shift = torch.from_numpy(lowered.shift).to(device)
        self._segments = prepare_grid(tables[0].grid, device)
        self._graphs = (
            GraphCache(self._allocate, self._run) if device.type == "cuda" else None
        )

    @property
    def n_graphs(self) -> int:
        """Number of CUDA graphs that have been captured."""
        return 0 if self._graphs is None else self._graphs.n_graphs

    @property
    def bytes_per_atom(self) -> int:
        """Device memory for one atom, without its edges."""
        return bytes_per_atom(self._layouts, self.dtype)

    @property
    def bytes_per_edge(self) -> int:
        """Device memory for one directed pair, without the neighbor list."""
        return bytes_per_edge(self._n_slots, self.dtype)

    def evaluate(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Slopes | None:
        """Energies and their derivatives; None if a distance is below the tables.

        Waits for the device; `launch` does not.

        Args:
            species: place of each atom's element in the network's tables.
            batch: the structures, on this network's device.
            edges: every pair within the cutoff, both ways; more are allowed.

        Returns:
            Tensors in the floating type of `batch`.
        """
        launched = self.launch(species, batch, edges)
        return None if bool(launched.below) else launched.slopes

    def launch(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Launched:
        """Start an evaluation; see `evaluate`."""
        # Workspaces outlive a call, and an inference tensor could not be written to in
        # another mode. Triton launches on the current device.
        with (
            torch.inference_mode(mode=False),
            torch.no_grad(),
            torch.cuda.device_of(batch.positions),
        ):
            return self._launch(species, batch, edges)

    def _launch(
        self, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> Launched:
        space = None
        if self._graphs is not None and batch.n_atoms <= _GRAPH_ATOMS:
            space = self._graphs.workspace(batch.n_atoms, edges.n_edges)
        if space is None:
            space = self._allocate(batch.n_atoms, edges.n_edges)
        return self._evaluate_in(space, species, batch, edges)

    def _evaluate_in(
        self, space: Workspace, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> Launched:
        """Evaluate in a workspace that is large enough."""
        self._load(space, species, batch, edges)
        if self._graphs is None or not self._graphs.replay(space):
            self._run(space)
        return self._read(space, batch)

    def _load(
        self, space: Workspace, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> None:
        """Put what an evaluation depends on into a workspace."""
        space.species[: batch.n_atoms].copy_(species)
        centers = edges.centers.contiguous()
        neighbors = edges.neighbors.contiguous()
        shifts = edges.shifts.contiguous()
        # Atoms beyond those in use come after all edges, and have none.
        numbers = torch.arange(space.n_atoms + 1, device=self.device)
        space.row_starts.copy_(torch.searchsorted(centers, numbers))
        space.below.zero_()
        n_edges = edges.n_edges
        if n_edges == 0:
            return
        grid = (-(-n_edges // _BLOCK),)
        self._kernels.edge_records[grid](
            batch.positions.contiguous(),
            batch.cell.contiguous(),
            batch.system_index.contiguous(),
            centers,
            neighbors,
            shifts,
            *self._segments,
            space.records,
            space.intervals,
            space.receivers,
            space.below,
            n_edges,
            N_SEGMENTS=len(self._segments[0]),
            BLOCK=_BLOCK,
            **OPTIONS,
        )
        self._kernels.edge_mirrors[grid](
            centers,
            neighbors,
            shifts,
            space.row_starts,
            space.mirrors,
            n_edges,
            BLOCK=_BLOCK,
            **OPTIONS,
        )

    def _run(self, space: Workspace) -> None:
        """From the edges' records to energies, gradients and virials of the atoms.

        Of fixed shapes, and without a look at the device: a CUDA graph can hold it.
        """
        n = space.n_atoms
        for layer, joint in zip(self._layers, space.joints, strict=True):
            layer.forward(space, joint, self.tiling)
        last = self._layouts[-1].features
        scalars = last.block(space.features, SCALAR, n)
        scale, shift = self._scale[space.species], self._shift[space.species]
        torch.addcmul(
            shift, torch.mv(scalars, self._readout).double(), scale, out=space.energies
        )
        space.feature_gradient[: n * last.size].zero_()
        gradient = last.block(space.feature_gradient, SCALAR, n)
        torch.outer(scale.to(self.dtype), self._readout, out=gradient)
        space.slots.zero_()
        backwards = zip(reversed(self._layers), reversed(space.joints), strict=True)
        for layer, joint in backwards:
            layer.backward(space, joint, self.tiling)
        self._kernels.atom_gradients[n,](
            space.row_starts,
            space.mirrors,
            space.records,
            space.slots,
            space.gradients,
            space.virials,
            N_SLOTS=self._n_slots,
            SLOTS=1 << (self._n_slots - 1).bit_length(),
            BLOCK=32,
            num_warps=1,
            **OPTIONS,
        )

    def _read(self, space: Workspace, batch: AtomicBatch) -> Launched:
        """Copy the answer, because the next evaluation may use the same workspace."""
        n, kind = batch.n_atoms, batch.positions.dtype
        numbers = torch.arange(batch.n_systems + 1, device=self.device)
        starts = torch.searchsorted(batch.system_index, numbers)
        strains = space.virials.new_empty((batch.n_systems, 3, 3))
        self._kernels.system_strains[batch.n_systems, 6](
            starts, space.virials, strains, BLOCK=256, **OPTIONS
        )
        return Launched(
            slopes=Slopes(
                atomic_energies=space.energies[:n].to(kind, copy=True),
                positions=space.gradients[:n].to(kind, copy=True),
                strain=strains.to(kind),
            ),
            below=space.below > 0,
        )

    def _allocate(self, n_atoms: int, n_edges: int) -> Workspace:
        return allocate(
            self._layouts,
            n_atoms=n_atoms,
            n_edges=n_edges,
            n_slots=self._n_slots,
            device=self.device,
            dtype=self.dtype,
        )
