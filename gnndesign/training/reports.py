"""What a training says while it goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gnndesign.training.evaluation import Errors


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What an epoch brought.

    Attributes:
        epoch: counted from 1.
        loss: mean over the batches, of the weights as they were.
        validation: errors of the averaged weights.
        score: loss of the validation errors, which the best weights have least of.
        learning_rate: at the end of the epoch.
        seconds: of training, without the validation.
        structures_per_s: that were learned from.
        is_best: whether no epoch before had a lower score.
    """

    epoch: int
    loss: float
    validation: Errors
    score: float
    learning_rate: float
    seconds: float
    structures_per_s: float
    is_best: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"validation": self.validation.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EpochReport:
        """Back from `to_dict`."""
        numbers: dict[str, Any] = {
            **data,
            "validation": Errors.from_dict(data["validation"]),
        }
        return cls(**numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is said after every batch.

    Attributes:
        epoch: under way, counted from 1.
        batch: batches of it that are through.
        n_batches: in the epoch.
        loss: of the last batch.
        report: of the epoch, if this was its last batch.
    """

    epoch: int
    batch: int
    n_batches: int
    loss: float
    report: EpochReport | None
