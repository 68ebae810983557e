"""CUDA graphs: all kernels of a small evaluation started at once.

A graph has fixed shapes and addresses. Evaluations are therefore padded to a few sizes;
rows of padding have no edges and change nothing. A size has its graph captured when it
comes for the second time, since capture costs as much as many evaluations. Memory is
bounded: the workspaces used last are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch

from gnndesign.potentials.kernels.gpu_workspace import Workspace

_MOST_ATOMS = 32_768
"""In all workspaces together, 1.3 GB for SevenNet-0."""

Size = tuple[int, int]
"""Capacity for atoms and edges."""


def padded(n: int, smallest: int) -> int:
    """The next of the sizes 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 ...: at most 25 % more."""
    n = max(n, smallest, 4)
    step = 1 << (n.bit_length() - 3)
    return -(-n // step) * step


class GraphCache:
    """Workspaces of padded sizes, each with its graph.

    Args:
        allocate: numbers of atoms and of edges to a workspace.
        run: starts the kernels of an evaluation in a workspace.
        most_atoms: that the kept workspaces have room for, in sum.
    """

    def __init__(
        self,
        allocate: Callable[[int, int], Workspace],
        run: Callable[[Workspace], None],
        most_atoms: int = _MOST_ATOMS,
    ) -> None:
        self._allocate = allocate
        self._run = run
        self._most_atoms = most_atoms
        self._spaces: OrderedDict[Size, Workspace] = OrderedDict()
        # None: the size has come once.
        self._graphs: dict[Size, torch.cuda.CUDAGraph | None] = {}
        self.is_broken = False

    @property
    def n_graphs(self) -> int:
        """Number of captured graphs."""
        return sum(graph is not None for graph in self._graphs.values())

    def workspace(self, n_atoms: int, n_edges: int) -> Workspace | None:
        """One with room for so many; None where graphs cannot be captured."""
        if self.is_broken:
            return None
        # Edges cost nothing where there are none: coarse sizes, few graphs.
        size = padded(n_atoms, 8), 1 << (max(n_edges, 256) - 1).bit_length()
        if size not in self._spaces:
            while self._spaces and self._held_atoms() + size[0] > self._most_atoms:
                oldest, _ = self._spaces.popitem(last=False)
                self._graphs.pop(oldest, None)
            self._spaces[size] = self._allocate(*size)
        self._spaces.move_to_end(size)
        return self._spaces[size]

    def replay(self, space: Workspace) -> bool:
        """Run the graph of a workspace; false where it has none."""
        size = space.n_atoms, space.n_edges
        if self.is_broken or self._spaces.get(size) is not space:
            return False
        if size not in self._graphs:
            self._graphs[size] = None
            return False
        graph = self._graphs[size]
        if graph is None:
            graph = self._graphs[size] = self._capture(space)
        if graph is None:
            self.is_broken = True
            return False
        graph.replay()
        return True

    def _held_atoms(self) -> int:
        return sum(n_atoms for n_atoms, _ in self._spaces)

    def _capture(self, space: Workspace) -> torch.cuda.CUDAGraph | None:
        """The kernels of an evaluation, recorded but not run."""
        device = space.species.device
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            self._run(space)  # Libraries set themselves up outside of the capture.
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._run(space)
        except RuntimeError:
            # Some tools forbid capture; kernels one by one do as well.
            return None
        return graph
