"""What a distillation says while it goes on, and what it ends with."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from gnndesign.potentials.base import Card, Potential
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.evaluation import Errors
from gnndesign.training.reports import Moment
from gnndesign.training.student_checks import SpeedUp, Stability


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationRound:
    """What a round brought.

    Attributes:
        number: counted from 1.
        n_frames: labelled frames that were learned so far.
        n_validation: labelled frames that chose the best epoch.
        member: place of the best student in the committee, by validation.
        disagreement_eV_per_A: of the committee before this round, mean over the
            candidates of the atom on which members agree least; NaN in the first round.
        on_own_dynamics: errors of the best student on fresh frames of its own dynamics
            at the wanted temperature; None if not one of them could be labelled.
        on_teachers_dynamics: likewise, of the teacher's dynamics.
        n_diverged: runs of its own dynamics that a guard ended.
    """

    number: int
    n_frames: int
    n_validation: int
    member: int
    disagreement_eV_per_A: float
    on_own_dynamics: Errors | None
    on_teachers_dynamics: Errors | None
    n_diverged: int

    @property
    def largest_error(self) -> float:
        """meV/Å: force RMSE on either kind of fresh frames; infinite if one diverged."""
        kinds = (self.on_own_dynamics, self.on_teachers_dynamics)
        if self.n_diverged:
            return math.inf
        return max(
            math.inf if errors is None else errors.forces_rmse_meV_per_A
            for errors in kinds
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        kinds = ("on_own_dynamics", "on_teachers_dynamics")
        found = {kind: getattr(self, kind) for kind in kinds}
        spread = self.disagreement_eV_per_A
        return asdict(self) | {
            **{kind: e and e.to_dict() for kind, e in found.items()},
            "disagreement_eV_per_A": None if math.isnan(spread) else spread,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DistillationRound:
        """Back from `to_dict`."""
        spread = data["disagreement_eV_per_A"]
        values: dict[str, Any] = {
            **data,
            "disagreement_eV_per_A": math.nan if spread is None else spread,
        }
        for kind in ("on_own_dynamics", "on_teachers_dynamics"):
            values[kind] = data[kind] and Errors.from_dict(data[kind])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationMoment:
    """What is said on the way.

    Attributes:
        number: of the round, counted from 1.
        stage: what begins ("frames", "test", "speed", "stability") or has just been
            done ("train": a batch; "round"; "end").
        member: that is trained; else None.
        training: what its trainer says; else None.
        report: of the round that has ended; else None.
    """

    number: int
    stage: str
    member: int | None = None
    training: Moment | None = None
    report: DistillationRound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """A student and what it is worth.

    Attributes:
        potential: the best student; its card names the teacher and the errors.
        committee: all students of the last round, for error bars.
        history: a report a round.
        reached: whether its errors on fresh frames are below the wanted bound.
        speed: beside the teacher; None if no timing was wanted.
        stability: of a long run; None if none was wanted.
    """

    potential: TrainablePotential[Any]
    committee: tuple[TrainablePotential[Any], ...]
    history: tuple[DistillationRound, ...]
    reached: bool
    speed: SpeedUp | None
    stability: Stability | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationReport:
    """How far a distillation is, without the potentials.

    Attributes:
        bound_meV_per_A: root mean square error of a force component on fresh frames,
            below which the student is good.
        history: a report a round.
        speed, stability: as of `Distilled`; None before the end.
    """

    bound_meV_per_A: float
    history: tuple[DistillationRound, ...]
    speed: SpeedUp | None = None
    stability: Stability | None = None

    @property
    def reached(self) -> bool:
        """Whether the errors of the last round are below the bound."""
        last = self.history[-1:]
        return bool(last) and last[0].largest_error < self.bound_meV_per_A

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        stability = self.stability and asdict(self.stability)
        if stability and math.isnan(stability["energy_drift_meV_per_atom"]):
            stability["energy_drift_meV_per_atom"] = None
        return {
            "bound_meV_per_A": self.bound_meV_per_A,
            "history": [report.to_dict() for report in self.history],
            "speed": self.speed and asdict(self.speed),
            "stability": stability,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DistillationReport:
        """Back from `to_dict`."""
        speed, stability = data["speed"], data["stability"]
        if stability is not None and stability["energy_drift_meV_per_atom"] is None:
            stability = {**stability, "energy_drift_meV_per_atom": math.nan}
        return cls(
            bound_meV_per_A=data["bound_meV_per_A"],
            history=tuple(map(DistillationRound.from_dict, data["history"])),
            speed=TypeAdapter(SpeedUp | None).validate_python(speed),
            stability=TypeAdapter(Stability | None).validate_python(stability),
        )


def distilled_card(
    student: TrainablePotential[Any],
    teacher: Potential,
    last: DistillationRound,
    temperature_K: float,
) -> Card:
    """What a person should know of a student."""
    notes = [
        (
            f"It inherits the errors of {teacher.card.title}: its own errors here are "
            "those beside its teacher, not beside nature."
        ),
    ]
    for kind, errors in (
        ("its own", last.on_own_dynamics),
        ("its teacher's", last.on_teachers_dynamics),
    ):
        if errors is not None:
            notes.append(
                f"Root mean square errors on {errors.n_structures} fresh frames of "
                f"{kind} dynamics at {temperature_K:g} K: "
                f"{errors.energy_rmse_meV:.3g} meV an atom, "
                f"{errors.forces_rmse_meV_per_A:.3g} meV/Å."
            )
    return replace(
        student.card,
        name="distilled",
        title=f"{student.card.title.removesuffix(', fine-tuned')}, distilled from "
        f"{teacher.card.title}",
        licence=f"yours; that of the teacher: {teacher.card.licence}",
        level_of_theory=f"that of {teacher.card.title}: {teacher.card.level_of_theory}",
        training_data=f"{last.n_frames} frames labelled by {teacher.card.title}",
        notes=tuple(notes),
        training={
            **student.card.training,
            "teacher": {
                "name": teacher.card.name,
                "title": teacher.card.title,
                "checksum": teacher.card.checksum,
            },
            "distillation": last.to_dict(),
        },
    )
