"""`Run`: the one loop behind every relaxation and every molecular dynamics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import torch
from jaxtyping import Bool
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError, UnsupportedElementError
from gnndesign.members import join, select
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import (
    AtomData,
    Proposal,
    Snapshot,
    Status,
    Stepper,
    System,
)
from gnndesign.simulation.checkpoint import (
    Checkpoints,
    Progress,
    save_state,
)
from gnndesign.simulation.evaluation import Evaluator, nothing_predicted
from gnndesign.simulation.guards import ADVICE, Fault
from gnndesign.simulation.room import Room
from gnndesign.simulation.snapshots import snapshot


class Run:
    """An iterator of `Snapshot`s that makes the steps between them.

    A system that has ended leaves the batch; its last snapshot carries its final
    status, and is given again where the run is iterated anew or resumed. A system
    stopped by a guard is given with its last good geometry.

    Attributes:
        progress: the latest state of all systems; replaced, never changed, so another
            thread may read it at any time.
        is_resumed: whether it goes on from a checkpoint.
        refused: why structures were left out, by their id.
        max_steps: may be raised while the run goes on.
        before_step: called before every step; it may wait, or call `stop`.
    """

    def __init__(
        self,
        stepper: Stepper[Any],
        potential: Potential,
        structures: Sequence[ase.Atoms],
        *,
        progress: Progress,
        refused: dict[int, StructureError | UnsupportedElementError],
        max_steps: int,
        every: int,
        room: Room | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        if max_steps < 0 or every < 1:
            raise ParameterError(
                f"Wanted max_steps >= 0 and every >= 1, got {max_steps} and {every}."
            )
        self.progress = progress
        self.is_resumed = progress.n_entered > 0
        self.refused = refused
        self.max_steps = max_steps
        self.before_step: Callable[[], None] | None = None
        self._structures = structures
        self._proposal: Proposal[Any] | None = None
        self._every = every
        self._stepper = stepper
        self._evaluator = Evaluator(potential=potential)
        self._room = room or Room.of(potential, structures)
        self._shares: dict[int, float] = {}
        self._checkpoints = checkpoints
        self._saved_at = time.monotonic()
        self._steps_since_save = 0
        self._stopping = False

    @property
    def n_running(self) -> int:
        """Number of systems in the batch."""
        members = self.progress.members
        return 0 if members is None else members.system.batch.n_systems

    @property
    def n_waiting(self) -> int:
        """Number of structures that have not begun."""
        waiting = range(self.progress.n_entered, len(self._structures))
        return sum(k not in self.refused for k in waiting)

    def stop(self) -> None:
        """End after the step under way; the last snapshot says STOPPED."""
        self._stopping = True

    def checkpoint(self, path: Path) -> None:
        """Write the latest state, atomically."""
        save_state(path, self.progress)

    def __iter__(self) -> Iterator[Snapshot]:
        """Make steps until every system has ended."""
        yield from self._said_before()
        while True:
            # Whatever this state had to say was given, and may be on disk by now.
            self._save_if_due()
            self._unpark()
            yield from self.admit()
            if self.n_running == 0:
                break
            if self.before_step is not None:
                self.before_step()
            if self._stopping:
                members = self.progress.members
                stopped = torch.full_like(members.step, int(Status.STOPPED))
                yield snapshot(self._stepper, members, stopped)
                break
            before = self.progress.members
            proposal = self.propose()
            system = self._evaluator.next(
                before.system,
                positions=proposal.positions,
                cell=proposal.cell,
                constraints=before.data.constraints,
            )
            yield from self.take(system)
        if self._checkpoints is not None:
            self.checkpoint(self._checkpoints.path)

    def propose(self) -> Proposal[Any]:
        """Where the systems in the batch go next; first half of a step."""
        self._proposal = self._stepper.propose(self.progress.members)
        return self._proposal

    def take(self, system: System) -> Iterator[Snapshot]:
        """Go on with the potential's answer to the proposal; second half of a step."""
        assert self._proposal is not None, "a step begins with a proposal"
        before = self.progress.members
        after = self._stepper.complete(self._proposal, system)
        self._steps_since_save += 1
        fault = after.system.fault
        lost = None
        faulty = fault != Fault.NONE
        if bool(faulty.any()):
            lost = self._diverged(_kept(before, faulty), fault[faulty])
            after = _kept(after, ~faulty)
        yield from self._settle(after, lost)

    def _settle(
        self, state: Any, lost: Snapshot | None = None, *, beside: Any = None
    ) -> Iterator[Snapshot]:
        """Take on a state and give the snapshots due; who has ended leaves.

        Args:
            state: of systems at the end of a step, or at their start.
            lost: what is to be said of others that diverged in the same step.
            beside: state of systems that are in the batch already.
        """
        if state is None:
            assert lost is not None, "no state is left where all diverged"
            self.progress = replace(self.progress, members=beside)
            self._record_end(lost)
            yield lost
            return
        status = self._stepper.status(state)
        if lost is None and beside is None and self._is_uneventful(state, status):
            self.progress = replace(self.progress, members=state)
            return
        at_limit = (status == Status.RUNNING) & (state.step >= self.max_steps)
        status = torch.where(at_limit, int(self._at_limit), status)
        running = status == Status.RUNNING
        stays, parked = state, self.progress.parked
        if not bool(running.all()):
            stays = _kept(state, running)
            parked = _together(parked, _kept(state, at_limit))
        self.progress = replace(
            self.progress, members=_together(beside, stays), parked=parked
        )
        through = ~running & ~at_limit
        if bool(through.any()):
            self._record_end(
                snapshot(self._stepper, _kept(state, through), status[through])
            )
        if lost is not None:
            self._record_end(lost)
            yield lost
        due = ~running | (state.step % self._every == 0)
        if bool(due.all()) and len(due):
            yield snapshot(self._stepper, state, status)
        elif bool(due.any()):
            yield snapshot(self._stepper, _kept(state, due), status[due])

    def _is_uneventful(self, state: Any, status: Tensor) -> bool:
        """Whether, as at most steps, nobody leaves and no snapshot is due."""
        steps = state.step.tolist()
        return (
            all(step % self._every for step in steps)
            and max(steps) < self.max_steps
            and all(code == Status.RUNNING for code in status.tolist())
        )

    @property
    def taken(self) -> float:
        """The part of the room that the systems in the batch take."""
        members = self.progress.members
        present = [] if members is None else members.system.ids.tolist()
        return sum(self._share(k) for k in present)

    def admit(self, taken_by_others: float = 0.0) -> Iterator[Snapshot]:
        """Let in waiting structures, in their order, as long as there is room.

        Args:
            taken_by_others: the part of the room that is not this run's.
        """
        while not self._stopping and self.progress.n_entered < len(self._structures):
            entering = self._next_in_line(taken_by_others)
            if not entering:
                return
            atoms = [self._structures[k] for k in entering]
            device = self._evaluator.potential.device
            batch = AtomicBatch.from_atoms(atoms, device=device)
            data = AtomData.from_atoms(atoms, device=device)
            ids = torch.as_tensor(entering, device=device)
            bad, why = self._evaluator.look(batch)
            self.progress = replace(self.progress, n_entered=entering[-1] + 1)
            if bool(bad.any()):
                yield self._never_begun(ids[bad], why)
            if bool(bad.all()):
                continue
            data = select(data, ~bad, ~bad[batch.system_index])
            system = self._evaluator.start(
                batch.select(~bad), ids[~bad], data.constraints
            )
            state = self._stepper.start(system, data)
            bad = system.fault != Fault.NONE
            if bool(bad.any()):
                why = tuple(ADVICE[code] for code in system.fault[bad].tolist())
                yield self._never_begun(system.ids[bad], why)
                state = _kept(state, ~bad)
            if state is not None:
                yield from self._settle(state, beside=self.progress.members)

    def _next_in_line(self, taken_by_others: float) -> list[int]:
        """Places in the list of those that enter now; the refused are stepped over."""
        taken = self.taken + taken_by_others
        entering: list[int] = []
        for k in range(self.progress.n_entered, len(self._structures)):
            if k in self.refused:
                continue
            taken += self._share(k)
            if taken > 1.0 and (entering or self.n_running or taken_by_others):
                break
            entering.append(k)
        return entering

    def _share(self, index: int) -> float:
        """The part of the room that a structure takes."""
        if index not in self._shares:
            structure = self._structures[index]
            self._shares[index] = self._room.share(structure)
        return self._shares[index]

    def _said_before(self) -> Iterator[Snapshot]:
        """The last snapshots of systems that are through, of a run that goes on."""
        yield from self.progress.ended
        parked = self.progress.parked
        if parked is not None and not bool((parked.step < self.max_steps).any()):
            at_limit = torch.full_like(parked.step, int(self._at_limit))
            yield snapshot(self._stepper, parked, at_limit)

    def _unpark(self) -> None:
        """Systems at their limit go on where more steps were given since."""
        now = self.progress
        if now.parked is None:
            return
        may = now.parked.step < self.max_steps
        if bool(may.any()):
            self.progress = replace(
                now,
                members=_together(now.members, _kept(now.parked, may)),
                parked=_kept(now.parked, ~may),
            )

    @property
    def _at_limit(self) -> Status:
        relaxing = self._stepper.is_relaxation
        return Status.STEP_LIMIT if relaxing else Status.FINISHED

    def _record_end(self, last: Snapshot) -> None:
        """What is said of systems that are through is said again after a restart."""
        self.progress = replace(self.progress, ended=(*self.progress.ended, last))

    def _never_begun(self, ids: Tensor, why: tuple[str, ...]) -> Snapshot:
        """What is said of systems that no potential can be asked about."""
        atoms = [self._structures[k] for k in ids.tolist()]
        batch = AtomicBatch.from_atoms(atoms, device=ids.device)
        system = System(
            ids=ids,
            batch=batch,
            prediction=nothing_predicted(batch),
            neighbors=None,
            fault=torch.zeros_like(ids),
        )
        data = AtomData.from_atoms(atoms, device=ids.device)
        state = self._stepper.start(system, data)
        status = torch.full_like(ids, int(Status.DIVERGED))
        said = tuple(f"Diverged at the start: {reason}" for reason in why)
        last = snapshot(self._stepper, state, status, said)
        self._record_end(last)
        return last

    def _diverged(self, state: Any, fault: Tensor) -> Snapshot:
        status = torch.full_like(fault, int(Status.DIVERGED))
        said = tuple(
            f"Diverged at step {step + 1}. {ADVICE[code]}"
            for step, code in zip(state.step.tolist(), fault.tolist(), strict=True)
        )
        return snapshot(self._stepper, state, status, said)

    def _save_if_due(self) -> None:
        plan = self._checkpoints
        if plan is None or self._steps_since_save == 0:
            return
        by_steps = (
            plan.every_steps is not None and self._steps_since_save >= plan.every_steps
        )
        if by_steps or time.monotonic() - self._saved_at >= plan.every_s:
            self.checkpoint(plan.path)
            self._saved_at = time.monotonic()
            self._steps_since_save = 0


def _kept(state: Any, systems: Bool[Tensor, " n_systems"]) -> Any:
    """The state of some systems; None where there are none."""
    if not bool(systems.any()):
        return None
    return select(state, systems, systems[state.system.batch.system_index])


def _together(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return one if other is None else other
    return join([one, other])
