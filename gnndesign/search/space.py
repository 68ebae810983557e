"""What a search may choose from: `Space`, and one `Candidate` of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import ase
from jaxtyping import Float
from numpy import ndarray

from gnndesign.search.kinds import Kinds
from gnndesign.search.pool import Choice, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One choice.

    Attributes:
        formula: what a person calls it: "SrTiO3".
        choices: by name of the parameter: {"A": "Sr", "B": "Ti", "X": "O"}.
        composition: atoms by chemical symbol, of a formula unit; fractions where a
            site is shared.
        oxidation_states: by name of the site, or by chemical symbol where a space has
            no sites, states that make it neutral; None where neutrality was not asked
            for.
    """

    formula: str
    choices: Mapping[str, Choice]
    composition: Mapping[str, float]
    oxidation_states: Mapping[str, float] | None = None


class Space(ABC):
    """All candidates of a search: a frozen dataclass of what defines them.

    Attributes:
        kind: its name in job specifications and studies.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @property
    @abstractmethod
    def pool(self) -> Pool:
        """The candidates, as choices of options."""

    @property
    @abstractmethod
    def n_combinations(self) -> int:
        """Number of combinations before anything is left out, exact."""

    @property
    @abstractmethod
    def removed(self) -> Mapping[str, int]:
        """How many combinations each filter left out, in the order they were applied."""

    @property
    @abstractmethod
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""

    @abstractmethod
    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""

    @abstractmethod
    def build(self, candidate: Candidate) -> ase.Atoms:
        """Its structure, not relaxed; the same every time.

        Raises:
            StructureError: there is no way to build it.
        """

    @abstractmethod
    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """What a surrogate model is told of the candidates.

        Every column has mean 0 and standard deviation 1.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it; "kind" among it."""

    def __len__(self) -> int:
        """Number of candidates, exact."""
        return len(self.pool)


def set_fields(space: Space, **values: Any) -> None:
    """Fill in fields of a frozen space, while it is made."""
    for name, value in values.items():
        object.__setattr__(space, name, value)


SPACES: Kinds[Space] = Kinds(
    "space",
    {
        "prototype": "prototype_space:PrototypeSpace",
        "alloy": "alloy_space:AlloySpace",
        "defect": "defect_space:DefectSpace",
        "formula": "formula_space:FormulaSpace",
        "molecule": "molecule_space:MoleculeSpace",
    },
)
"""All there are."""


def space_kinds() -> tuple[str, ...]:
    """Kinds of spaces that `space_from_dict` knows."""
    return SPACES.names


def space_class(kind: str) -> type[Space]:
    """The class of a kind of space: a dataclass of what defines it.

    Raises:
        ParameterError: unknown kind.
    """
    return SPACES.named(kind)


def space_from_dict(data: Mapping[str, Any]) -> Space:
    """The space that `Space.to_dict` described.

    Raises:
        ParameterError: unknown kind, or an entry is missing or unknown.
    """
    return SPACES.from_dict(data)
