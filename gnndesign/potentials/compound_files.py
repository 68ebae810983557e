"""Saving and loading sums and committees: all their parts in one safetensors file.

The description is a tree. A compound has "parts"; each of these is a compound, a
network (as files.py describes it), a formula with its "settings" (ZBL, D3 dispersion,
Lennard-Jones), or the name and checksum of a potential whose weights stay in their
package. The tensors of the n-th network are named "n/..." with n counted from 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import torch
from pydantic import Field, FiniteFloat, StringConstraints, TypeAdapter, ValidationError
from torch import Tensor

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.base import Card, Potential
from gnndesign.potentials.combine import SumPotential
from gnndesign.potentials.committee import Committee
from gnndesign.potentials.dispersion import D3Dispersion
from gnndesign.potentials.file_format import (
    FORMAT,
    VERSION,
    read_file,
    sha256,
    take,
    take_list,
    written,
)
from gnndesign.potentials.files import (
    network_part,
    network_potential,
    origin_of,
    read_card,
)
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.potentials.zbl import ZBL

COMPOUNDS: Mapping[str, type[SumPotential | Committee]] = {
    "sum": SumPotential,
    "committee": Committee,
}
"""What is made of parts, by the name in a file."""

_MOST_PARTS, _DEEPEST = 256, 8
Made = TypeVar("Made", bound=Potential)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ZBLSettings:
    reach: FiniteFloat
    cutoff: FiniteFloat | None
    elements: tuple[Annotated[int, Field(ge=1, le=118)], ...]

    def make(self, device: torch.device) -> Potential:
        return ZBL(**asdict(self), device=device)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LennardJonesSettings:
    epsilon: FiniteFloat
    sigma: FiniteFloat
    cutoff: FiniteFloat

    def make(self, device: torch.device) -> Potential:
        return LennardJones(**asdict(self), device=device)


@dataclass(frozen=True, slots=True, kw_only=True)
class _D3Settings:
    functional: Annotated[str, StringConstraints(pattern=r"^[\w()/+-]{1,40}$")]

    def make(self, device: torch.device) -> Potential:
        del device  # The library computes on the CPU.
        return D3Dispersion(self.functional)


_FORMULAS: Mapping[str, tuple[type[Any], type[Any]]] = {
    "zbl": (ZBL, _ZBLSettings),
    "lennard-jones": (LennardJones, _LennardJonesSettings),
    "d3": (D3Dispersion, _D3Settings),
}


def encode_compound(potential: Potential) -> bytes:
    """The content of the file of a sum or a committee.

    Raises:
        ParameterError: a part that cannot be saved.
    """
    tensors: dict[str, Tensor] = {}
    description = _described(potential, tensors, count())
    kind = description.pop("kind")
    return written(
        {**description, "format": FORMAT + kind, "format_version": VERSION}, tensors
    )


def _described(
    potential: Potential, tensors: dict[str, Tensor], numbers: count[int]
) -> dict[str, Any]:
    """The description of a part; its tensors are put among the others."""
    # A subclass may compute something else: only these very classes are known.
    if type(potential) is SumPotential:
        parts = [_described(part, tensors, numbers) for part in potential.terms]
        return {"kind": "sum", "parts": parts}
    if type(potential) is Committee:
        parts = [_described(part, tensors, numbers) for part in potential.members]
        return {"kind": "committee", "parts": parts}
    if isinstance(potential, ZBL | LennardJones | D3Dispersion):
        for kind, (formula, _) in _FORMULAS.items():
            if type(potential) is formula:
                return {"kind": kind, "settings": potential.settings}
    if isinstance(potential, TrainablePotential):
        description, own = network_part(potential)
        number = next(numbers)
        tensors.update({f"{number}/{name}": own[name] for name in own})
        return {"kind": "network", **description}
    return {"kind": "named", **_named(potential)}


def _named(potential: Potential) -> dict[str, str]:
    """What is left of a potential whose weights stay in their package."""
    from gnndesign.potentials.catalog import list_potentials, potential_card

    card = potential.card
    if card.name not in list_potentials() or potential_card(card.name) != card:
        raise ParameterError(
            f"Wanted parts that can be saved, got '{card.name}', a "
            f"{type(potential).__name__}. Networks of gnndesign, ZBL, D3 dispersion, "
            "Lennard-Jones and the potentials of list_potentials() can be."
        )
    return {"name": card.name, "checksum": card.checksum}


def read_any(path: Path, device: torch.device) -> Potential:
    """Read a file of `save_potential`, whatever it holds.

    Raises:
        CheckpointError: not such a file, damaged, or of a newer format.
        MissingDependencyError: the package of a part is not installed.
    """
    description, tensors = read_file(path, with_tensors=True)
    place = {"name": str(path), "checksum": sha256(path)}
    kind = _compound_kind(description)
    if kind is None:
        return network_potential(path.name, description, tensors, device, **place)
    reading = _Reading(path.name, tensors, device)
    potential = reading.compound(kind, description, depth=1)
    reading.check_all_was_used()
    potential.card = replace(potential.card, **place)
    return potential


def read_any_card(path: Path) -> Card:
    """The card in a file of `save_potential`; of a compound all parts are read.

    Raises:
        CheckpointError, MissingDependencyError: see `read_any`.
    """
    description, _ = read_file(path, with_tensors=False)
    if _compound_kind(description) is None:
        return read_card(path)
    return read_any(path, torch.device("cpu")).card


def _compound_kind(description: Mapping[str, Any]) -> str | None:
    kind = str(description["format"]).removeprefix(FORMAT)
    return kind if kind in COMPOUNDS else None


class _Reading:
    """Makes the parts of a file, and keeps count of what was used of it."""

    def __init__(
        self, file: str, tensors: Mapping[str, Tensor], device: torch.device
    ) -> None:
        self._file = file
        self._device = device
        self._n_parts = self._n_networks = 0
        self._tensors: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            number, _, name = key.partition("/")
            self._tensors.setdefault(number, {})[name] = tensor

    def compound(
        self, kind: str, description: dict[str, Any], *, depth: int
    ) -> SumPotential | Committee:
        """A sum or a committee."""
        if depth > _DEEPEST:
            self._refuse(f"its parts lie deeper than {_DEEPEST} in each other")
        parts = take_list(self._file, description, "parts", dict)
        made = [self._part(part, depth) for part in parts]
        return self._checked(lambda: COMPOUNDS[kind](made))

    def check_all_was_used(self) -> None:
        """Refuse tensors that belong to no part."""
        known = {str(number) for number in range(self._n_networks)}
        unknown = sorted(set(self._tensors) - known)
        if unknown:
            self._refuse(
                f"it has tensors of a network {unknown[0]!r} that it does not describe"
            )

    def _part(self, part: dict[str, Any], depth: int) -> Potential:
        self._n_parts += 1
        if self._n_parts > _MOST_PARTS:
            self._refuse(f"it has more than {_MOST_PARTS} parts")
        kind = take(self._file, part, "kind", str)
        if kind in COMPOUNDS:
            return self.compound(kind, part, depth=depth + 1)
        if kind in _FORMULAS:
            return self._formula(kind, part)
        readers = {"network": self._network, "named": self._named}
        if kind not in readers:
            known = ", ".join([*COMPOUNDS, *_FORMULAS, *readers])
            self._refuse(f"wanted parts of {known}, it has {kind!r}")
        return readers[kind](part)

    def _network(self, part: dict[str, Any]) -> Potential:
        number, file = self._n_networks, f"{self._file}, network {self._n_networks}"
        self._n_networks += 1
        origin = origin_of(file, part)
        return network_potential(
            file,
            part,
            self._tensors.get(str(number), {}),
            self._device,
            name=origin.file,
            checksum=origin.checksum,
        )

    def _formula(self, kind: str, part: dict[str, Any]) -> Potential:
        settings = take(self._file, part, "settings", dict)
        reader: TypeAdapter[Any] = TypeAdapter(_FORMULAS[kind][1])
        try:
            found = reader.validate_json(json.dumps(settings), strict=True)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            where = ".".join(map(str, wrong["loc"])) or "the settings"
            self._refuse(f"its {kind} is wrong in {where!r}: {wrong['msg']}")
        return self._checked(lambda: found.make(self._device))

    def _named(self, part: dict[str, Any]) -> Potential:
        from gnndesign.potentials.catalog import list_potentials, load_potential

        name = take(self._file, part, "name", str)
        if name not in list_potentials():
            self._refuse(f"it refers to a potential {name!r} that is not on offer")
        potential = load_potential(name, self._device)
        wanted = take(self._file, part, "checksum", str)
        if potential.card.checksum != wanted:
            self._refuse(
                f"it was made with {name} of checksum {wanted[:12]!r}, that here is "
                f"{potential.card.checksum[:12]}"
            )
        return potential

    def _checked(self, make: Callable[[], Made]) -> Made:
        try:
            return make()
        except ParameterError as error:
            raise CheckpointError(f"{self._file} cannot be loaded. {error}") from error

    def _refuse(self, why: str) -> NoReturn:
        raise CheckpointError(
            f"{self._file} cannot be loaded: {why}. Save the potential again, or "
            "update gnndesign."
        )
