"""Saving and loading an `EquivariantPotential`: one safetensors file, no code in it.

The tensors are the network's own, by name; the entry "gnndesign" of the file's metadata
holds, as JSON, the format's name and version, the shape of the network, the card, and
the file the weights came from. Equal content gives equal bytes.
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
from torch import Tensor

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.base import Card, Potential
from gnndesign.potentials.equivariant import (
    EquivariantNetwork,
    EquivariantParameters,
    EquivariantPotential,
)
from gnndesign.potentials.radial import Envelope, PolynomialEnvelope, XPLOREnvelope

FORMAT = "gnndesign-equivariant"
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
    if not isinstance(potential, EquivariantPotential):
        raise ParameterError(
            f"Wanted an equivariant potential to save, got '{potential.card.name}', "
            f"a {type(potential).__name__}, whose weights stay in their package."
        )
    if path.suffix != SUFFIX:
        raise ParameterError(f"Wanted a file name with {SUFFIX}, got {path.name!r}.")
    card = potential.card
    origin = Origin(file=Path(card.name).name, checksum=card.checksum)
    content = encode(potential.network, potential.parameters, card, origin)
    with replacing(path) as partial:
        partial.write_bytes(content)


def encode(
    network: EquivariantNetwork,
    parameters: EquivariantParameters,
    card: Card,
    origin: Origin,
) -> bytes:
    """The content of a potential's file."""
    shape = asdict(parameters)
    kinds = {kind: name for name, kind in _ENVELOPES.items()}
    shape["envelope"]["kind"] = kinds[type(parameters.envelope)]
    description = {
        "format": FORMAT,
        "format_version": VERSION,
        "network": shape,
        "card": {key: getattr(card, key) for key in (*_CARD_TEXTS, "notes")},
        "origin": asdict(origin),
    }
    # One entry, because safetensors writes several in an order of chance.
    text = json.dumps(description, sort_keys=True, ensure_ascii=False)
    tensors = {
        key: tensor.detach().cpu().contiguous()
        for key, tensor in network.state_dict().items()
    }
    return safetensors.torch.save(tensors, {_ENTRY: text})


def read_potential(path: Path, device: torch.device) -> EquivariantPotential:
    """Read a file of `save_potential`.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, tensors = _read(path, with_tensors=True)
    parameters = _parameters(path, description)
    network = assemble(parameters, tensors, path.name)
    card = _card(path, description, parameters, network.n_parameters)
    return EquivariantPotential(network, parameters, card, device)


def read_card(path: Path) -> Card:
    """The card in a file of `save_potential`; the tensors are not read.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
    """
    description, _ = _read(path, with_tensors=False)
    parameters = _parameters(path, description)
    with torch.device("meta"):
        n_parameters = EquivariantNetwork(parameters).n_parameters
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
    parameters: EquivariantParameters, tensors: Mapping[str, Tensor], file: str
) -> EquivariantNetwork:
    """A network of these tensors, which become its weights.

    Raises:
        CheckpointError: a tensor is missing, unknown, of another shape or floating
            type, or not finite.
    """
    # Without memory: what the file claims is compared before anything is allocated.
    with torch.device("meta"):
        network = EquivariantNetwork(parameters)
    wanted = network.state_dict()
    missing, unknown = set(wanted) - set(tensors), set(tensors) - set(wanted)
    for what, names in (("lacks", missing), ("has an unknown", unknown)):
        if names:
            raise CheckpointError(
                f"{file} does not hold the network it describes: it {what} tensor "
                f"{min(names)!r}. Load the whole file as it was saved."
            )
    dtype = tensors["embedding"].dtype
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
            tensors = {name: file.get_tensor(name) for name in names}
        description = json.loads(metadata.get(_ENTRY, "null"))
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path.name} is no readable safetensors file ({first}). Save or copy it "
            "again."
        ) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise CheckpointError(
            f"{path.name} is a safetensors file of something else: wanted the format "
            f"{FORMAT!r}, which gnndesign's save_potential writes."
        )
    version = description.get("format_version")
    if version != VERSION:
        raise CheckpointError(
            f"{path.name}: wanted version {VERSION} of the format, it is {version!r}. "
            "Update gnndesign or save the potential again."
        )
    return description, tensors


def _parameters(path: Path, description: dict[str, Any]) -> EquivariantParameters:
    shape = _take(path, description, "network", dict)
    envelope: Envelope
    given = _take(path, shape, "envelope", dict)
    if given.get("kind") == "polynomial":
        envelope = PolynomialEnvelope(p=_take(path, given, "p", int))
    elif given.get("kind") == "xplor":
        envelope = XPLOREnvelope(onset=float(_take(path, given, "onset", float)))
    else:
        raise CheckpointError(
            f"{path.name}: wanted an envelope of {', '.join(_ENVELOPES)}, it has "
            f"{given.get('kind')!r}. Update gnndesign."
        )
    self_connection = shape.get("self_connection")
    if self_connection not in ("linear", "species"):
        raise CheckpointError(
            f"{path.name}: wanted a self-connection 'linear' or 'species', it has "
            f"{self_connection!r}. Update gnndesign."
        )
    try:
        return EquivariantParameters(
            elements=_list(path, shape, "elements", int),
            cutoff=_take(path, shape, "cutoff", float),
            hidden=_list(path, shape, "hidden", str),
            lmax=_take(path, shape, "lmax", int),
            parity=_take(path, shape, "parity", bool),
            n_radial=_take(path, shape, "n_radial", int),
            radial_hidden=_list(path, shape, "radial_hidden", int),
            readout_hidden=_take(path, shape, "readout_hidden", int),
            envelope=envelope,
            self_connection=self_connection,
        )
    except ParameterError as error:
        raise CheckpointError(f"{path.name} cannot be loaded. {error}") from error


def _card(
    path: Path,
    description: dict[str, Any],
    parameters: EquivariantParameters,
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
