"""The queue behind `compute`: like work in one lane, the same work only once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import ase
import numpy as np

from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Work
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.packing import Queue
from gnndesign.simulation.results import finished_atoms
from gnndesign.simulation.room import Room

Asker = tuple[Any, int]
"""Who wants a structure's end, and as which of theirs."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Item:
    """A structure in the queue and those who wait for it."""

    work: Work
    place: int
    askers: list[Asker]
    end: End | None = None

    @property
    def atoms(self) -> ase.Atoms:
        """As it goes in."""
        return self.work.structures[self.place]


class SharedQueue:
    """Structures of many askers; what two ask for alike is computed once.

    Relaxations are remembered, so that one who asks late has the answer at once. What
    is random, and what is watched, is never shared.
    """

    def __init__(self, potential: Potential, room: Room | None) -> None:
        self._queue = Queue(potential, room)
        self._lanes: dict[Hashable, list[_Item]] = {}
        self._shared: dict[Hashable, _Item] = {}
        self._going: dict[int, _Item] = {}
        self._watched: dict[int, range] = {}
        self._ended: list[tuple[Asker, End]] = []

    @property
    def n_unended(self) -> int:
        """Number of structures that are running or waiting."""
        return len(self._going)

    def ask(self, work: Work, place: int, asker: Asker) -> None:
        """Ask for the end of one structure of a work."""
        kind = repr(work.stepper), work.max_steps, work.every
        # In a lane of its own, parameters and random numbers of single structures go by
        # their place in the work.
        alone = work.on_snapshot is not None or not work.stepper.is_relaxation
        lane: Hashable = id(work) if alone else kind
        if not alone and work.max_steps > 0:
            key = (kind, _fingerprint(work.structures[place]))
            item = self._shared.get(key)
            if item is not None and item.end is not None:
                self._ended.append((asker, item.end))
                return
            if item is not None:
                item.askers.append(asker)
                return
            self._shared[key] = self._put(lane, work, place, asker)
            return
        self._put(lane, work, place, asker)

    def flush(self) -> None:
        """Put what was asked for into the queue.

        A queue of few long lanes is a fast one, so all that came together goes in
        together.
        """
        lanes, self._lanes = self._lanes, {}
        for items in lanes.values():
            work = items[0].work
            numbers = self._queue.add(
                work.stepper,
                [item.atoms for item in items],
                max_steps=work.max_steps,
                every=work.every,
            )
            if work.on_snapshot is not None:
                self._watched |= dict.fromkeys(numbers, numbers)
            self._going |= dict(zip(numbers, items, strict=True))
            for number in numbers:
                if number in self._queue.refused:
                    reason = self._queue.refused[number]
                    self._close(number, _refused(self._going[number].atoms, reason))

    def take_ended(self) -> list[tuple[Asker, End]]:
        """What has ended since this was last asked, and for whom."""
        ended, self._ended = self._ended, []
        return ended

    def __iter__(self) -> Iterator[Snapshot]:
        """Work until nothing is left; the ends of a snapshot are there when it comes."""
        for snapshot in self._queue:
            first = int(snapshot.ids[0])
            if first in self._watched:
                watch = self._going[first].work.on_snapshot
                assert watch is not None
                places = snapshot.ids - self._watched[first].start
                watch(replace(snapshot, ids=places))
            for index, number in enumerate(snapshot.ids.tolist()):
                if snapshot.status[index] != Status.RUNNING:
                    item = self._going[number]
                    self._close(number, _end(item.atoms, snapshot, index))
            yield snapshot

    def _put(self, lane: Hashable, work: Work, place: int, asker: Asker) -> _Item:
        item = _Item(work=work, place=place, askers=[asker])
        self._lanes.setdefault(lane, []).append(item)
        return item

    def _close(self, number: int, end: End) -> None:
        item = self._going.pop(number)
        item.end = end
        self._ended.extend((asker, end) for asker in item.askers)
        item.askers.clear()


def _fingerprint(atoms: ase.Atoms) -> Hashable:
    """Equal for structures that a relaxation cannot tell apart."""
    return (
        atoms.numbers.tobytes(),
        atoms.positions.tobytes(),
        atoms.cell.array.tobytes(),
        atoms.pbc.tobytes(),
        repr([constraint.todict() for constraint in atoms.constraints]),
    )


def _end(start: ase.Atoms, snapshot: Snapshot, index: int) -> End:
    return End(
        atoms=finished_atoms(start, snapshot, index),
        energy=float(snapshot.energy[index]),
        forces=snapshot.forces[snapshot.atom_range(index)],
        stress=snapshot.stress[index],
        max_force=float(snapshot.max_force[index]),
        status=Status(int(snapshot.status[index])),
        steps=int(snapshot.step[index]),
        message=snapshot.messages[index],
    )


def _refused(start: ase.Atoms, reason: str) -> End:
    return End(
        atoms=start.copy(),
        energy=np.nan,
        forces=np.full((len(start), 3), np.nan),
        stress=np.full((3, 3), np.nan),
        max_force=np.nan,
        status=Status.REFUSED,
        steps=0,
        message=reason,
    )
