"""How much one program of a GPU convolution works on at a time: `Tile`."""

from __future__ import annotations

from dataclasses import dataclass

OPTIONS = {"enable_fp_fusion": True}
"""For every kernel: fused multiply-add, which Triton 3.10 no longer does unasked."""

_FEW_ATOMS = 1024
"""With fewer, an H100 has idle multiprocessors, and more warps share a row of edges."""

_MOST_EDGES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A block of channels of one irrep times some edges of one atom.

    Attributes:
        edges: a power of two.
        channels: a power of two.
        warps: of 32 threads.
    """

    edges: int
    channels: int
    warps: int

    @classmethod
    def choose(cls, channels: int, rows: int, n_atoms: int) -> Tile:
        """A tile for which `rows` registers a channel and edge are there.

        A thread has 255. Compiled for an H100 (compute capability 9.0), SevenNet's
        kernels need 80 to 225 registers with four elements a thread (lmax 2), and two
        for lmax 3, and spill nothing but the largest. Which tiles are fastest no GPU
        has been asked yet; benchmarks/gpu_kernels.py asks.
        """
        elements = 4 if rows <= 30 else 2 if rows <= 64 else 1
        block = channel_block(channels)
        warps = 4 if n_atoms < _FEW_ATOMS else 1
        warps = max(warps, block // (32 * elements))
        edges = max(1, 32 * warps * elements // block)
        return cls(edges=min(edges, _MOST_EDGES), channels=block, warps=warps)


def channel_block(channels: int) -> int:
    """Channels that one program takes: all, up to 128."""
    return min(1 << (channels - 1).bit_length(), 128)


def n_blocks(channels: int) -> int:
    """Programs that share the channels of an irrep."""
    return -(-channels // channel_block(channels))
