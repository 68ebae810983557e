"""An `EquivariantNetwork` written down as the few arrays that inference needs.

Everything constant is folded in float64: e3nn's normalisations into the matrices, the
activations' second moments into the matrices that follow them, the convolution's
denominator into the radial weights, the species embedding into the first layer's input,
the two linear read-outs and the energy scale into one vector and one factor an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from gnndesign.errors import ParameterError
from gnndesign.potentials.algebra import (
    SCALAR,
    SILU_FACTOR,
    TANH_FACTOR,
    Irrep,
    coupling,
)
from gnndesign.potentials.equivariant import (
    Convolution,
    EquivariantNetwork,
    EquivariantParameters,
    Interaction,
)
from gnndesign.potentials.irreps import Gate, Linear
from gnndesign.potentials.radial import XPLOREnvelope
from gnndesign.potentials.trainable import weights_checksum

Matrices = Mapping[Irrep, Float[ndarray, "_channels_in _channels_out"]]
"""One matrix an irrep, to be multiplied from the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredPath:
    """One Clebsch-Gordan path of a convolution.

    Attributes:
        sender: irrep of the neighbor's features.
        harmonic: order l of the spherical harmonics.
        receiver: irrep of the message.
        columns: where its radial weights lie, one a channel of the sender.
        place: where its channels lie among those of the summed messages of `receiver`.
    """

    sender: Irrep
    harmonic: int
    receiver: Irrep
    columns: slice
    place: slice

    @property
    def orders(self) -> tuple[int, int, int]:
        """(l of the sender, l of the harmonics, l of the receiver)."""
        return self.sender.l, self.harmonic, self.receiver.l


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredLayer:
    """One interaction.

    Attributes:
        senders: channels of the convolution's input by irrep.
        middle: channels of the summed messages by irrep.
        gate: the gate at its end; `gate.before` and `gate.after` name its irreps. Its
            activations are the bare silu and tanh.
        paths: of the convolution.
        radial: distances (n,) Å in float64 to weights (n, n_weights), differentiable.
        self_connection, before, after: the linear maps around the convolution; the
            first two are applied to the output of the gate before, and None in the
            first layer, whose input depends on the species alone.
        species_input, species_kept: (n_species, channels) the scalars that enter the
            first convolution, and that bypass it; None in later layers.
    """

    senders: Mapping[Irrep, int]
    middle: Mapping[Irrep, int]
    gate: Gate
    paths: tuple[LoweredPath, ...]
    radial: Callable[[Tensor], Tensor]
    self_connection: Matrices | None
    before: Matrices | None
    after: Matrices
    species_input: ndarray | None
    species_kept: ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredNetwork:
    """A whole network.

    Attributes:
        cutoff: Å.
        breaks: Å, ascending, where the radial functions are not smooth; the last is
            the cutoff.
        lmax: of the spherical harmonics.
        layers: the interactions.
        couplings: (2 l2 + 1, 2 l_receiver + 1, 2 l_sender + 1) by orders of a path,
            Wigner 3j times sqrt(2 l_receiver + 1): message[k, i -> ] =
            Σ_m couplings[m, k, i] Y_m.
        readout: (channels,) of the last features to the unscaled energy.
        scale, shift: (n_species,) eV.
        digest: SHA-256 of the weights.
    """

    cutoff: float
    breaks: tuple[float, ...]
    lmax: int
    layers: tuple[LoweredLayer, ...]
    couplings: Mapping[tuple[int, int, int], ndarray]
    readout: ndarray
    scale: ndarray
    shift: ndarray
    digest: str


def lower(
    network: EquivariantNetwork, parameters: EquivariantParameters
) -> LoweredNetwork:
    """Fold a network's constants; later changes of its weights are not seen.

    Raises:
        ParameterError: its self-connection has a matrix for each species.
    """
    if parameters.self_connection != "linear":
        raise ParameterError(
            "Wanted a network with the self-connection 'linear', got "
            f"{parameters.self_connection!r}, which has no fused form."
        )
    layers: list[LoweredLayer] = []
    incoming: Gate | None = None
    for interaction in network.interactions:
        assert isinstance(interaction, Interaction)
        layers.append(_lower_layer(network, interaction, incoming))
        incoming = interaction.gate
    assert incoming is not None
    first, second = (_matrices(linear, None) for linear in network.readout)
    readout = first[SCALAR] @ second[SCALAR] * _moments(incoming)[SCALAR]
    envelope = parameters.envelope
    onset = (envelope.onset,) if isinstance(envelope, XPLOREnvelope) else ()
    host = torch.device("cpu")
    return LoweredNetwork(
        cutoff=parameters.cutoff,
        breaks=(*onset, parameters.cutoff),
        lmax=parameters.lmax,
        layers=tuple(layers),
        couplings={
            path.orders: coupling(*path.orders, torch.float64, host).numpy()
            for layer in layers
            for path in layer.paths
        },
        readout=readout[:, 0],
        scale=_array(network.scale),
        shift=_array(network.shift),
        digest=weights_checksum(network, parameters),
    )


def _lower_layer(
    network: EquivariantNetwork, interaction: Interaction, incoming: Gate | None
) -> LoweredLayer:
    convolution = interaction.convolution
    paths = _paths(convolution)
    before = _matrices(interaction.linear_before, incoming)
    kept = _matrices(interaction.self_connection, incoming)
    species = None
    if incoming is None:
        species = _array(network.embedding) / network.embedding.shape[0] ** 0.5
    return LoweredLayer(
        senders=convolution.channels,
        middle=convolution.middle,
        gate=interaction.gate,
        paths=paths,
        radial=_radial(network, convolution),
        self_connection=None if species is not None else kept,
        before=None if species is not None else before,
        after=_matrices(interaction.linear_after, None),
        species_input=None if species is None else species @ before[SCALAR],
        species_kept=None if species is None else species @ kept[SCALAR],
    )


def _paths(convolution: Convolution) -> tuple[LoweredPath, ...]:
    paths: list[LoweredPath] = []
    filled: dict[Irrep, int] = {}
    start = 0
    for path in convolution.paths:
        channels = convolution.channels[path.sender]
        place = filled.get(path.receiver, 0)
        filled[path.receiver] = place + channels
        paths.append(
            LoweredPath(
                sender=path.sender,
                harmonic=path.harmonic.l,
                receiver=path.receiver,
                columns=slice(start, start + channels),
                place=slice(place, place + channels),
            )
        )
        start += channels
    return tuple(paths)


def _radial(
    network: EquivariantNetwork, convolution: Convolution
) -> Callable[[Tensor], Tensor]:
    basis = _double_copy(network.radial_basis)
    radial = _double_copy(convolution.radial)
    denominator = convolution.denominator.detach().double().cpu()

    def weights(distances: Tensor) -> Tensor:
        return radial(basis(distances), denominator)

    return weights


def _double_copy(module: torch.nn.Module) -> torch.nn.Module:
    return deepcopy(module).cpu().double().requires_grad_(requires_grad=False)


def _matrices(linear: torch.nn.Module, incoming: Gate | None) -> Matrices:
    """Normalised matrices; what the gate before leaves out is folded in."""
    assert isinstance(linear, Linear)
    moments = {} if incoming is None else _moments(incoming)
    return {
        ir: _array(linear.weights[str(ir)]) / channels**0.5 * moments.get(ir, 1.0)
        for ir, channels in linear.channels_in.items()
        if str(ir) in linear.weights
    }


def _moments(gate: Gate) -> dict[Irrep, float]:
    """What the gate multiplies each irrep with beyond bare silu and tanh."""
    return {
        ir: TANH_FACTOR if ir.l == 0 and ir.p == -1 else SILU_FACTOR
        for ir in gate.after
    }


def _array(tensor: Tensor) -> ndarray:
    return tensor.detach().double().cpu().numpy()
