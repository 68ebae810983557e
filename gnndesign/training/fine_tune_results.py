"""What a fine-tuning says while it goes on, and what it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ase.data import atomic_numbers, chemical_symbols

from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.evaluation import Errors
from gnndesign.training.reports import EpochReport

ERRORS = ("new_before", "new_shifted", "new_after", "replay_before", "replay_after")
"""Of a `FineTuningReport`, as they are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuningReport:
    """Errors before and after, as of `FineTuned`.

    Attributes:
        offset: eV an atom by atomic number, what was added to the shifts at first.
        new_before, new_shifted, replay_before: known from the beginning.
        new_after, replay_after: of the best epoch so far; None before the first.
    """

    offset: Mapping[int, float]
    new_before: Errors
    new_shifted: Errors
    replay_before: Errors
    new_after: Errors | None = None
    replay_after: Errors | None = None

    def errors(self) -> dict[str, Errors]:
        """Those that are known, by name."""
        found = {name: getattr(self, name) for name in ERRORS}
        return {name: errors for name, errors in found.items() if errors is not None}

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "offset_eV": {chemical_symbols[z]: e for z, e in self.offset.items()},
            "errors": {name: e.to_dict() for name, e in self.errors().items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FineTuningReport:
        """Back from `to_dict`."""
        errors = {name: Errors.from_dict(e) for name, e in data["errors"].items()}
        offset = {atomic_numbers[s]: e for s, e in data["offset_eV"].items()}
        return cls(offset=offset, **errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuned:
    """What fine-tuning ended with.

    The best epoch was chosen by the validation set and the held replay set together,
    which the errors are of; for an error that had no part in any choice, use
    `evaluate` with other structures.

    Attributes:
        potential: with the weights of the best epoch. Its card states the errors.
        history: a report an epoch; its validation is of both sets together.
        best: the report of the best epoch.
        reason: why it ended.
        offset: eV an atom by atomic number, what was added to the shifts at first;
            empty if they were kept.
        new_before: errors on the validation set, of the potential as it was given.
        new_shifted: likewise, with nothing but the offset added.
        new_after: likewise, of the fine-tuned potential.
        replay_before: errors on the held replay set with the offset added, which its
            labels have, too. Zero where the potential gave these labels itself.
        replay_after: likewise, of the fine-tuned potential: what it has forgotten.
    """

    potential: TrainablePotential[Any]
    history: tuple[EpochReport, ...]
    best: EpochReport
    reason: str
    offset: Mapping[int, float]
    new_before: Errors
    new_shifted: Errors
    new_after: Errors
    replay_before: Errors
    replay_after: Errors

    @property
    def report(self) -> FineTuningReport:
        """The errors alone."""
        return FineTuningReport(
            offset=self.offset, **{name: getattr(self, name) for name in ERRORS}
        )
