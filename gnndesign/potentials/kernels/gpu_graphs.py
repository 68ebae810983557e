"""CUDA graphs: all kernels of a small evaluation started at once.

A graph has fixed shapes and addresses. Evaluations are therefore padded to a few sizes;
rows of padding have no edges and change nothing. One graph is captured for each size at
its first use, and a bounded number of them is kept, those used last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch

from gnndesign.potentials.kernels.gpu_workspace import Workspace

_MOST_GRAPHS = 16


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
        most: number of graphs that are kept.
    """

    def __init__(
        self,
        allocate: Callable[[int, int], Workspace],
        run: Callable[[Workspace], None],
        most: int = _MOST_GRAPHS,
    ) -> None:
        self._allocate = allocate
        self._run = run
        self._most = most
        self._spaces: OrderedDict[tuple[int, int], Workspace] = OrderedDict()
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._broken = False

    def workspace(self, n_atoms: int, n_edges: int) -> Workspace | None:
        """One with room for so many; None where graphs cannot be captured."""
        if self._broken:
            return None
        # Edges cost nothing where there are none: coarse sizes, few graphs.
        size = padded(n_atoms, 8), 1 << (max(n_edges, 256) - 1).bit_length()
        if size not in self._spaces:
            while len(self._spaces) >= self._most:
                oldest, _ = self._spaces.popitem(last=False)
                self._graphs.pop(oldest, None)
            self._spaces[size] = self._allocate(*size)
        self._spaces.move_to_end(size)
        return self._spaces[size]

    def replay(self, space: Workspace) -> bool:
        """Run the graph of a workspace; false where it has none and can have none."""
        size = space.n_atoms, space.n_edges
        if self._broken or self._spaces.get(size) is not space:
            return False
        if size not in self._graphs:
            graph = self._capture(space)
            if graph is None:
                self._broken = True
                return False
            self._graphs[size] = graph
        self._graphs[size].replay()
        return True

    def _capture(self, space: Workspace) -> torch.cuda.CUDAGraph | None:
        """Run once outside of a graph, so that every kernel is compiled; then capture."""
        stream = torch.cuda.Stream(space.species.device)
        stream.wait_stream(torch.cuda.current_stream(space.species.device))
        with torch.cuda.stream(stream):
            self._run(space)
        torch.cuda.current_stream(space.species.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._run(space)
        except RuntimeError:
            # Some drivers and tools forbid capture; kernels one by one do as well.
            return None
        return graph
