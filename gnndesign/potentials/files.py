"""Saving and loading a trainable potential: one safetensors file, no code in it.

The tensors are the network's own, by name; the entry "gnndesign" of the file's metadata
holds, as JSON, the format's name (with the architecture's) and version, the shape of
the network, the card, and the file the weights came from. Equal content gives equal
bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
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
from gnndesign.potentials.radial import PolynomialEnvelope, XPLOREnvelope
from gnndesign.potentials.trainable import TrainablePotential, count_parameters

FORMAT = "gnndesign-"
"""Of the format's name; the name of the architecture follows."""

VERSION = 1
SUFFIX = ".safetensors"
_ENTRY = "gnndesign"
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
    the last bit.

    Raises:
        ParameterError: another kind of potential, or another suffix.
    """
    from gnndesign.disk import replacing

    path = Path(path)
    if not isinstance(potential, TrainablePotential):
        raise ParameterError(
            f"Wanted a trainable potential to save, got '{potential.card.name}', a "
            f"{type(potential).__name__}. Save the trainable ones that it is made of; "
            "weights of other packages stay there."
        )
    if path.suffix != SUFFIX:
        raise ParameterError(f"Wanted a file name with {SUFFIX}, got {path.name!r}.")
    card = potential.card
    origin = Origin(file=Path(card.name).name, checksum=card.checksum)
    content = encode(
        potential.network, potential.parameters, card, origin, potential.architecture
    )
    with replacing(path) as partial:
        partial.write_bytes(content)


def encode(
    network: nn.Module,
    parameters: Any,
    card: Card,
    origin: Origin,
    name: str = "equivariant",
) -> bytes:
    """The content of a potential's file."""
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
    # One entry, because safetensors writes several in an order of chance.
    text = json.dumps(description, sort_keys=True, ensure_ascii=False)
    tensors = {
        key: tensor.detach().cpu().contiguous()
        for key, tensor in network.state_dict().items()
    }
    return safetensors.torch.save(tensors, {_ENTRY: text})


def read_potential(path: Path, device: torch.device) -> TrainablePotential[Any]:
    """Read a file of `save_potential`.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, tensors = _read(path, with_tensors=True)
    name, kind, parameters = _architecture(path, description)
    network = assemble(parameters, tensors, path.name, name)
    card = _card(path, description, parameters, count_parameters(network))
    return kind.potential_of(name, network, parameters, card, device)


def read_card(path: Path) -> Card:
    """The card in a file of `save_potential`; the tensors are not read.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, _ = _read(path, with_tensors=False)
    _, kind, parameters = _architecture(path, description)
    with torch.device("meta"):
        n_parameters = count_parameters(kind.build(parameters))
    return _card(path, description, parameters, n_parameters)


def read_origin(path: Path) -> Origin:
    """Where the weights in a file of `save_potential` come from.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, _ = _read(path, with_tensors=False)
    origin = _take(path, description, "origin", dict)
    return Origin(
        file=_take(path, origin, "file", str),
        checksum=_take(path, origin, "checksum", str),
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


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path, *, with_tensors: bool) -> tuple[Any, dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            names = file.keys() if with_tensors else ()
            # In memory of its own a tensor is aligned as before; where it is not, the
            # last bit of a matrix product may change.
            tensors = {name: file.get_tensor(name).clone() for name in names}
        description = json.loads(metadata.get(_ENTRY, "null"))
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path.name} is no readable safetensors file ({first}). Save or copy it "
            "again."
        ) from error
    written = description.get("format") if isinstance(description, dict) else None
    if not isinstance(written, str) or not written.startswith(FORMAT):
        raise CheckpointError(
            f"{path.name} is a safetensors file of something else: wanted a potential "
            "that gnndesign's save_potential wrote."
        )
    if written.removeprefix(FORMAT) not in ARCHITECTURES:
        raise CheckpointError(
            f"{path.name}: wanted an architecture of {', '.join(ARCHITECTURES)}, it is "
            f"{written!r}. Update gnndesign."
        )
    version = description.get("format_version")
    if version != VERSION:
        raise CheckpointError(
            f"{path.name}: wanted version {VERSION} of the format, it is {version!r}. "
            "Update gnndesign or save the potential again."
        )
    return description, tensors


def _architecture(
    path: Path, description: dict[str, Any]
) -> tuple[str, Architecture, Any]:
    """Name, kind and shape of the network that a file describes."""
    name = str(description["format"]).removeprefix(FORMAT)
    kind = architecture(name)
    shape = _take(path, description, "network", dict)
    if "envelope" in shape:
        given = _take(path, shape, "envelope", dict)
        if given.get("kind") not in _ENVELOPES:
            raise CheckpointError(
                f"{path.name}: wanted an envelope of {', '.join(_ENVELOPES)}, it has "
                f"{given.get('kind')!r}. Update gnndesign."
            )
    try:
        reader = TypeAdapter(kind.shape_class)
        return name, kind, reader.validate_json(json.dumps(shape), strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the shape"
        raise CheckpointError(
            f"{path.name}: its description of the network is wrong in {where!r}: "
            f"{wrong['msg']}, got {wrong['input']!r}. Save the potential again."
        ) from error
    except ParameterError as error:
        raise CheckpointError(f"{path.name} cannot be loaded. {error}") from error


def _card(
    path: Path,
    description: dict[str, Any],
    parameters: Any,
    n_parameters: int,
) -> Card:
    card = _take(path, description, "card", dict)
    return Card(
        name=str(path),
        n_parameters=n_parameters,
        elements=tuple(sorted(parameters.elements)),
        cutoff=parameters.cutoff,
        checksum=sha256(path),
        notes=_list(path, card, "notes", str),
        training=_take(path, {"training": {}, **description}, "training", dict),
        **{key: _take(path, card, key, str) for key in _CARD_TEXTS},
    )


def _take(path: Path, section: dict[str, Any], key: str, kind: type) -> Any:
    value = section.get(key)
    if type(value) is int and kind is float:
        return float(value)
    if type(value) is not kind:
        raise CheckpointError(
            f"{path.name}: wanted {key!r} as {kind.__name__} in its description, it is "
            f"{value!r}. Save the potential again."
        )
    return value


def _list(path: Path, section: dict[str, Any], key: str, kind: type) -> tuple[Any, ...]:
    values = _take(path, section, key, list)
    if any(type(value) is not kind for value in values):
        raise CheckpointError(
            f"{path.name}: wanted {key!r} as a list of {kind.__name__} in its "
            f"description, it is {values!r}. Save the potential again."
        )
    return tuple(values)
