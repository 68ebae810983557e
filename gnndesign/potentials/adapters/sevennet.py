"""SevenNet checkpoints as an `EquivariantPotential`, without importing `sevenn`.

The weights lie inside the `sevenn` wheel (MIT, Y. Park et al., J. Chem. Theory
Comput. 20, 4857 (2024)). Three conventions of these files differ from today's e3nn:
the last radial layer's columns follow the order in which the paths are enumerated,
some stored Wigner 3j tensors have the opposite sign, and linear weights are flat.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.errors import CheckpointError
from gnndesign.potentials.adapters.packaged import packaged_file
from gnndesign.potentials.base import Card
from gnndesign.potentials.equivariant import (
    EquivariantNetwork,
    EquivariantParameters,
    EquivariantPotential,
    Interaction,
)
from gnndesign.potentials.irreps import Linear
from gnndesign.potentials.radial import Envelope, PolynomialEnvelope, XPLOREnvelope

# A key of the checkpoint's configuration, and the only value of it that we reproduce.
_REQUIRED: Mapping[str, Any] = {
    "_model_type": "E3_equivariant_model",
    "self_connection_type": "linear",
    "interaction_type": "nequip",
    "is_parity": False,
    "use_bias_in_linear": False,
    "readout_as_fcn": False,
    "act_radial": "silu",
    "act_scalar": {"e": "silu", "o": "tanh"},
    "act_gate": {"e": "silu", "o": "tanh"},
    "_normalize_sph": True,
}


def packaged_checkpoint(name: str) -> Path:
    """Where a checkpoint lies inside the installed `sevenn` package.

    Raises:
        MissingDependencyError: `sevenn` is not installed.
        CheckpointError: this release of it does not carry the file.
    """
    file = f"pretrained_potentials/{name}"
    return packaged_file("sevenn", file, release="sevenn>=0.13,<0.14")


def load_sevennet(path: Path, card: Card, device: torch.device) -> EquivariantPotential:
    """Read a SevenNet checkpoint of the single-fidelity NequIP family.

    Raises:
        CheckpointError: not such a checkpoint; the message says what differs.
    """
    content = read_checkpoint(path)
    config, state = content["config"], content["model_state_dict"]
    if config.get("use_modality"):
        raise CheckpointError(
            f"{path.name}: wanted a SevenNet of one level of theory, this one has "
            f"{', '.join(sorted(config['_modal_map']))}. Use the package's own "
            "calculator through gnndesign.potentials.adapters.ase.ASEPotential."
        )
    for key, wanted in _REQUIRED.items():
        if config.get(key) != wanted:
            raise CheckpointError(
                f"{path.name}: wanted a SevenNet with {key} = {wanted!r}, this one has "
                f"{config.get(key)!r}. Use the package's own calculator through "
                "gnndesign.potentials.adapters.ase.ASEPotential."
            )
    parameters = _parameters(config)
    network = EquivariantNetwork(parameters)
    with torch.no_grad():
        _fill(network, state)
    return EquivariantPotential(network, parameters, card, device)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checkpoint's dictionaries, read without running code from the file.

    Raises:
        CheckpointError: the file holds anything but tensors and plain values.
    """
    with warnings.catch_warnings():
        # The files were written with numpy 1, whose name for this module still
        # resolves but warns.
        warnings.simplefilter("ignore", DeprecationWarning)
        multiarray = import_module("numpy.core.multiarray")
        reconstruct = getattr(multiarray, "_reconstruct")  # noqa: B009 - numpy's own
    allowed: list[Any] = [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
    ]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            # What torch finds odd about a pickle's protocol; it is refused below.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is not loaded: wanted tensors and plain values, but it is "
            "damaged or holds other Python objects, which could run code."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path.name} is no readable checkpoint: {first}"
        ) from error
    if not {"config", "model_state_dict"} <= set(content):
        raise CheckpointError(
            f"{path.name}: wanted a SevenNet checkpoint with 'config' and "
            f"'model_state_dict', found {sorted(map(str, content))[:5]}."
        )
    return content


def _parameters(config: Mapping[str, Any]) -> EquivariantParameters:
    species = config["_type_map"]
    by_place = {place: number for number, place in species.items()}
    return EquivariantParameters(
        elements=tuple(int(by_place[place]) for place in range(len(by_place))),
        cutoff=float(config["cutoff"]),
        hidden=tuple(str(irreps) for irreps in config["irreps_manual"]),
        lmax=int(config["lmax"]),
        parity=False,
        n_radial=int(config["radial_basis"]["bessel_basis_num"]),
        radial_hidden=tuple(config["weight_nn_hidden_neurons"]),
        readout_hidden=int(config["channel"]) // 2,
        envelope=_envelope(config["cutoff_function"]),
    )


def _envelope(function: Mapping[str, Any]) -> Envelope:
    match function["cutoff_function_name"]:
        case "XPLOR":
            return XPLOREnvelope(onset=float(function["cutoff_on"]))
        case "poly_cut":
            return PolynomialEnvelope(p=int(function["poly_cut_p_value"]))
        case name:
            raise CheckpointError(
                f"Wanted the cutoff function 'XPLOR' or 'poly_cut', got {name!r}."
            )


def _fill(network: EquivariantNetwork, state: Mapping[str, Tensor]) -> None:
    def copy(target: Tensor, key: str) -> None:
        target.copy_(state[key].reshape(target.shape))

    copy(network.radial_basis.wave_numbers, "edge_embedding.basis_function.coeffs")
    copy(network.embedding, "onehot_to_feature_x.linear.weight")
    for t, layer in enumerate(network.interactions):
        assert isinstance(layer, Interaction)
        _fill_linear(layer.self_connection, state, f"{t}_self_connection_intro")
        _fill_linear(layer.linear_before, state, f"{t}_self_interaction_1")
        _fill_linear(layer.linear_after, state, f"{t}_self_interaction_2")
        convolution = layer.convolution
        copy(convolution.denominator, f"{t}_convolution.denominator")
        for k, weight in enumerate(convolution.radial.weights):
            copy(weight, f"{t}_convolution.weight_nn.layer{k}.weight")
        stored = f"{t}_convolution.convolution._compiled_main_left_right._w3j"
        for k, path in enumerate(convolution.paths):
            key = f"{stored}_{path.sender.l}_{path.harmonic.l}_{path.receiver.l}"
            # Couplings with a scalar are not stored; they have no sign to differ in.
            if key in state:
                coupling = convolution.get_buffer(f"coupling_{k}")
                coupling.copy_(state[key].permute(1, 2, 0))
    for linear, key in zip(
        network.readout,
        ("reduce_input_to_hidden", "reduce_hidden_to_energy"),
        strict=True,
    ):
        assert isinstance(linear, Linear)
        _fill_linear(linear, state, key)
    copy_species = network.scale.shape
    network.scale.copy_(state["rescale_atomic_energy.scale"].expand(copy_species))
    network.shift.copy_(state["rescale_atomic_energy.shift"].expand(copy_species))


def _fill_linear(linear: Linear, state: Mapping[str, Tensor], key: str) -> None:
    flat = state[f"{key}.linear.weight"]
    start = 0
    for weight in linear.weights.values():
        weight.copy_(flat[start : start + weight.numel()].reshape(weight.shape))
        start += weight.numel()
    if start != flat.numel():
        raise CheckpointError(
            f"{key}: wanted {start} weights, the checkpoint has {flat.numel()}."
        )
