"""Distillation: a fast student learns what a slow teacher says, where it matters.

    1. The teacher's dynamics at several temperatures, and strained and rattled
       structures, give the first frames, which it labels.
    2. A committee of students, equal but for their random weights, learns them.
    3. The best student is tested on fresh frames at the wanted temperature, from its
       own dynamics and from the teacher's, on which nothing is ever trained.
    4. If its errors are above the bound, its own dynamics gives candidates; those on
       which the committee disagrees most are labelled and learned too: go to 2.

Student and teacher: G. Hinton, O. Vinyals, J. Dean, arXiv:1503.02531; of potentials:
J. Gardner et al., arXiv:2506.10956. The choice of frames: see frames.py.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import numpy as np

from gnndesign.errors import FitError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.potentials.committee import Committee
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.dataset import Dataset
from gnndesign.training.distill_folder import DistillationFolder
from gnndesign.training.distill_options import Distillation
from gnndesign.training.distill_results import (
    DistillationMoment,
    DistillationRound,
    Distilled,
    distilled_card,
)
from gnndesign.training.distill_steps import (
    LONG_RUN,
    MEMBER,
    SPLIT,
    disputed_frames,
    first_frames,
    fresh_errors,
    identity_of,
    new_members,
    seed_of,
)
from gnndesign.training.frames import label
from gnndesign.training.student_checks import measure_speed_up, run_long
from gnndesign.training.trainer import Trainer

__all__ = ["Distillation", "Distiller", "distill"]


def distill(
    teacher: Potential,
    structures: Sequence[ase.Atoms],
    student: TrainablePotential[Any],
    distillation: Distillation | None = None,
    *,
    folder: Path | str | None = None,
    on_moment: Callable[[DistillationMoment], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Distilled | None:
    """Teach a fast potential what a slow one says of structures like these.

    Args:
        teacher: labels frames. Energies, forces and stress are learned.
        structures: where dynamics starts; the first is the one that is timed and run
            for long.
        student: an untrained potential of `new_potential`: its shape. Its weights are
            not used.
        distillation: how; None for the defaults.
        folder: to save to after every step of a round, and to go on from.
        on_moment: called with what goes on.
        should_stop: asked between frames and batches.

    Returns:
        The student; None if it was stopped before the end.

    Raises:
        ParameterError, CheckpointError, UnsupportedElementError: see `Distiller`.
        FitError: no frame can be learned, or the loss became infinite.
    """
    distiller = Distiller(
        teacher,
        structures,
        student,
        distillation or Distillation(),
        folder=folder,
        should_stop=should_stop,
    )
    for moment in distiller:
        if on_moment is not None:
            on_moment(moment)
    return distiller.result


class Distiller:
    """Distils; iterate over it, then ask for `result`.

    Args: as of `distill`.

    Attributes:
        history: a report a round.
        result: the student, at the end.

    Raises:
        ParameterError: no structure.
        UnsupportedElementError: teacher or student do not know an element.
        CheckpointError: the folder is of another distillation.
    """

    def __init__(
        self,
        teacher: Potential,
        structures: Sequence[ase.Atoms],
        student: TrainablePotential[Any],
        distillation: Distillation,
        *,
        folder: Path | str | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        if not structures:
            raise ParameterError("Wanted at least one structure, got an empty list.")
        for atoms in structures:
            for potential in (teacher, student):
                potential.card.check_elements(atoms.numbers.tolist())
        self.teacher, self.student = teacher, student
        self.structures = list(structures)
        self.options = distillation
        self.history: list[DistillationRound] = []
        self.result: Distilled | None = None
        self._should_stop = should_stop
        self._stopping = False
        self._members = new_members(student, distillation)
        self._learned: list[Dataset] = []
        self._validation: list[Dataset] = []
        self._folder = DistillationFolder(
            folder, identity_of(teacher, self.structures, student, distillation)
        )
        self._resume()

    def _resume(self) -> None:
        """Take up the rounds that the folder has."""
        self.history = self._folder.load_history()
        for number in range(1, len(self.history) + 1):
            kept = self._folder.load_frames(number)
            assert kept is not None
            self._share_out(kept[0], number)
        if self.history:
            self._members = self._folder.load_members(
                len(self.history), self.options.n_members, self.student.device
            )

    def stop(self) -> None:
        """End as soon as possible; what a folder has is gone on from."""
        self._stopping = True

    @property
    def reached(self) -> bool:
        """Whether the last round's errors are below the bound."""
        bound = self.options.force_error_meV_per_A
        return bool(self.history) and self.history[-1].largest_error < bound

    def _is_stopped(self) -> bool:
        if self._should_stop is not None and self._should_stop():
            self._stopping = True
        return self._stopping

    def __iter__(self) -> Iterator[DistillationMoment]:
        """All rounds, then the measurements of the student."""
        while len(self.history) < self.options.rounds and not self.reached:
            yield from self._round(len(self.history) + 1)
            if self._is_stopped():
                return
        yield from self._finish()

    def _moment(self, stage: str, **more: Any) -> DistillationMoment:
        number = more.pop("number", len(self.history))
        return DistillationMoment(number=number, stage=stage, **more)

    def _round(self, number: int) -> Iterator[DistillationMoment]:
        yield self._moment("frames", number=number)
        found = self._new_frames(number)
        if found is None:
            return
        frames, disagreement = found
        learned, validation = list(self._learned), list(self._validation)
        self._share_out(frames, number)
        trainers: list[Trainer] = []
        for member in range(self.options.n_members):
            yield from self._train(number, member, trainers)
            if self._stopping:
                break
        else:
            yield self._moment("test", number=number)
            report = self._end_round(number, trainers, disagreement)
            if report is not None:
                yield self._moment("round", number=number, report=report)
                return
        self._learned, self._validation = learned, validation

    def _end_round(
        self, number: int, trainers: list[Trainer], disagreement: float
    ) -> DistillationRound | None:
        """Test the best student; keep all. None if it was stopped meanwhile."""
        scores = [trainer.best.score for trainer in trainers if trainer.best]
        best = int(np.argmin(scores))
        students = [trainer.potential() for trainer in trainers]
        errors = fresh_errors(
            students[best],
            self.teacher,
            self.structures,
            self.options,
            number,
            self._is_stopped,
        )
        if self._stopping:
            return None
        report = DistillationRound(
            number=number,
            n_frames=sum(map(len, self._learned)),
            n_validation=sum(map(len, self._validation)),
            member=best,
            disagreement_eV_per_A=disagreement,
            **{name: getattr(errors, name) for name in errors.__slots__},
        )
        self._members = students
        self.history.append(report)
        self._folder.save_round(self.history, students)
        return report

    def _new_frames(self, number: int) -> tuple[Dataset, float] | None:
        """Labelled frames of a round, and how far members were apart on candidates."""
        kept = self._folder.load_frames(number)
        if kept is not None:
            return kept
        options, disagreement = self.options, math.nan
        start = (self.structures, options)
        if number == 1:
            frames = first_frames(self.teacher, *start, self._is_stopped)
        else:
            best = self.history[-1].member
            frames, disagreement = disputed_frames(
                self._members, best, *start, number, self._is_stopped
            )
        if self._is_stopped():
            return None
        bound = options.largest_force
        labelled = label(
            self.teacher, frames, group=f"round {number}", largest_force=bound
        )
        if labelled is None or (number == 1 and len(labelled) < 2):
            raise FitError(
                f"Of {len(frames)} frames of round {number} hardly one can be learned: "
                f"the teacher refuses them, or their forces are above {bound} eV/Å. "
                "Begin with relaxed structures, or with lower temperatures."
            )
        self._folder.save_frames(number, labelled, disagreement)
        return labelled, disagreement

    def _share_out(self, frames: Dataset, number: int) -> None:
        """A tenth, but one at least, is for validation."""
        order = np.random.default_rng(seed_of(self.options, number, SPLIT)).permutation(
            len(frames)
        )
        n_validation = max(1, len(frames) // 10) if len(frames) > 1 else 0
        if n_validation:
            self._validation.append(frames.select(order[:n_validation]))
        self._learned.append(frames.select(order[n_validation:]))

    def best(self) -> TrainablePotential[Any] | None:
        """The best student of the last round, with its card; None before the first."""
        if not self.history:
            return None
        last = self.history[-1]
        # A copy: the next round goes on from the student as it was.
        student = copy.copy(self._members[last.member])
        student.card = distilled_card(
            student, self.teacher, last, self.options.temperature_K
        )
        return student

    def committee(self) -> Committee | None:
        """All students of the last round as one; None before the first."""
        return Committee(self._members) if self.history else None

    def _train(
        self, number: int, member: int, trainers: list[Trainer]
    ) -> Iterator[DistillationMoment]:
        training = replace(
            self.options.training, seed=seed_of(self.options, number, MEMBER + member)
        )
        if number > 1:
            training = replace(
                training, epochs=self.options.more_epochs, calibrate=False
            )
        trainer = Trainer(
            self._members[member],
            Dataset.concatenate(self._learned),
            Dataset.concatenate(self._validation),
            training,
            checkpoint=self._folder.checkpoint(number, member),
        )
        trainers.append(trainer)
        for moment in trainer:
            yield self._moment("train", number=number, member=member, training=moment)
            if self._is_stopped():
                trainer.stop()

    def _finish(self) -> Iterator[DistillationMoment]:
        options, atoms = self.options, self.structures[0]
        student = self.best()
        if student is None:
            return
        speed = stability = None
        if options.timings:
            yield self._moment("speed")
            speed = measure_speed_up(
                self.teacher,
                student,
                atoms,
                temperature_K=options.temperature_K,
                repeats=options.timings,
            )
        if options.stability_ps:
            yield self._moment("stability")
            stability = run_long(
                student,
                atoms,
                temperature_K=options.temperature_K,
                time_ps=options.stability_ps,
                timestep_fs=options.sampling.timestep_fs,
                seed=seed_of(options, 0, LONG_RUN),
                should_stop=self._is_stopped,
            )
        if self._stopping:
            return
        self.result = Distilled(
            potential=student,
            committee=tuple(self._members),
            history=tuple(self.history),
            reached=self.reached,
            speed=speed,
            stability=stability,
        )
        yield self._moment("end")
