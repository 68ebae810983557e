"""Features of atoms as irreducible representations, and what acts on each of them.

e3nn's algebra with another memory layout: channel-last, one tensor an irrep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from e3nn.math import normalize2mom
from e3nn.o3 import Irrep, Irreps
from jaxtyping import Float
from torch import Tensor, nn

Features = dict[Irrep, Float[Tensor, "n_atoms _components _channels"]]
"""The features of all atoms: (n_atoms, 2l + 1, channels) for each irrep."""


def irreps(content: str | Iterable[tuple[int, Irrep]]) -> Irreps:
    """e3nn's `Irreps`, whose constructor hides its type."""
    return cast("Irreps", Irreps(content))


def irrep(name: str) -> Irrep:
    """e3nn's `Irrep`, whose constructor hides its type."""
    return cast("Irrep", Irrep(name))


SCALAR = irrep("0e")
"""The irrep of an energy."""


def channels_of(blocks: Irreps) -> Mapping[Irrep, int]:
    """Number of channels of each irrep, by rising l."""
    total: dict[Irrep, int] = {}
    for mul, ir in blocks:
        total[ir] = total.get(ir, 0) + mul
    return dict(sorted(total.items(), key=lambda item: (item[0].l, -item[0].p)))


def merge(blocks: Irreps) -> Irreps:
    """The same irreps with equal ones in one block."""
    return irreps((mul, ir) for ir, mul in channels_of(blocks).items())


@dataclass(frozen=True, slots=True)
class Path:
    """One way of coupling a sender's irrep with a harmonic into a receiver's irrep."""

    sender: Irrep
    harmonic: Irrep
    receiver: Irrep


def coupling_paths(features: Irreps, harmonics: Irreps, wanted: Irreps) -> list[Path]:
    """All allowed paths, by sender, then harmonic, then receiver, each by rising l."""
    receivers = channels_of(wanted)
    return [
        Path(sender, harmonic.ir, receiver)
        for sender in channels_of(features)
        for harmonic in harmonics
        for receiver in sorted(sender * harmonic.ir)
        if receiver in receivers
    ]


class Linear(nn.Module):
    """Mixes channels within each irrep; no path between different irreps.

    Weights are stored unscaled and divided by the square root of the number of
    channels coming in (e3nn's path normalisation).
    """

    def __init__(self, before: Irreps, after: Irreps) -> None:
        super().__init__()
        self.channels_in = channels_of(before)
        shared = [ir for ir in channels_of(after) if ir in self.channels_in]
        outgoing = channels_of(after)
        self.weights = nn.ParameterDict(
            {
                str(ir): nn.Parameter(torch.randn(self.channels_in[ir], outgoing[ir]))
                for ir in shared
            }
        )

    def forward(self, features: Features) -> Features:
        """Features after mixing; irreps without a partner vanish."""
        out: Features = {}
        for name, weight in self.weights.items():
            ir = irrep(name)
            out[ir] = features[ir] @ (weight / self.channels_in[ir] ** 0.5)
        return out


class Gate(nn.Module):
    """Scalars through silu (odd ones tanh); other irreps times a silu of extra scalars.

    Activations are scaled to unit second moment under a normal input, as in e3nn.
    """

    def __init__(self, after: Irreps) -> None:
        super().__init__()
        self.after = channels_of(after)
        n_gates = sum(mul for ir, mul in self.after.items() if ir.l > 0)
        scalars = [(mul, ir) for ir, mul in self.after.items() if ir.l == 0]
        gated = [(mul, ir) for ir, mul in self.after.items() if ir.l > 0]
        gates = [(n_gates, SCALAR)] if n_gates else []
        self.before = merge(irreps([*scalars, *gates, *gated]))
        self._silu = normalize2mom(torch.nn.functional.silu)
        self._tanh = normalize2mom(torch.tanh)

    def forward(self, features: Features) -> Features:
        """Gated features; the gates are the last of the even scalars."""
        activated = self._silu(features[SCALAR])
        start = self.after.get(SCALAR, 0)
        out: Features = {}
        for ir, channels in self.after.items():
            if ir == SCALAR:
                out[ir] = activated[..., :channels]
            elif ir.l == 0:
                out[ir] = self._tanh(features[ir])
            else:
                out[ir] = features[ir] * activated[..., start : start + channels]
                start += channels
        return out
