"""`Observable`: what every accumulator does; a subclass says what it takes of a moment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, final

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.simulation.base import Snapshot
from gnndesign.simulation.observables.moment import Moment, moments


@dataclass(slots=True, kw_only=True)
class Beat:
    """Which moments of a run are samples: those evenly spaced, each once.

    A run also gives the moments at which it was stopped or ended, which may lie
    between its regular ones. They are no samples: a run that was stopped and resumed
    says the same as one that was not.

    Attributes:
        skip_fs: earlier moments are no samples.
        every: only every so-many-th regular moment is a sample.
        spacing: steps between regular moments; None until two of them were seen.
        first_step: of the first sample; None before.
        first_time_fs: of the first sample.
        last_step: the latest step that was seen, sample or not.
        last_time_fs: of the latest sample.
        place: number of the latest sample, counted in regular moments from the first.
        n_samples: how many there were.
        is_next: whether the latest sample directly follows the one before.
    """

    skip_fs: float = 0.0
    every: int = 1
    spacing: int | None = None
    first_step: int | None = None
    first_time_fs: float = 0.0
    last_step: int = -1
    last_time_fs: float = 0.0
    place: int = 0
    n_samples: int = 0
    is_next: bool = False

    def __post_init__(self) -> None:
        if not self.skip_fs >= 0:
            raise ParameterError(f"Wanted skip_fs >= 0, got {self.skip_fs}.")
        if self.every < 1:
            raise ParameterError(f"Wanted every >= 1, got {self.every}.")
        if self.spacing is not None and self.spacing < 1:
            raise ParameterError(f"Wanted spacing >= 1 or None, got {self.spacing}.")

    def takes(self, moment: Moment) -> bool:
        """Whether the moment is a sample, which is then counted."""
        if moment.step <= self.last_step or moment.time_fs < self.skip_fs:
            return False
        if not moment.is_usable:
            return False
        self.last_step = moment.step
        place = self._place(moment)
        if place is None or place % self.every:
            return False
        self.is_next = self.n_samples > 0 and place == self.place + self.every
        self.place = place
        self.last_time_fs = moment.time_fs
        self.n_samples += 1
        return True

    @property
    def interval_fs(self) -> float:
        """Time between samples that follow each other; 0 before the second."""
        if self.place == 0:
            return 0.0
        return (self.last_time_fs - self.first_time_fs) * self.every / self.place

    def _place(self, moment: Moment) -> int | None:
        """Number of a regular moment; None for any other."""
        if self.first_step is None:
            regular = not moment.is_last
            if self.spacing is not None:
                regular = moment.step % self.spacing == 0
            if not regular:
                return None
            self.first_step, self.first_time_fs = moment.step, moment.time_fs
            return 0
        if self.spacing is None:
            if moment.is_last:
                return None
            self.spacing = moment.step - self.first_step
        place, rest = divmod(moment.step - self.first_step, self.spacing)
        return place if rest == 0 else None


ObservableT = TypeVar("ObservableT", bound="Observable")


class Observable(ABC):
    """Collects something of one structure, moment by moment.

    Moments that were already seen are ignored, so a run that is resumed from an
    earlier checkpoint counts nothing twice.
    """

    def __init__(
        self,
        system: int,
        *,
        skip_fs: float = 0.0,
        spacing: int | None = None,
        every: int = 1,
    ) -> None:
        """Begin with nothing.

        Args:
            system: id of the structure.
            skip_fs: moments before this time are ignored (equilibration).
            spacing: steps between the regular moments of the run; found from the
                first two when not given.
            every: of the regular moments, only each so-many-th is a sample.

        Raises:
            ParameterError: a parameter is out of range.
        """
        self.system = system
        self.beat = Beat(skip_fs=skip_fs, spacing=spacing, every=every)

    @final
    def add(self, snapshot: Snapshot) -> None:
        """Take a moment of the run; elements have their standard masses."""
        for system, moment in moments(snapshot, {}):
            if system == self.system:
                self.add_moment(moment)

    @final
    def add_moment(self, moment: Moment) -> None:
        """Take a moment of the structure."""
        if self.beat.takes(moment):
            self._sample(moment)

    @final
    def state(self) -> dict[str, Any]:
        """Everything: a tree of dicts with arrays, numbers, strings and None."""
        return {
            "system": self.system,
            "beat": asdict(self.beat),
            "parameters": self._parameters(),
            "content": self._content(),
        }

    @final
    @classmethod
    def from_state(cls: type[ObservableT], state: dict[str, Any]) -> ObservableT:
        """The accumulator whose `state` this is; it goes on identically.

        Raises:
            CheckpointError: it is not the state of such an accumulator.
        """
        try:
            made = cls(state["system"], **state["parameters"])
            made.beat = Beat(**state["beat"])
            made._restore(state["content"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"Wanted the state of {cls.__name__}, got something else: {error!r}. "
                "Begin the observables anew."
            ) from error
        return made

    @abstractmethod
    def result(self) -> Any:
        """What is known by now; a frozen dataclass."""

    @abstractmethod
    def _sample(self, moment: Moment) -> None:
        """Take a sample."""

    @abstractmethod
    def _parameters(self) -> dict[str, Any]:
        """Arguments of the constructor beyond those of every observable."""

    @abstractmethod
    def _content(self) -> dict[str, Any]:
        """What was collected."""

    @abstractmethod
    def _restore(self, content: dict[str, Any]) -> None:
        """Take back what `_content` gave."""
