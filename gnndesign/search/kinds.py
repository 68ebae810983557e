"""`Kinds`: classes that job specifications and studies name, imported when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from gnndesign.errors import ParameterError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kinds(Generic[T]):
    """Dataclasses with a `to_dict`, by the "kind" in it.

    Attributes:
        what: a person calls one of them.
        homes: "module:Class" in `gnndesign.search`, by kind.
    """

    what: str
    homes: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All kinds there are."""
        return tuple(self.homes)

    def named(self, kind: str) -> type[T]:
        """The class of a kind.

        Raises:
            ParameterError: unknown kind.
        """
        if kind not in self.homes:
            raise ParameterError(
                f"Unknown kind of {self.what} '{kind}'; known: {', '.join(self.homes)}."
            )
        module, _, name = self.homes[kind].partition(":")
        return getattr(import_module(f"gnndesign.search.{module}"), name)

    def from_dict(self, data: Mapping[str, Any]) -> T:
        """What `to_dict` described.

        Raises:
            ParameterError: unknown kind, or an entry is missing or unknown.
        """
        made = self.named(data.get("kind", ""))
        parameters = {key: value for key, value in data.items() if key != "kind"}
        try:
            return made(**parameters)
        except TypeError as error:
            raise ParameterError(
                f"Wanted the entries of {made.__name__}.to_dict(), got "
                f"{sorted(parameters)}."
            ) from error
