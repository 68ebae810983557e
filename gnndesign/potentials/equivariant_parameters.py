"""The shape of an equivariant network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from gnndesign.errors import ParameterError
from gnndesign.potentials.algebra import LARGEST_L, SCALAR, Irrep
from gnndesign.potentials.irreps import Channels, channels_of, coupling_paths
from gnndesign.potentials.radial import Envelope, PolynomialEnvelope


@dataclass(frozen=True, slots=True, kw_only=True)
class EquivariantParameters:
    """The shape of an equivariant network.

    Attributes:
        elements: atomic numbers it knows, in the order of its embedding.
        cutoff: Å.
        hidden: irreps of the features before each interaction and after the last:
            n_layers + 1 entries; the first holds even scalars alone.
        lmax: largest order of the spherical harmonics.
        parity: whether the harmonics change sign under inversion; without it every
            quantity counts as even, as in SevenNet-0.
        n_radial: number of Bessel functions.
        radial_hidden: widths of the radial network's hidden layers.
        readout_hidden: channels between the last features and the energy.
        envelope: cutoff function.
        self_connection: whether an atom's own features are mixed by one matrix
            ("linear", SevenNet) or by one for each species ("species", NequIP).

    Raises:
        ParameterError: no network has such a shape.
    """

    elements: tuple[int, ...]
    cutoff: float
    hidden: tuple[str, ...]
    lmax: int
    parity: bool
    n_radial: int
    radial_hidden: tuple[int, ...]
    readout_hidden: int
    envelope: Envelope
    self_connection: Literal["linear", "species"] = "linear"

    def __post_init__(self) -> None:
        """Check what would otherwise go wrong late or silently."""
        known = all(1 <= number <= 118 for number in self.elements)
        _require(
            known and len(set(self.elements)) == len(self.elements) > 0,
            f"different atomic numbers from 1 to 118, got {list(self.elements)}",
        )
        _require(0 < self.cutoff < 100, f"a cutoff in Å, got {self.cutoff}")
        _require(
            0 <= self.lmax <= LARGEST_L, f"lmax of 0 to {LARGEST_L}, got {self.lmax}"
        )
        envelope = self.envelope
        _require(
            envelope.p >= 2
            if isinstance(envelope, PolynomialEnvelope)
            else 0 <= envelope.onset < self.cutoff,
            f"an envelope with p > 1 or an onset below the cutoff, got {envelope}",
        )
        sizes = (self.n_radial, self.readout_hidden, *self.radial_hidden)
        _require(
            all(0 < size < 1_000_000 for size in sizes),
            f"layers of at least one channel, got {list(sizes)}",
        )
        layers = self.channels
        _require(1 < len(layers) <= 100, f"1 to 99 interactions, got {len(layers) - 1}")
        _require(
            set(layers[0]) == {SCALAR} and SCALAR in layers[-1],
            f"even scalars at both ends, got {self.hidden[0]!r} and {self.hidden[-1]!r}",
        )
        for number, (before, after) in enumerate(pairwise(layers), 1):
            reached = {
                path.receiver for path in coupling_paths(before, self.harmonics, after)
            }
            missing = ", ".join(str(ir) for ir in after if ir not in reached)
            _require(
                SCALAR in after and not missing,
                f"irreps with 0e that interaction {number} can make, got "
                f"{self.hidden[number]!r}" + (f"; not {missing}" if missing else ""),
            )

    @property
    def channels(self) -> list[Channels]:
        """`hidden`, read."""
        return [channels_of(text) for text in self.hidden]

    @property
    def harmonics(self) -> list[Irrep]:
        """Irreps of the spherical harmonics, by rising l."""
        sign = -1 if self.parity else 1
        return [Irrep(l, sign**l) for l in range(self.lmax + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EquivariantShape:
    """An equivariant network of few numbers.

    Attributes:
        elements: atomic numbers.
        cutoff: Å.
        channels: of each l of the hidden features, which have the parity (-1)^l alone
            (with `parity`; else all count as even).
        lmax: largest l of features and harmonics.
        n_interactions: rounds of messages.
        parity: whether the energy of a mirror image is the same.
        n_radial: number of Bessel functions.
        radial_hidden: widths of the radial network.
        self_connection: whether an atom's own features are mixed by one matrix
            ("linear") or by one for each species ("species").
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    channels: int = 32
    lmax: int = 2
    n_interactions: int = 3
    parity: bool = True
    n_radial: int = 8
    radial_hidden: tuple[int, ...] = (64, 64)
    self_connection: Literal["linear", "species"] = "species"

    @property
    def parameters(self) -> EquivariantParameters:
        """All that there is to say of it.

        Raises:
            ParameterError: no network has such a shape.
        """
        orders = range(self.lmax + 1)
        sign = [("o" if self.parity and l % 2 else "e") for l in orders]
        hidden = "+".join(f"{self.channels}x{l}{sign[l]}" for l in orders)
        ends = f"{self.channels}x0e"
        return EquivariantParameters(
            elements=self.elements,
            cutoff=self.cutoff,
            hidden=(ends, *(hidden,) * (self.n_interactions - 1), ends),
            lmax=self.lmax,
            parity=self.parity,
            n_radial=self.n_radial,
            radial_hidden=tuple(self.radial_hidden),
            readout_hidden=max(self.channels // 2, 1),
            envelope=PolynomialEnvelope(p=6),
            self_connection=self.self_connection,
        )


def _require(kept: bool, wanted: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not kept:
        raise ParameterError(f"An equivariant network wants {wanted}.")
