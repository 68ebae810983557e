"""Saving and loading a potential: one safetensors file, no code in it.

Here of one network; sums and committees are in compound_files.py.

The tensors are the network's own, by name. The description has the shape of the network,
the card, and the file the weights came from. See file_format.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.architectures import (
    ARCHITECTURES,
    Architecture,
    architecture,
)
from gnndesign.potentials.base import Card, Potential
from gnndesign.potentials.file_format import (
    FORMAT,
    SUFFIX,
    VERSION,
    read_file,
    sha256,
    take,
    take_list,
    written,
)
from gnndesign.potentials.radial import PolynomialEnvelope, XPLOREnvelope
from gnndesign.potentials.trainable import TrainablePotential, count_parameters

_ENVELOPES = {"polynomial": PolynomialEnvelope, "xplor": XPLOREnvelope}
_CARD_TEXTS = ("title", "licence", "level_of_theory", "training_data", "citation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where weights come from.

    Attributes:
        file: its name.
        checksum: its SHA-256.
    """

    file: str
    checksum: str


def save_potential(potential: Potential, path: str | Path) -> None:
    """Write a potential to a `.safetensors` file that `load_potential` reads.

    The file exists completely or not at all, and predictions after loading are equal to
    the last bit. A sum or a committee is written with all its parts; of those whose
    weights are in another package (CHGNet) the name and checksum are.

    Args:
        potential: trainable, or a sum or committee of what can be saved.
        path: of the file.

    Raises:
        ParameterError: another kind of potential, or another suffix.
    """
    from gnndesign.disk import replacing
    from gnndesign.potentials.compound_files import COMPOUNDS, encode_compound

    path = Path(path)
    if type(potential) in COMPOUNDS.values():
        content = encode_compound(potential)
    elif isinstance(potential, TrainablePotential):
        content = written(*network_part(potential))
    else:
        raise ParameterError(
            f"Wanted a trainable potential to save, or a sum or committee, got "
            f"'{potential.card.name}', a {type(potential).__name__}. It needs no file: "
            "make it again, or add it to a potential and save the sum."
        )
    if path.suffix != SUFFIX:
        raise ParameterError(f"Wanted a file name with {SUFFIX}, got {path.name!r}.")
    with replacing(path) as partial:
        partial.write_bytes(content)


def network_part(
    potential: TrainablePotential[Any],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors of a network, as a file has them."""
    card = potential.card
    origin = Origin(file=Path(card.name).name, checksum=card.checksum)
    return _described(
        potential.network, potential.parameters, card, origin, potential.architecture
    )


def encode(
    network: nn.Module,
    parameters: Any,
    card: Card,
    origin: Origin,
    name: str = "equivariant",
) -> bytes:
    """The content of a potential's file."""
    return written(*_described(network, parameters, card, origin, name))


def _described(
    network: nn.Module, parameters: Any, card: Card, origin: Origin, name: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    shape = asdict(parameters)
    if "envelope" in shape:
        kinds = {kind: name for name, kind in _ENVELOPES.items()}
        shape["envelope"]["kind"] = kinds[type(parameters.envelope)]
    description = {
        "format": FORMAT + name,
        "format_version": VERSION,
        "network": shape,
        "card": {key: getattr(card, key) for key in (*_CARD_TEXTS, "notes")},
        "origin": asdict(origin),
        **({"training": dict(card.training)} if card.training else {}),
    }
    tensors = {
        key: tensor.detach().cpu().contiguous()
        for key, tensor in network.state_dict().items()
    }
    return description, tensors


def read_potential(path: Path, device: torch.device) -> TrainablePotential[Any]:
    """Read a file of `save_potential`.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, tensors = read_file(path, with_tensors=True)
    return network_potential(
        path.name, description, tensors, device, name=str(path), checksum=sha256(path)
    )


def network_potential(
    file: str,
    description: dict[str, Any],
    tensors: Mapping[str, Tensor],
    device: torch.device,
    *,
    name: str,
    checksum: str,
) -> TrainablePotential[Any]:
    """The potential of a description and its tensors.

    Args:
        file: what an error is about.
        description: as of `network_part`.
        tensors: likewise.
        device: where it computes.
        name: of the card.
        checksum: likewise.

    Raises:
        CheckpointError: they do not belong together, or are no network of ours.
    """
    architecture_name, kind, parameters = _architecture(file, description)
    network = assemble(parameters, tensors, file, architecture_name)
    card = _card(file, description, parameters, count_parameters(network))
    card = replace(card, name=name, checksum=checksum)
    return kind.potential_of(architecture_name, network, parameters, card, device)


def read_card(path: Path) -> Card:
    """The card in a file of `save_potential`; the tensors are not read.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, _ = read_file(path, with_tensors=False)
    _, kind, parameters = _architecture(path.name, description)
    with torch.device("meta"):
        n_parameters = count_parameters(kind.build(parameters))
    card = _card(path.name, description, parameters, n_parameters)
    return replace(card, name=str(path), checksum=sha256(path))


def read_origin(path: Path) -> Origin:
    """Where the weights in a file of `save_potential` come from.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, _ = read_file(path, with_tensors=False)
    return origin_of(path.name, description)


def origin_of(file: str, description: dict[str, Any]) -> Origin:
    """Where the weights of a described network come from.

    Raises:
        CheckpointError: it does not say.
    """
    origin = take(file, description, "origin", dict)
    return Origin(
        file=take(file, origin, "file", str),
        checksum=take(file, origin, "checksum", str),
    )


def assemble(
    parameters: Any,
    tensors: Mapping[str, Tensor],
    file: str,
    kind: str = "equivariant",
) -> Any:
    """A network of these tensors, which become its weights.

    Raises:
        CheckpointError: a tensor is missing, unknown, of another shape or floating
            type, or not finite.
    """
    # Without memory: what the file claims is compared before anything is allocated.
    with torch.device("meta"):
        network = architecture(kind).build(parameters)
    wanted = network.state_dict()
    missing, unknown = set(wanted) - set(tensors), set(tensors) - set(wanted)
    for what, names in (("lacks", missing), ("has an unknown", unknown)):
        if names:
            raise CheckpointError(
                f"{file} does not hold the network it describes: it {what} tensor "
                f"{min(names)!r}. Load the whole file as it was saved."
            )
    dtype = tensors[next(iter(wanted))].dtype
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{file}: wanted {name!r} of shape {tuple(wanted[name].shape)}, it is "
                f"{tuple(tensor.shape)}. Load the whole file as it was saved."
            )
        if tensor.dtype != dtype or dtype not in (torch.float32, torch.float64):
            raise CheckpointError(
                f"{file}: wanted float32 or float64 throughout, {name!r} is "
                f"{tensor.dtype}. Save the potential in one of these."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{file}: {name!r} holds numbers that are not finite: training went "
                "wrong or the file is damaged. Use an earlier checkpoint."
            )
    network.load_state_dict(dict(tensors), assign=True)
    return network


def _architecture(
    file: str, description: dict[str, Any]
) -> tuple[str, Architecture, Any]:
    """Name, kind and shape of the network that a file describes."""
    name = take(file, description, "format", str).removeprefix(FORMAT)
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"{file}: wanted an architecture of {', '.join(ARCHITECTURES)}, it is "
            f"{name!r}. Update gnndesign."
        )
    kind = architecture(name)
    shape = take(file, description, "network", dict)
    if "envelope" in shape:
        given = take(file, shape, "envelope", dict)
        if given.get("kind") not in _ENVELOPES:
            raise CheckpointError(
                f"{file}: wanted an envelope of {', '.join(_ENVELOPES)}, it has "
                f"{given.get('kind')!r}. Update gnndesign."
            )
    try:
        reader = TypeAdapter(kind.shape_class)
        return name, kind, reader.validate_json(json.dumps(shape), strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the shape"
        raise CheckpointError(
            f"{file}: its description of the network is wrong in {where!r}: "
            f"{wrong['msg']}, got {wrong['input']!r}. Save the potential again."
        ) from error
    except ParameterError as error:
        raise CheckpointError(f"{file} cannot be loaded. {error}") from error


def _card(
    file: str,
    description: dict[str, Any],
    parameters: Any,
    n_parameters: int,
) -> Card:
    card = take(file, description, "card", dict)
    return Card(
        name=file,
        n_parameters=n_parameters,
        elements=tuple(sorted(parameters.elements)),
        cutoff=parameters.cutoff,
        checksum="",
        notes=take_list(file, card, "notes", str),
        training=take(file, {"training": {}, **description}, "training", dict),
        **{key: take(file, card, key, str) for key in _CARD_TEXTS},
    )
