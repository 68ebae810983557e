"""`compute`: properties of one or many structures, all of their work in one queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import ase

from gnndesign.errors import ConvergenceError, GNNDesignError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, ResultT, Steps
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.shared_queue import SharedQueue
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.room import Room

STOPPED = "Stopped before it was through."


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


@dataclass(slots=True, kw_only=True, eq=False)
class _Plan:
    """A property of a structure on its way."""

    key: tuple[int, int]
    kind: str
    steps: Steps[Any]
    wanted: int = 0
    ends: dict[int, End] = field(default_factory=dict[int, End])


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
        self._queue = SharedQueue(potential, room)
        self._plans: dict[tuple[int, int], _Plan] = {}
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
        for place, atoms in enumerate(self._structures):
            for which, wanted in enumerate(self._properties):
                if (place, which) in self._skip:
                    continue
                plan = _Plan(
                    key=(place, which),
                    kind=wanted.kind,
                    steps=_checked(wanted, atoms, self._potential),
                )
                self._plans[plan.key] = plan
                self._advance(plan, None)
        self._deliver()
        yield self._progress("")
        while self._plans:
            for snapshot in self._queue:
                self._deliver()
                yield self._progress(self._said(snapshot))
                if should_stop is not None and should_stop():
                    for plan in tuple(self._plans.values()):
                        plan.steps.close()
                        self._end(plan, PropertyStatus.STOPPED, message=STOPPED)
                    yield self._progress("Stopped.")
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
                    self._advance(plan, [plan.ends[k] for k in range(plan.wanted)])

    def _advance(self, plan: _Plan, ends: list[End] | None) -> None:
        """Hand a plan what it waited for; take its next work, or its result."""
        try:
            work = next(plan.steps) if ends is None else plan.steps.send(ends)
        except StopIteration as stop:
            self._end(plan, PropertyStatus.COMPUTED, result=stop.value)
        except GNNDesignError as error:
            self.first_error = self.first_error or error
            self._end(plan, PropertyStatus.FAILED, message=str(error))
        else:
            plan.ends, plan.wanted = {}, len(work.structures)
            for place in range(plan.wanted):
                self._queue.ask(work, place, (plan.key, place))

    def _end(
        self,
        plan: _Plan,
        status: PropertyStatus,
        *,
        message: str = "",
        result: Any = None,
    ) -> None:
        del self._plans[plan.key]
        card = self._potential.card
        atoms = self._structures[plan.key[0]]
        outcome: Outcome[Any] = Outcome(
            kind=plan.kind,
            structure=plan.key[0],
            formula=atoms.get_chemical_formula("metal"),
            potential=card.name,
            checksum=card.checksum,
            status=status,
            message=message,
            result=result,
        )
        self.outcomes[plan.key] = outcome
        self._new.append(outcome)

    def _progress(self, message: str) -> Progress:
        ended, self._new = tuple(self._new), []
        return Progress(
            done=len(self.outcomes), total=self.total, message=message, ended=ended
        )

    def _said(self, snapshot: Snapshot) -> str:
        running = int((snapshot.status == Status.RUNNING).sum())
        waiting = self._queue.n_unended
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
