"""A student of SevenNet-0 for silicon: how fast, how near, and whether it holds.

A Behler-Parrinello network learns frames at 300 to 900 K that SevenNet-0 labels, chosen
by the disagreement of a committee, until its forces on fresh frames at 600 K are near
enough. Then molecular dynamics with both is timed in turn in one process, and the
student runs at constant temperature for 100 ps. What has been learned is kept in
`build/distill`, so that a run that was cut goes on.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import Any

import contenders
import torch
from harness import ROOT, device_name, parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.base import Potential
from gnndesign.training.distill import Distillation, distill
from gnndesign.training.distill_results import DistillationMoment, Distilled
from gnndesign.training.loss import Loss
from gnndesign.training.options import Training
from gnndesign.training.student_checks import measure_speed_up

TEACHER = "sevennet-0"
TEMPERATURE_K = 600.0
LEAST_SPEED_UP = 5.0
LARGEST_FORCE_ERROR = 60.0
"""meV/Å, root mean square of components."""

STABLE_PS = 100.0

SHAPE: dict[str, Any] = {
    "cutoff": 5.0,
    "n_centered": 0,
    "n_shifted": 10,
    "n_angular_centered": 0,
    "n_angular_shifted": 6,
    "innermost": 1.5,
    "zeta": (1, 2, 4),
    "hidden": (24, 24),
}

FULL = Distillation(
    temperature_K=TEMPERATURE_K,
    temperatures_K=(300.0, 600.0, 900.0),
    force_error_meV_per_A=LARGEST_FORCE_ERROR,
    rounds=5,
    n_dynamics=60,
    n_deformed=20,
    n_candidates=90,
    n_added=20,
    n_fresh=10,
    training=Training(
        epochs=60,
        batch_size=2,
        learning_rate=5e-3,
        loss=Loss(energy=1.0, forces=5.0, stress=0.1),
    ),
    more_epochs=30,
    timings=0,
    stability_ps=STABLE_PS,
)
QUICK = Distillation(
    temperature_K=TEMPERATURE_K,
    temperatures_K=(600.0,),
    force_error_meV_per_A=LARGEST_FORCE_ERROR,
    rounds=1,
    n_dynamics=6,
    n_deformed=4,
    n_fresh=2,
    training=Training(epochs=3, batch_size=2),
    timings=0,
    stability_ps=0.5,
)

COLUMNS = (
    "round",
    "frames",
    "disagreement_eV_per_A",
    "own_meV_per_A",
    "teachers_meV_per_A",
)
SPEED_COLUMNS = (
    "atoms",
    "teacher_step_us",
    "student_step_us",
    "times_faster",
    "potential_times_faster",
)


def main() -> int:
    """Distil, time, print, write and check."""
    arguments = parse_arguments(__doc__ or "")
    quick = arguments.quick
    teacher = gd.load_potential(TEACHER, "cpu")
    teacher.prepare()
    student = new_potential("behler-parrinello", ["Si"], **SHAPE)
    folder = None if quick else ROOT / "build" / "distill"
    found = distill(
        teacher,
        [contenders.silicon(64)],
        student,
        QUICK if quick else FULL,
        folder=folder,
        on_moment=say,
    )
    assert found is not None
    rows = [row_of(found, number) for number in range(len(found.history))]
    print_table(rows, COLUMNS)
    sizes = (64,) if quick else (64, 512, 4096)
    speeds = [speed_row(teacher, found.potential, n) for n in sizes]
    print_table(speeds, SPEED_COLUMNS)
    last = found.history[-1]
    stability = found.stability
    assert stability is not None
    headline = {
        "times_faster": min(row["times_faster"] for row in speeds),
        "force_rmse_meV_per_A": last.largest_error,
        "rounds": len(found.history),
        "frames": last.n_frames + last.n_validation,
        "stable_ps": stability.time_ps if stability.finished else 0.0,
        "temperature_K": stability.temperature_K,
        "energy_drift_meV_per_atom": stability.energy_drift_meV_per_atom,
        "steps_per_s_64": stability.steps_per_s,
    }
    write_results(
        "distill",
        headline=headline,
        rows=[
            {"threads": torch.get_num_threads(), "device": device_name()},
            {"stability": asdict(stability)},
            *(report.to_dict() for report in found.history),
            *speeds,
        ],
        packages=("torch", "ase"),
        quick=quick,
    )
    sys.stdout.write(
        f"{headline['times_faster']:.1f} times faster, {last.largest_error:.1f} meV/Å "
        f"on fresh frames, {headline['stable_ps']:.0f} ps at "
        f"{stability.temperature_K:.0f} K ({stability.steps_per_s:.0f} steps/s)\n"
    )
    missed = misses(headline)
    for target in missed:
        sys.stdout.write(f"missed: {target}\n")
    return 1 if arguments.check and missed else 0


def say(moment: DistillationMoment) -> None:
    """A line for every tenth epoch and every other stage."""
    training = moment.training
    if training is None:
        sys.stdout.write(f"round {moment.number}: {moment.stage}\n")
    elif training.report is not None and training.epoch % 10 == 0:
        sys.stdout.write(
            f"round {moment.number}: student {moment.member}, epoch {training.epoch}, "
            f"{training.report.validation.forces_rmse_meV_per_A:.1f} meV/Å\n"
        )
    sys.stdout.flush()


def row_of(found: Distilled, number: int) -> dict[str, Any]:
    """What a round brought."""
    report = found.history[number]
    own, teachers = report.on_own_dynamics, report.on_teachers_dynamics
    return {
        "round": report.number,
        "frames": report.n_frames,
        "disagreement_eV_per_A": report.disagreement_eV_per_A,
        "own_meV_per_A": math.nan if own is None else own.forces_rmse_meV_per_A,
        "teachers_meV_per_A": math.nan
        if teachers is None
        else teachers.forces_rmse_meV_per_A,
    }


def speed_row(teacher: Potential, student: Potential, n_atoms: int) -> dict[str, Any]:
    """Both in turn, at a size."""
    few = max(2, 640 // n_atoms)
    speed = measure_speed_up(
        teacher,
        student,
        contenders.silicon(n_atoms),
        temperature_K=TEMPERATURE_K,
        teacher_steps=few,
        student_steps=10 * few,
    )
    return {
        "atoms": n_atoms,
        "teacher_step_us": speed.teacher.step_us,
        "student_step_us": speed.student.step_us,
        "teacher_potential_us": speed.teacher.potential_us,
        "student_potential_us": speed.student.potential_us,
        "times_faster": speed.ratio,
        "potential_times_faster": speed.potential_ratio,
    }


def misses(headline: dict[str, Any]) -> list[str]:
    """What does not hold of the claim."""
    found: list[str] = []
    if headline["times_faster"] < LEAST_SPEED_UP:
        found.append(
            f"{headline['times_faster']:.1f} times faster, wanted {LEAST_SPEED_UP:g}"
        )
    if not headline["force_rmse_meV_per_A"] < LARGEST_FORCE_ERROR:
        found.append(
            f"{headline['force_rmse_meV_per_A']:.1f} meV/Å on fresh frames, wanted "
            f"{LARGEST_FORCE_ERROR:g}"
        )
    if headline["stable_ps"] < STABLE_PS:
        found.append(f"{headline['stable_ps']:g} ps, wanted {STABLE_PS:g}")
    return found


if __name__ == "__main__":
    sys.exit(main())
