"""What every sparse point would give to energy, forces and stress, weighted with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.power_spectrum import PowerSpectrum

_NUMBERS_AT_ONCE = 1 << 22
"""Of an array of edges: 32 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRows:
    """One structure's row, or rows, of a matrix with a column for every sparse point.

    Attributes:
        energy: (n_points,) Σ_i k(q_i, q_s).
        forces: (n_atoms, 3, n_points) 1/Å, minus its slope by the positions.
        virial: (3, 3, n_points) its slope by strain.
    """

    energy: Float[Tensor, " n_points"]
    forces: Float[Tensor, "n_atoms 3 n_points"]
    virial: Float[Tensor, "3 3 n_points"]


def kernel_rows(
    spectrum: PowerSpectrum,
    points: Sequence[Float[Tensor, "_n_points n_features"]],
    zeta: int,
    species: Int[Tensor, " n_atoms"],
    batch: AtomicBatch,
    edges: NeighborList,
) -> KernelRows:
    """The rows of one structure, in float64.

    With u_s = q_i · q_s and D = (∂c_i / ∂r_ij) c_iᵀ, half of the slope of the spectrum's
    matrix p_i = c_i c_iᵀ by an edge vector,

        ∂k_s / ∂r_ij = ζ u_s^(ζ-1) / |p_i| (2 q_s : D - u_s 2 p_i : D / |p_i|)

    so that one matrix product an element does it for all points and edges.

    Args:
        spectrum: the descriptor.
        points: of each element, (n_points, n_features) q_s; one element after the other
            they are the columns.
        zeta: exponent of the kernel.
        species: places of the atoms' elements.
        batch: one structure.
        edges: its neighbors within the cutoff.
    """
    coefficients = spectrum.coefficients(species, batch, edges, torch.float64)
    p = spectrum.spectrum(coefficients)
    length = p.norm(dim=-1, keepdim=True)
    p_matrices = spectrum.matrices(p)
    vectors = edges.vectors(batch)
    counts = [len(chosen) for chosen in points]
    energy, forces, virial = (
        p.new_zeros(*shape, sum(counts)) for shape in ((), (batch.n_atoms, 3), (3, 3))
    )
    parts = [tensor.split(counts, -1) for tensor in (energy, forces, virial)]
    for s, (chosen, e, f, v) in enumerate(zip(points, *parts, strict=True)):
        u = p @ chosen.mT / length
        e.add_((u[species == s] ** zeta).sum(0))
        factors = zeta * u ** (zeta - 1) / length
        point_matrices = spectrum.matrices(chosen)
        for t, part in _groups(spectrum, species, edges, s):
            i, j = edges.centers[part], edges.neighbors[part]
            block = slice(t * spectrum.n_max, (t + 1) * spectrum.n_max)
            products = torch.stack(
                [
                    torch.einsum("eknm,efm->eknf", slopes, c[i])
                    for slopes, c in zip(
                        spectrum.edge_slopes(vectors[part]), coefficients, strict=True
                    )
                ],
                2,
            ).flatten(2)
            slopes = 2.0 * products @ point_matrices[:, :, block].flatten(1).mT
            own = 2.0 * products @ p_matrices[i][:, :, block].flatten(1).unsqueeze(2)
            slopes -= (own / length[i].unsqueeze(1)) * u[i].unsqueeze(1)
            slopes *= factors[i].unsqueeze(1)
            f.index_add_(0, i, slopes).index_add_(0, j, slopes, alpha=-1.0)
            v.add_(torch.einsum("ea,ebs->abs", vectors[part], slopes))
    return KernelRows(energy=energy, forces=forces, virial=virial)


def _groups(
    spectrum: PowerSpectrum,
    species: Int[Tensor, " n_atoms"],
    edges: NeighborList,
    element: int,
) -> Iterator[tuple[int, Int[Tensor, " n_some"]]]:
    """Edges of the centers of an element, by the element of the neighbor, in portions."""
    matrix = (spectrum.l_max + 1) * spectrum.n_max * spectrum.n_functions
    portion = max(_NUMBERS_AT_ONCE // (3 * matrix), 1)
    mine = species[edges.centers] == element
    for other in range(len(spectrum.elements)):
        group = (mine & (species[edges.neighbors] == other)).nonzero()[:, 0]
        for part in group.split(portion):
            if len(part):
                yield other, part
