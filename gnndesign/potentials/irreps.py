"""Features of atoms as irreducible representations, and what acts on each of them.

Channel-last, one tensor an irrep: (n_atoms, 2l + 1, channels).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.potentials.algebra import (
    SCALAR,
    SILU_FACTOR,
    TANH_FACTOR,
    Irrep,
    irreps,
)

Features = dict[Irrep, Float[Tensor, "n_atoms _components _channels"]]
"""The features of all atoms: (n_atoms, 2l + 1, channels) for each irrep."""

Channels = Mapping[Irrep, int]
"""Number of channels of each irrep."""


def channels_of(content: str | Iterable[tuple[int, Irrep]]) -> Channels:
    """Number of channels of each irrep, by rising l, even before odd.

    Raises:
        ParameterError: a text that names no irreps.
    """
    total: dict[Irrep, int] = {}
    for channels, ir in irreps(content) if isinstance(content, str) else content:
        total[ir] = total.get(ir, 0) + channels
    return dict(sorted(total.items(), key=lambda item: (item[0].l, -item[0].p)))


@dataclass(frozen=True, slots=True)
class Path:
    """One way of coupling a sender's irrep with a harmonic into a receiver's irrep."""

    sender: Irrep
    harmonic: Irrep
    receiver: Irrep


def coupling_paths(
    features: Channels, harmonics: Iterable[Irrep], wanted: Channels
) -> list[Path]:
    """All allowed paths, by sender, then harmonic, then receiver, each by rising l."""
    return [
        Path(sender, harmonic, receiver)
        for sender in features
        for harmonic in harmonics
        for receiver in sender * harmonic
        if receiver in wanted
    ]


def random_weight(*shape: int) -> nn.Parameter:
    """Standard normal numbers to train; on the device "meta" shapes alone."""
    weight = torch.empty(shape)
    # On "meta" random numbers import torch's compiler, which takes a second.
    return nn.Parameter(weight if weight.is_meta else weight.normal_())


class Linear(nn.Module):
    """Mixes channels within each irrep; no path between different irreps.

    Weights are stored unscaled and divided by the square root of the number of
    channels coming in (e3nn's path normalisation).
    """

    def __init__(self, before: Channels, after: Channels) -> None:
        super().__init__()
        self.channels_in = before
        self.weights = nn.ParameterDict(
            {
                str(ir): random_weight(before[ir], after[ir])
                for ir in after
                if ir in before
            }
        )

    def forward(self, features: Features) -> Features:
        """Features after mixing; irreps without a partner vanish."""
        return {
            ir: features[ir] @ (self.weights[str(ir)] / channels**0.5)
            for ir, channels in self.channels_in.items()
            if str(ir) in self.weights
        }


class SpeciesLinear(nn.Module):
    """A `Linear` of its own for each species: NequIP's self-connection.

    Each atom meets a copy of its species' matrices: memory grows with channels² an
    atom.
    """

    def __init__(self, before: Channels, after: Channels, n_species: int) -> None:
        super().__init__()
        self.channels_in = before
        self.n_species = n_species
        self.weights = nn.ParameterDict(
            {
                str(ir): random_weight(n_species, before[ir], after[ir])
                for ir in after
                if ir in before
            }
        )

    def forward(self, features: Features, species: Int[Tensor, " n_atoms"]) -> Features:
        """Features after mixing; irreps without a partner vanish."""
        return {
            ir: features[ir]
            @ (self.weights[str(ir)] / (channels * self.n_species) ** 0.5)[species]
            for ir, channels in self.channels_in.items()
            if str(ir) in self.weights
        }


class Gate(nn.Module):
    """Scalars through silu (odd ones tanh); other irreps times a silu of extra scalars.

    Activations are scaled to unit second moment under a normal input, as in e3nn.
    """

    def __init__(self, after: Channels) -> None:
        super().__init__()
        self.after = after
        n_gates = sum(channels for ir, channels in after.items() if ir.l > 0)
        gates = [(n_gates, SCALAR)] if n_gates else []
        self.before = channels_of([*((mul, ir) for ir, mul in after.items()), *gates])

    def forward(self, features: Features) -> Features:
        """Gated features; the gates are the last of the even scalars."""
        activated = SILU_FACTOR * torch.nn.functional.silu(features[SCALAR])
        start = self.after.get(SCALAR, 0)
        out: Features = {}
        for ir, channels in self.after.items():
            if ir == SCALAR:
                out[ir] = activated[..., :channels]
            elif ir.l == 0:
                out[ir] = TANH_FACTOR * torch.tanh(features[ir])
            else:
                out[ir] = features[ir] * activated[..., start : start + channels]
                start += channels
        return out
