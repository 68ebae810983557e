"""What a worker does to distil a potential, and what it leaves in the job's folder.

distillation.json       a `DistillationReport`, after every round
potential.safetensors   the best student of the last round, for `load_potential`
committee.safetensors   all students of the last round as one, likewise
distillation/           frames, checkpoints and students, to go on from
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gnndesign.disk import write_atomically
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.reports import read_report
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.training import trained_file
from gnndesign.potentials.base import Potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.distill import Distiller
from gnndesign.training.distill_plan import DistillationPlan
from gnndesign.training.distill_results import DistillationMoment, DistillationReport


def distillation_file(store: JobStore) -> Path:
    """Where the report of a distillation job is."""
    return store.folder / "distillation.json"


def committee_file(store: JobStore) -> Path:
    """Where the committee of all students of a distillation job is."""
    return store.folder / "committee.safetensors"


def read_distillation(store: JobStore) -> DistillationReport | None:
    """How far a distillation is; None before its first round has ended.

    Raises:
        CheckpointError: it was written by another version.
    """
    return read_report(
        distillation_file(store), DistillationReport.from_dict, anew="Distil anew."
    )


def run_distillation(
    store: JobStore, spec: JobSpec, teacher: Potential, control: Control
) -> Iterator[Progress]:
    """Distil, round by round; a resumed job goes on in the midst of a round."""
    plan, structures = DistillationPlan.from_dict(spec.parameters), spec.atoms()
    wanted = plan.distillation
    distiller = Distiller(
        teacher,
        structures,
        plan.student(structures, teacher.device),
        replace(wanted, rounds=control.total or wanted.rounds),
        folder=store.folder / "distillation",
        should_stop=control.should_stop,
    )
    if distiller.history:
        _write(store, distiller)
    for moment in distiller:
        if moment.stage in ("round", "end"):
            _write(store, distiller)
        distiller.options = replace(wanted, rounds=control.total or wanted.rounds)
        yield Progress(
            done=len(distiller.history),
            total=distiller.options.rounds,
            message=_said(distiller, moment),
        )


def _write(store: JobStore, distiller: Distiller) -> None:
    student, result = distiller.best(), distiller.result
    committee = distiller.committee()
    if student is not None and committee is not None:
        save_potential(student, trained_file(store))
        save_potential(committee, committee_file(store))
    report = DistillationReport(
        bound_meV_per_A=distiller.options.force_error_meV_per_A,
        history=tuple(distiller.history),
        speed=result and result.speed,
        stability=result and result.stability,
    )
    text = json.dumps(report.to_dict(), allow_nan=False, indent=1)
    write_atomically(distillation_file(store), text)


def _said(distiller: Distiller, moment: DistillationMoment) -> str:
    options = distiller.options
    said = f"Round {moment.number}"
    training = moment.training
    if training is not None and moment.member is not None:
        return (
            f"{said}: student {moment.member + 1} of {options.n_members}, epoch "
            f"{training.epoch}, batch {training.batch} of {training.n_batches}."
        )
    stages = {
        "frames": f"{said}: making and labelling frames.",
        "test": f"{said}: testing on fresh frames.",
        "speed": "Timing teacher and student in turn.",
        "stability": f"The student runs for {options.stability_ps:g} ps.",
    }
    if moment.stage in stages or not distiller.history:
        return stages.get(moment.stage, said)
    last = distiller.history[-1]
    if last.n_diverged:
        return f"{said}: {last.n_diverged} runs of the student diverged."
    against = "below" if distiller.reached else "above"
    return (
        f"{said}: {last.largest_error:.3g} meV/Å on fresh frames, {against} the bound "
        f"of {options.force_error_meV_per_A:g}."
    )
