"""`gnndesign distill`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnndesign.cli.learning import add_output, add_shape, check_output, shape_of
from gnndesign.cli.output import (
    DONE,
    INTERRUPTED,
    NOT_REACHED,
    Bar,
    Commands,
    Interrupt,
    add_command,
    add_potential,
    note,
    write_table,
)
from gnndesign.errors import ParameterError

if TYPE_CHECKING:
    from gnndesign.training.distill import Distiller
    from gnndesign.training.distill_plan import DistillationPlan
    from gnndesign.training.distill_results import DistillationRound, Distilled
    from gnndesign.training.evaluation import Errors

_STUDENTS = ("behler-parrinello", "soap", "invariant", "equivariant")

# Option, field of Distillation, default, and what it says.
_COUNTS = (
    ("--rounds", "rounds", 4, "at most"),
    ("--members", "n_members", 2, "students that may disagree"),
    ("--frames", "n_dynamics", 60, "of the potential's dynamics, in the first round"),
    ("--deformed", "n_deformed", 30, "strained and rattled structures, likewise"),
    ("--added", "n_added", 30, "frames a later round"),
    ("--candidates", "n_candidates", 120, "of which those are chosen"),
    ("--fresh", "n_fresh", 10, "frames of either kind in a test"),
    ("--more-epochs", "more_epochs", 50, "of a later round"),
    ("--timings", "timings", 5, "pairs of runs that are timed at the end"),
    ("--seed", "seed", 0, "of everything random"),
)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "distill",
        "Make a fast student of a slow potential, for structures like these: the "
        "potential labels frames of dynamics that students learn, round by round.",
        example="gnndesign distill silicon.cif --potential sevennet-0 --temperature 600 "
        "--bound 60 -o fast.safetensors",
        not_reached="the student's errors are still above the bound; it was written",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_potential(parser)
    parser.add_argument(
        "--architecture",
        default=_STUDENTS[0],
        choices=_STUDENTS,
        help="of the student (default: %(default)s)",
    )
    add_shape(parser)
    parser.add_argument(
        "--temperature",
        type=float,
        default=300.0,
        metavar="K",
        help="at which the student shall be good (default: %(default)s)",
    )
    parser.add_argument(
        "--learn-at",
        default="300,600,900",
        metavar="K,K",
        help="temperatures of the frames to learn from (default: %(default)s)",
    )
    parser.add_argument(
        "--bound",
        type=float,
        default=60.0,
        help="meV/Å, root mean square force error on fresh frames (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs", type=int, default=100, help="of the first round (default: 100)"
    )
    for option, name, default, said in _COUNTS:
        parser.add_argument(
            option,
            dest=name,
            type=int,
            default=default,
            help=f"{said}; default: {default}",
        )
    parser.add_argument(
        "--stability-ps",
        type=float,
        default=10.0,
        help="ps, of the student's run at the end; 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--folder", type=Path, help="to save every step to, and to go on from"
    )
    add_output(parser, "student.safetensors")
    parser.add_argument(
        "--committee",
        type=Path,
        metavar="FILE",
        help="to write all students to, as one potential that knows its error bars",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Distil, show the rounds, and write the best student."""
    for path in (options.output, options.committee):
        if path is not None:
            check_output(path)
    plan = plan_of(options)

    from gnndesign.potentials.catalog import load_potential
    from gnndesign.potentials.files import save_potential
    from gnndesign.structures.files import load_structures
    from gnndesign.training.distill import Distiller

    structures = [atoms for path in options.files for atoms in load_structures(path)]
    teacher = load_potential(options.potential, options.device)
    wanted = plan.distillation
    with (
        Interrupt() as interrupt,
        Bar(wanted.rounds, "rounds", show=options.progress) as bar,
    ):
        distiller = Distiller(
            teacher,
            structures,
            plan.student(structures, teacher.device),
            wanted,
            folder=options.folder,
            should_stop=interrupt,
        )
        for moment in distiller:
            training = moment.training
            epoch = "" if training is None else f" epoch {training.epoch}"
            bar.at(len(distiller.history), f"{moment.stage}{epoch}")
    student = distiller.best()
    if student is None:
        note("Stopped before the first round had ended: no student was written.")
        return INTERRUPTED
    save_potential(student, options.output)
    committee = distiller.committee()
    if options.committee is not None and committee is not None:
        save_potential(committee, options.committee)
    _write(distiller, options.output)
    if distiller.result is None:
        return INTERRUPTED
    return DONE if distiller.reached else NOT_REACHED


def plan_of(options: Namespace) -> DistillationPlan:
    """The distillation that the command line asks for."""
    from gnndesign.training.distill_plan import DistillationPlan

    try:
        temperatures = [float(text) for text in options.learn_at.split(",")]
    except ValueError as error:
        raise ParameterError(
            f"Wanted --learn-at K,K such as 300,600, got {options.learn_at!r}."
        ) from error
    chosen: dict[str, Any] = {name: getattr(options, name) for _, name, _, _ in _COUNTS}
    return DistillationPlan(
        architecture=options.architecture,
        shape=shape_of(options),
        options={
            **chosen,
            "temperature_K": options.temperature,
            "temperatures_K": temperatures,
            "force_error_meV_per_A": options.bound,
            "training": {"epochs": options.epochs},
            "stability_ps": options.stability_ps,
        },
    )


def _write(distiller: Distiller, output: Path) -> None:
    header = ("round", "frames", "own dynamics", "diverged", "teacher's dynamics")
    write_table(
        [*header, "energy (meV/atom)"], [_row(one) for one in distiller.history]
    )
    said = "below" if distiller.reached else "above"
    bound = distiller.options.force_error_meV_per_A
    note(
        "Root mean square force errors on fresh frames, meV/Å: the last are "
        f"{said} the bound of {bound:g}. Wrote {output}."
    )
    if distiller.result is not None:
        _write_worth(distiller.result)


def _row(one: DistillationRound) -> list[str]:
    def forces(errors: Errors | None) -> str:
        return "-" if errors is None else f"{errors.forces_rmse_meV_per_A:.3g}"

    own, teachers = one.on_own_dynamics, one.on_teachers_dynamics
    energies = [errors.energy_rmse_meV for errors in (own, teachers) if errors]
    return [
        str(one.number),
        str(one.n_frames),
        forces(own),
        str(one.n_diverged),
        forces(teachers),
        f"{max(energies):.3g}" if energies else "-",
    ]


def _write_worth(result: Distilled) -> None:
    speed, held = result.speed, result.stability
    if speed is not None:
        note(
            f"{speed.ratio:.3g} times as fast a step of dynamics of {speed.n_atoms} "
            f"atoms: {speed.student.step_us:.3g} instead of {speed.teacher.step_us:.3g} "
            "µs an atom."
        )
    if held is not None:
        end = "ran to the end" if held.finished else f"ended early: {held.message}"
        note(
            f"{held.time_ps:.3g} ps at {held.temperature_K:.0f} K: {end}; energy drift "
            f"{held.energy_drift_meV_per_atom:.2g} meV/atom."
        )
