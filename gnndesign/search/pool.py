"""A closed list of candidates, each a choice of one option for every parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Int, UInt16
from numpy import ndarray

from gnndesign.errors import ParameterError

Choice = str | float | int
"""What a parameter can be: a chemical symbol, a fraction, a number of atoms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """Candidates as rows of whole numbers, so that a million of them fit and are found.

    Attributes:
        options: by name of the parameter what it can be; what Optuna's categorical
            distributions are made of.
        places: (n_candidates, n_parameters) the candidate's choice of each parameter, a
            place in its options. No two rows are the same.

    Raises:
        ParameterError: no candidates, a place outside the options, or a row twice.
    """

    options: Mapping[str, tuple[Choice, ...]]
    places: UInt16[ndarray, "n_candidates n_parameters"]
    _keys: Int[ndarray, " n_candidates"] = field(init=False, repr=False)
    _order: Int[ndarray, " n_candidates"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = np.array([len(choices) for choices in self.options.values()])
        if self.places.ndim != 2 or self.places.shape[1] != len(sizes):
            raise ParameterError(
                f"Wanted a column for each of the {len(sizes)} parameters, got an array "
                f"of shape {self.places.shape}."
            )
        if not len(self.places):
            raise ParameterError("Wanted at least one candidate, got none.")
        if (self.places >= sizes).any():
            raise ParameterError("A place is outside the options of its parameter.")
        keys = self._key(self.places)
        order = np.argsort(keys, kind="stable")
        if (np.diff(keys[order]) == 0).any():
            raise ParameterError("A candidate is in the pool more than once.")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
        object.__setattr__(self, "_keys", keys[order])
        object.__setattr__(self, "_order", order)

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self.places)

    def choices(self, index: int) -> dict[str, Choice]:
        """What candidate `index` chooses, by name of the parameter."""
        row = self.places[index].tolist()
        return {
            name: options[place]
            for (name, options), place in zip(self.options.items(), row, strict=True)
        }

    def find(self, choices: Mapping[str, Choice]) -> int | None:
        """Place of a candidate in the pool; None where it is not allowed."""
        try:
            row = [
                options.index(choices[name]) for name, options in self.options.items()
            ]
        except ValueError:
            return None
        found = self._find(np.array([row]))
        return int(found[0]) if found[0] >= 0 else None

    def index_of(self, choices: Mapping[str, Choice]) -> int:
        """Place of a candidate in the pool.

        Raises:
            ParameterError: it is not allowed.
        """
        place = self.find(choices)
        if place is None:
            raise ParameterError(
                f"{dict(choices)} is not among the {len(self)} candidates of this space."
            )
        return place

    def neighbors_of(self, index: int) -> Int[ndarray, " n_neighbors"]:
        """Places of the candidates that differ from candidate `index` in one choice."""
        rows: list[ndarray] = []
        own = self.places[index].astype(np.int64)
        for column, options in enumerate(self.options.values()):
            others = np.repeat(own[None], len(options), axis=0)
            others[:, column] = np.arange(len(options))
            rows.append(others[np.arange(len(options)) != own[column]])
        found = self._find(np.concatenate(rows))
        return found[found >= 0]

    def _key(self, places: ndarray) -> ndarray:
        """One number a row, different for different rows."""
        key = np.zeros(len(places), dtype=np.int64)
        most = 1
        for column, choices in enumerate(self.options.values()):
            most *= max(len(choices), 1)
            if most >= 2**62:
                raise ParameterError(
                    "The options of all parameters together make more than 4e18 "
                    "combinations. Give fewer."
                )
            key = key * len(choices) + places[:, column]
        return key

    def _find(self, places: ndarray) -> ndarray:
        """Places in the pool of rows; -1 where there is no such candidate."""
        keys = self._key(places)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1)
