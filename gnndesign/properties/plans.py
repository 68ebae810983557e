"""`Plans`: many generators of work, all of it in one queue."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gnndesign.errors import GNNDesignError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Steps
from gnndesign.properties.shared_queue import SharedQueue
from gnndesign.simulation.base import Snapshot
from gnndesign.simulation.room import Room

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(slots=True, kw_only=True, eq=False)
class _Plan:
    """Steps on their way, and what they wait for."""

    steps: Steps[Any]
    wanted: int = 0
    ends: dict[int, End] = field(default_factory=dict[int, End])


class Plans(Generic[KeyT]):
    """Steps of many, evaluated in common batches.

    More may be added while it is iterated over, and again after it has ended.
    """

    def __init__(self, potential: Potential, room: Room | None = None) -> None:
        self._queue = SharedQueue(potential, room)
        self._plans: dict[KeyT, _Plan] = {}
        self._ended: list[tuple[KeyT, Any]] = []

    def __len__(self) -> int:
        """Number of plans that have not ended."""
        return len(self._plans)

    @property
    def n_structures(self) -> int:
        """Number of structures that are running or waiting."""
        return self._queue.n_unended

    def add(self, key: KeyT, steps: Steps[Any]) -> None:
        """Begin a plan; its first work is put together with that of others."""
        assert key not in self._plans, "every plan has a name of its own"
        self._plans[key] = _Plan(steps=steps)
        self._advance(key, None)

    def take_ended(self) -> list[tuple[KeyT, Any]]:
        """Results, or the `GNNDesignError` raised, since this was last asked.

        What was added and needs no work has ended at once.
        """
        self._deliver()
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> tuple[KeyT, ...]:
        """Give up; the names of those that had not ended."""
        left = tuple(self._plans)
        for plan in self._plans.values():
            plan.steps.close()
        self._plans.clear()
        return left

    def __iter__(self) -> Iterator[Snapshot]:
        """Work until nothing is left; who has ended can be taken after every snapshot."""
        self._deliver()
        while self._plans:
            for snapshot in self._queue:
                self._deliver()
                yield snapshot
                if not self._plans:
                    return

    def _deliver(self) -> None:
        """Hand out what has ended until no plan has new work."""
        while True:
            self._queue.flush()
            ended = self._queue.take_ended()
            if not ended:
                return
            for (key, place), end in ended:
                plan = self._plans[key]
                plan.ends[place] = end
                if len(plan.ends) == plan.wanted:
                    self._advance(key, [plan.ends[k] for k in range(plan.wanted)])

    def _advance(self, key: KeyT, ends: list[End] | None) -> None:
        """Hand a plan what it waited for; take its next work, or its result."""
        plan = self._plans[key]
        try:
            work = next(plan.steps) if ends is None else plan.steps.send(ends)
        except StopIteration as stop:
            self._end(key, stop.value)
        except GNNDesignError as error:
            self._end(key, error)
        else:
            plan.ends, plan.wanted = {}, len(work.structures)
            for place in range(plan.wanted):
                self._queue.ask(work, place, (key, place))

    def _end(self, key: KeyT, result: Any) -> None:
        del self._plans[key]
        self._ended.append((key, result))
