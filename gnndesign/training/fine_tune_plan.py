"""`FineTuningPlan`: a fine-tuning as JSON, for jobs and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.training.dataset_files import load_dataset
from gnndesign.training.fine_tune import FINE_TUNING, FineTuner, fine_tuning_of
from gnndesign.training.plan import TrainingPlan, require_trainable, training_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuningPlan:
    """What a trained potential is to learn, and what it shall not forget.

    Attributes:
        plan: the data, and the potential to start from. Options that it does not name
            are those of `fine_tuning_of` the potential.
        replay: file or folder of structures with old labels, as `load_dataset` takes
            it; None for crystals of the library that the potential labels itself.
        replay_ratio: replay structures per new one; 0 for none.
        refit_shift: whether the energies of the elements are moved to the level of
            theory of the data first.

    Raises:
        ParameterError: an option out of range, or a plan of a new potential.
    """

    plan: TrainingPlan
    replay: str | None = None
    replay_ratio: float = 2.0
    refit_shift: bool = True

    def __post_init__(self) -> None:
        if self.plan.start is None:
            raise ParameterError(
                "Wanted a potential to fine-tune, got an architecture "
                f"({self.plan.architecture}). Name a SevenNet or a file."
            )
        if not (math.isfinite(self.replay_ratio) and self.replay_ratio >= 0):
            raise ParameterError(f"Wanted replay_ratio >= 0, got {self.replay_ratio}.")

    @property
    def start(self) -> str:
        """Name or file of the potential to fine-tune."""
        assert self.plan.start is not None
        return self.plan.start

    @property
    def epochs(self) -> int:
        """Passes through the mixture of new data and replay."""
        return training_of(self.plan.options, FINE_TUNING).epochs

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FineTuningPlan:
        """Back from `to_dict`."""
        values: dict[str, Any] = {**data, "plan": TrainingPlan.from_dict(data["plan"])}
        return cls(**values)

    def prepare(
        self,
        potential: Potential,
        *,
        checkpoint: Path | str | None = None,
        save_every_s: float = 30.0,
    ) -> FineTuner:
        """Load the data, make the replay set, and be ready to train.

        Args:
            potential: that of `start`; it is not modified.
            checkpoint: a file to save to, and to go on from if it is there.
            save_every_s: seconds between saves.

        Raises:
            ParameterError: the potential cannot be trained, or there is too little
                data to split.
            StructureError, UnsupportedElementError, CheckpointError: see `FineTuner`.
        """
        start = require_trainable(potential)
        data, validation = self.plan.load_data()
        replay = None if self.replay is None else load_dataset(Path(self.replay))
        return FineTuner(
            start,
            data,
            validation,
            training_of(self.plan.options, fine_tuning_of(start)),
            replay=replay,
            replay_ratio=self.replay_ratio,
            refit_shift=self.refit_shift,
            seed=self.plan.seed,
            checkpoint=checkpoint,
            save_every_s=save_every_s,
        )
