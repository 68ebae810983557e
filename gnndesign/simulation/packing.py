"""One queue for structures of all kinds of work.

Relaxations, replicas of molecular dynamics, single points and displaced copies are
evaluated in one batch, whatever is done with them; who is through leaves at once, and
who waits enters where there is room. What comes out does not depend on the company:
parameters of single structures and random numbers go by the place of a structure in the
list that it was added with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
import torch

from gnndesign.members import join, select
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Stepper
from gnndesign.simulation.evaluation import Evaluator
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import run
from gnndesign.simulation.running import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """Structures that were added together.

    Attributes:
        run: knows them by their places.
        start: number of the first in the queue.
    """

    run: Run
    start: int

    def numbered(self, said: Iterator[Snapshot]) -> Iterator[Snapshot]:
        """What the run says, with the numbers of the queue."""
        for snapshot in said:
            yield replace(snapshot, ids=snapshot.ids + self.start)


class Queue:
    """Work in the order given, as much at once as there is room for.

    Every structure gets a number when it is added; snapshots name it by that. More may
    be added while the queue is iterated over: what a relaxation ended with can be
    displaced and added at once.

    Args:
        potential: gives the forces.
        room: how much goes into one batch; None for what the memory allows.

    Attributes:
        refused: why structures were left out, by their number.
    """

    def __init__(self, potential: Potential, room: Room | None = None) -> None:
        self._potential = potential
        self._room = room
        self._evaluator = Evaluator(potential=potential)
        self._lanes: list[_Lane] = []
        self._n_added = 0
        self.refused: dict[int, str] = {}

    def add(
        self,
        stepper: Stepper[Any],
        structures: ase.Atoms | Sequence[ase.Atoms],
        *,
        max_steps: int = 0,
        every: int = 1,
    ) -> range:
        """Put structures at the end of the queue.

        Args:
            stepper: what is done with them: `SinglePoint`, `FIRE`, `Langevin`, ...
            structures: one or more. They are not modified.
            max_steps: most steps of each.
            every: steps between snapshots.

        Returns:
            Their numbers. One that cannot be used is named in `refused`.

        Raises:
            StructureError: an empty list.
            ParameterError: `max_steps` or `every` is out of range.
        """
        several = [structures] if isinstance(structures, ase.Atoms) else structures
        numbers = range(self._n_added, self._n_added + len(several))
        going = run(
            stepper,
            self._potential,
            list(several),
            max_steps=max_steps,
            every=every,
            room=self._room,
        )
        self._lanes.append(_Lane(run=going, start=numbers.start))
        self.refused |= {numbers[k]: str(why) for k, why in going.refused.items()}
        self._n_added = numbers.stop
        return numbers

    def __iter__(self) -> Iterator[Snapshot]:
        """Work until nothing is left; snapshots are of one kind of work each."""
        while self._lanes:
            for lane in tuple(self._lanes):
                others = sum(x.run.taken for x in self._lanes if x is not lane)
                yield from lane.numbered(lane.run.admit(taken_by_others=others))
            going = [lane for lane in self._lanes if lane.run.n_running]
            self._lanes = [x for x in self._lanes if x.run.n_running or x.run.n_waiting]
            systems = self._evaluate([lane.run for lane in going])
            for lane, system in zip(going, systems, strict=True):
                yield from lane.numbered(lane.run.take(system))

    def _evaluate(self, runs: Sequence[Run]) -> list[Any]:
        """The next systems of all lanes, by one evaluation."""
        if not runs:
            return []
        proposals = [one.propose() for one in runs]
        befores = [one.progress.members.system for one in runs]
        constraints = [one.progress.members.data.constraints for one in runs]
        after = self._evaluator.next(
            join(befores),
            positions=torch.cat([proposal.positions for proposal in proposals]),
            cell=torch.cat([proposal.cell for proposal in proposals]),
            constraints=join(constraints),
        )
        if len(runs) == 1:
            return [after]
        owner = torch.repeat_interleave(
            torch.tensor([before.batch.n_systems for before in befores])
        ).to(after.ids.device)
        return [
            select(after, owner == k, (owner == k)[after.batch.system_index])
            for k in range(len(runs))
        ]
