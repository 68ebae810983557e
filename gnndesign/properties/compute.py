"""`compute`: properties of one or many structures, all of their work in one queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, overload

import ase

from gnndesign.errors import ConvergenceError, GNNDesignError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, ResultT, Steps
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.plans import Plans
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.room import Room

STOPPED = "Stopped before it was through."

TOGETHER = 64
"""How many properties of structures are on their way at a time: enough to fill a batch,
few enough that results come steadily and that thousands fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a computation is.

    Attributes:
        done: properties of structures that have ended.
        total: all of them.
        message: what is being done.
        ended: outcomes since the progress before.
    """

    done: int
    total: int
    message: str
    ended: tuple[Outcome[Any], ...] = ()


@overload
def compute(
    properties: Property[ResultT],
    structures: ase.Atoms,
    potential: Potential,
    *,
    room: Room | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> ResultT: ...
@overload
def compute(
    properties: Property[ResultT],
    structures: Sequence[ase.Atoms],
    potential: Potential,
    *,
    room: Room | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Outcome[ResultT]]: ...
@overload
def compute(
    properties: Sequence[Property[Any]],
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential,
    *,
    room: Room | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Outcome[Any]]: ...
def compute(
    properties: Property[Any] | Sequence[Property[Any]],
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential,
    *,
    room: Room | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Any:
    """Compute properties of structures, as many at once as there is room for.

    Strained, displaced and relaxed copies of all structures, for all properties, are
    evaluated in common batches. What several properties ask for alike, such as the
    relaxed structure, is computed once.

    Args:
        properties: one or more, such as `EquationOfState()`.
        structures: one or more. They are not modified.
        potential: gives the forces.
        room: how much goes into one batch; None for what the memory allows.
        on_progress: told how far it is.
        should_stop: asked after every step; True ends it, and what is not through is
            STOPPED.

    Returns:
        For one property of one structure its result. Else a list of outcomes, structure
        by structure, properties in the order given; one that failed says why and keeps
        no other from being computed.

    Raises:
        GNNDesignError: the one property of the one structure could not be computed.
    """
    alone = isinstance(properties, Property) and isinstance(structures, ase.Atoms)
    computation = Computation(properties, structures, potential, room=room)
    for progress in computation.iterate(should_stop):
        if on_progress is not None:
            on_progress(progress)
    found = computation.outcomes
    if not alone:
        return [found[key] for key in sorted(found)]
    if computation.first_error is not None:
        raise computation.first_error
    outcome = found[0, 0]
    if outcome.status is PropertyStatus.STOPPED:
        raise ConvergenceError(f"{outcome.kind} of {outcome.formula}: {STOPPED}")
    return outcome.result


class Computation:
    """Properties of structures on their way; what `compute` iterates over.

    Attributes:
        outcomes: by place of the structure and place of the property.
        first_error: the first that was raised.
    """

    def __init__(
        self,
        properties: Property[Any] | Sequence[Property[Any]],
        structures: ase.Atoms | Sequence[ase.Atoms],
        potential: Potential,
        *,
        room: Room | None = None,
        skip: Collection[tuple[int, int]] = (),
    ) -> None:
        """Begin.

        Args:
            properties: one or more.
            structures: one or more. They are not modified.
            potential: gives the forces.
            room: how much goes into one batch; None for what the memory allows.
            skip: places of structure and property of what is not to be computed, such
                as what is there already.

        Raises:
            StructureError: no property or no structure.
        """
        self._properties = (
            [properties] if isinstance(properties, Property) else list(properties)
        )
        self._structures = (
            [structures] if isinstance(structures, ase.Atoms) else list(structures)
        )
        if not self._properties or not self._structures:
            raise StructureError(
                "Wanted at least one property and one structure, got "
                f"{len(self._properties)} and {len(self._structures)}."
            )
        self._skip = frozenset(skip)
        self._potential = potential
        self._plans: Plans[tuple[int, int]] = Plans(potential, room)
        self._new: list[Outcome[Any]] = []
        self.outcomes: dict[tuple[int, int], Outcome[Any]] = {}
        self.first_error: GNNDesignError | None = None

    @property
    def total(self) -> int:
        """How many outcomes there will be."""
        n_all = len(self._properties) * len(self._structures)
        return n_all - len(self._skip)

    def iterate(
        self, should_stop: Callable[[], bool] | None = None
    ) -> Iterator[Progress]:
        """Work until nothing is left, or until `should_stop`."""
        keys = product(range(len(self._structures)), range(len(self._properties)))
        waiting = deque(key for key in keys if key not in self._skip)
        while waiting or self._plans:
            self._begin(waiting)
            self._take()
            yield self._progress("")
            for snapshot in self._plans:
                self._take()
                yield self._progress(self._said(snapshot))
                if should_stop is not None and should_stop():
                    for key in (*self._plans.close(), *waiting):
                        self._end(key, PropertyStatus.STOPPED, message=STOPPED)
                    yield self._progress("Stopped.")
                    return
                self._begin(waiting)

    def _begin(self, waiting: deque[tuple[int, int]]) -> None:
        """Send the next ones off once half of those before have ended.

        Not one by one: the queue is fast where many come in together.
        """
        if len(self._plans) > TOGETHER // 2:
            return
        while waiting and len(self._plans) < TOGETHER:
            place, which = waiting.popleft()
            steps = _checked(
                self._properties[which], self._structures[place], self._potential
            )
            self._plans.add((place, which), steps)

    def _take(self) -> None:
        """What has ended, as outcomes."""
        for key, end in self._plans.take_ended():
            if isinstance(end, GNNDesignError):
                self.first_error = self.first_error or end
                self._end(key, PropertyStatus.FAILED, message=str(end))
            else:
                self._end(key, PropertyStatus.COMPUTED, result=end)

    def _end(
        self,
        key: tuple[int, int],
        status: PropertyStatus,
        *,
        message: str = "",
        result: Any = None,
    ) -> None:
        card = self._potential.card
        atoms = self._structures[key[0]]
        outcome: Outcome[Any] = Outcome(
            kind=self._properties[key[1]].kind,
            structure=key[0],
            formula=atoms.get_chemical_formula("metal"),
            potential=card.name,
            checksum=card.checksum,
            status=status,
            message=message,
            result=result,
        )
        self.outcomes[key] = outcome
        self._new.append(outcome)

    def _progress(self, message: str) -> Progress:
        ended, self._new = tuple(self._new), []
        return Progress(
            done=len(self.outcomes), total=self.total, message=message, ended=ended
        )

    def _said(self, snapshot: Snapshot) -> str:
        running = int((snapshot.status == Status.RUNNING).sum())
        waiting = self._plans.n_structures
        if not running:
            return f"{waiting} structures on their way."
        steps = int(snapshot.step.max())
        return (
            f"{waiting} structures on their way, {running} at step {steps} or before, "
            f"largest force {snapshot.max_force.max():.3g} eV/Å."
        )


def _checked(
    wanted: Property[ResultT], atoms: ase.Atoms, potential: Potential
) -> Steps[ResultT]:
    """The steps, but for a structure that has no such property."""
    wanted.refuse(atoms)
    return (yield from wanted.steps(atoms, potential))
