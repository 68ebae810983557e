"""SevenNet checkpoints as an `EquivariantPotential`, without importing `sevenn`.

Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024). What differs in these files is
resolved while reading, so that the network knows nothing of it: linear weights are
flat, in the order of irreps in the file; radial weights, messages and gates follow the
order in which the package enumerates its paths, which changed with 0.11; and before
that, some stored Wigner 3j tensors have the opposite sign of e3nn's, which is moved
into the radial weights.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.adapters.packaged import packaged_file
from gnndesign.potentials.adapters.sevennet_order import (
    Blocks,
    SevenNetLayer,
    inferred_layers,
)
from gnndesign.potentials.algebra import SCALAR, irreps
from gnndesign.potentials.base import Card
from gnndesign.potentials.equivariant import (
    EquivariantNetwork,
    EquivariantParameters,
    EquivariantPotential,
)
from gnndesign.potentials.file_format import sha256
from gnndesign.potentials.files import assemble
from gnndesign.potentials.irreps import channels_of
from gnndesign.potentials.radial import Envelope, PolynomialEnvelope, XPLOREnvelope
from gnndesign.potentials.trainable import count_parameters

# A key of the checkpoint's configuration, and the only value of it that we reproduce.
_REQUIRED: Mapping[str, Any] = {
    "_model_type": "E3_equivariant_model",
    "interaction_type": "nequip",
    "use_bias_in_linear": False,
    "readout_as_fcn": False,
    "act_radial": "silu",
    "act_scalar": {"e": "silu", "o": "tanh"},
    "act_gate": {"e": "silu", "o": "tanh"},
    "_normalize_sph": True,
}
_SELF_CONNECTIONS = {"linear": "linear", "nequip": "species"}
_OTHERWISE = (
    "Use the package's own calculator through "
    "gnndesign.potentials.adapters.ase.ASEPotential."
)
# What torch and pickle raise on files that are no checkpoints.
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    struct.error,
)


def packaged_checkpoint(name: str) -> Path:
    """Where a checkpoint lies inside the installed `sevenn` package.

    Raises:
        MissingDependencyError: `sevenn` is not installed.
        CheckpointError: this release of it does not carry the file.
    """
    file = f"pretrained_potentials/{name}"
    return packaged_file("sevenn", file, release="sevenn>=0.13,<0.14")


def load_sevennet(path: Path, device: torch.device) -> EquivariantPotential:
    """Read a SevenNet checkpoint of one level of theory, with a card of what it says.

    Raises:
        CheckpointError: not such a checkpoint; the message says what differs.
    """
    network, parameters = read_network(path)
    card = Card(
        name=str(path),
        title=path.stem,
        licence="unknown: not stated in the file",
        level_of_theory="unknown: not stated in the file",
        training_data="unknown: not stated in the file",
        n_parameters=count_parameters(network),
        elements=tuple(sorted(parameters.elements)),
        cutoff=parameters.cutoff,
        checksum=sha256(path),
        citation="Architecture: Y. Park et al., J. Chem. Theory Comput. 20, 4857 "
        "(2024); of the weights: unknown",
    )
    return EquivariantPotential(network, parameters, card, device)


def read_network(path: Path) -> tuple[EquivariantNetwork, EquivariantParameters]:
    """The network in a SevenNet checkpoint, and its shape.

    Raises:
        CheckpointError: not such a checkpoint; the message says what differs.
    """
    content = read_checkpoint(path)
    config, state = content["config"], content["model_state_dict"]
    if not isinstance(config, dict) or not isinstance(state, dict):
        raise CheckpointError(
            f"{path.name}: wanted dictionaries under 'config' and 'model_state_dict', "
            f"found {type(config).__name__} and {type(state).__name__}."
        )
    _check_family(path, config)
    try:
        parameters = _parameters(config)
        tensors = _tensors(config, parameters, state)
    except KeyError as error:
        raise CheckpointError(
            f"{path.name}: a SevenNet checkpoint has {error.args[0]!r}, this one does "
            "not: it is damaged or of an unknown release."
        ) from error
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        raise CheckpointError(
            f"{path.name} does not hold the network that it describes "
            f"({str(error).partition(chr(10))[0]}). {_OTHERWISE}"
        ) from error
    return assemble(parameters, tensors, path.name), parameters


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checkpoint's dictionaries, read without running code from the file.

    Raises:
        CheckpointError: the file holds anything but tensors and plain values.
    """
    try:
        with (
            torch.serialization.safe_globals(_allowed()),
            warnings.catch_warnings(),
        ):
            # What torch finds odd about a pickle's protocol; it is refused below.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is not loaded: wanted tensors and plain values, but it is "
            "damaged or holds other Python objects, which could run code."
        ) from error
    except _UNREADABLE as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path.name} is no readable checkpoint: {first}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path.name}: wanted a SevenNet checkpoint, found a lone "
            f"{type(content).__name__}."
        )
    if not {"config", "model_state_dict"} <= set(content):
        raise CheckpointError(
            f"{path.name}: wanted a SevenNet checkpoint with 'config' and "
            f"'model_state_dict', found {sorted(map(str, content))[:5]}."
        )
    return content


def _allowed() -> list[Any]:
    """What builds numpy's arrays and numbers, by the names of numpy 1 and 2."""
    allowed: list[Any] = [np.ndarray, np.dtype]
    allowed += [np.dtypes.Float64DType, np.dtypes.Float32DType]
    allowed += [np.dtypes.Int64DType, np.dtypes.Int32DType]
    with warnings.catch_warnings():
        # The name of numpy 1 still resolves but warns.
        warnings.simplefilter("ignore", DeprecationWarning)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            functions = import_module(module)
            for name in ("_reconstruct", "scalar"):
                allowed.append((getattr(functions, name), f"{module}.{name}"))
    return allowed


def _check_family(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("use_modality"):
        raise CheckpointError(
            f"{path.name}: wanted a SevenNet of one level of theory, this one has "
            f"{', '.join(sorted(config.get('_modal_map', {})))}. {_OTHERWISE}"
        )
    for key, wanted in _REQUIRED.items():
        if config.get(key) != wanted:
            raise CheckpointError(
                f"{path.name}: wanted a SevenNet with {key} = {wanted!r}, this one has "
                f"{config.get(key)!r}. {_OTHERWISE}"
            )
    connections = config.get("self_connection_type", "nequip")
    kinds = connections if isinstance(connections, list) else [connections]
    if len(set(kinds)) != 1 or kinds[0] not in _SELF_CONNECTIONS:
        raise CheckpointError(
            f"{path.name}: wanted self_connection_type 'linear' or 'nequip' in all "
            f"layers, this one has {connections!r}. {_OTHERWISE}"
        )


def _hidden(config: Mapping[str, Any]) -> list[Blocks]:
    """Irreps before and after each interaction, in the package's order."""
    manual = config.get("irreps_manual")
    layers = (
        [irreps(str(text)) for text in manual] if manual else inferred_layers(config)
    )
    for layer in layers:
        if len({ir for _, ir in layer}) != len(layer):
            raise ParameterError(f"an irrep twice in one layer: {manual}")
        if [ir.l > 0 for _, ir in layer] != sorted(ir.l > 0 for _, ir in layer):
            # Its gate puts the scalars first, and the next layer does not know.
            raise ParameterError(
                f"scalars after other irreps, which the package mixes up: {manual}"
            )
    if any(ir.p == -1 for _, ir in layers[-1]):
        raise ParameterError(f"odd irreps in the last layer: {manual}")
    return layers


def _parameters(config: Mapping[str, Any]) -> EquivariantParameters:
    species = config["_type_map"]
    by_place = {place: number for number, place in species.items()}
    layers = _hidden(config)
    connections = config.get("self_connection_type", "nequip")
    kind = connections[0] if isinstance(connections, list) else connections
    lmax_edge = int(config.get("lmax_edge", -1))
    return EquivariantParameters(
        elements=tuple(int(by_place[place]) for place in range(len(by_place))),
        cutoff=float(config["cutoff"]),
        hidden=tuple("+".join(f"{mul}x{ir}" for mul, ir in layer) for layer in layers),
        lmax=lmax_edge if lmax_edge > 0 else int(config["lmax"]),
        parity=bool(config["is_parity"]),
        n_radial=int(config["radial_basis"].get("bessel_basis_num", 8)),
        radial_hidden=tuple(config["weight_nn_hidden_neurons"]),
        readout_hidden=sum(mul * ir.dim for mul, ir in layers[-1]) // 2,
        envelope=_envelope(config["cutoff_function"]),
        self_connection="linear" if kind == "linear" else "species",
    )


def _envelope(function: Mapping[str, Any]) -> Envelope:
    match function["cutoff_function_name"]:
        case "XPLOR":
            return XPLOREnvelope(onset=float(function["cutoff_on"]))
        case "poly_cut":
            return PolynomialEnvelope(p=int(function.get("poly_cut_p_value", 6)))
        case name:
            raise ParameterError(
                f"wanted the cutoff function 'XPLOR' or 'poly_cut', got {name!r}"
            )


def _tensors(
    config: Mapping[str, Any],
    parameters: EquivariantParameters,
    state: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The network's tensors by our names."""
    layers = _hidden(config)
    n_species = len(parameters.elements)
    embedding = state["onehot_to_feature_x.linear.weight"]
    tensors = {
        "embedding": embedding.reshape(n_species, -1),
        "radial_basis.wave_numbers": state["edge_embedding.basis_function.coeffs"],
        "scale": state["rescale_atomic_energy.scale"].expand(n_species),
        "shift": state["rescale_atomic_energy.shift"].expand(n_species),
    }
    readout = {
        "reduce_input_to_hidden": (channels_of(layers[-1])[SCALAR], "0"),
        "reduce_hidden_to_energy": (parameters.readout_hidden, "1"),
    }
    for key, (channels, place) in readout.items():
        weight = state[f"{key}.linear.weight"].reshape(channels, -1)
        tensors[f"readout.{place}.weights.{SCALAR}"] = weight
    release = tuple(int(part) for part in str(config["version"]).split(".")[:2])
    for number in range(len(layers) - 1):
        layer = SevenNetLayer(
            parameters=parameters,
            before=layers[number],
            after=layers[number + 1],
            is_last=number == len(layers) - 2,
            is_old=release < (0, 11) or ".dev" in str(config["version"]),
        )
        found = layer.tensors(state, f"{number}_")
        tensors |= {f"interactions.{number}.{k}": v for k, v in found.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
