"""`gnndesign train`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gnndesign.cli.learning import (
    HEADER,
    add_data,
    add_output,
    add_shape,
    add_training,
    check_output,
    data_options,
    error_row,
    shape_of,
    training_options,
)
from gnndesign.cli.output import (
    DONE,
    INTERRUPTED,
    Bar,
    Commands,
    Interrupt,
    add_command,
    note,
    write_table,
)
from gnndesign.errors import ParameterError

if TYPE_CHECKING:
    from gnndesign.training.plan import TrainingPlan
    from gnndesign.training.reports import Moment

_ARCHITECTURES = (
    *("behler-parrinello", "soap", "invariant", "equivariant", "unconstrained"),
    *("direct-force", "naive"),
)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "train",
        "Learn a potential from structures with energies and forces.",
        example="gnndesign train silicon.xyz --architecture invariant --epochs 50 "
        "-o silicon.safetensors",
    )
    add_data(parser)
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument(
        "--architecture", choices=_ARCHITECTURES, help="of a new potential"
    )
    begin.add_argument(
        "--start",
        metavar="POTENTIAL",
        help="a name or file to go on from instead, without replay (see fine-tune)",
    )
    add_shape(parser)
    add_training(parser, epochs=200, batch_size=4, learning_rate=2e-3)
    parser.add_argument(
        "--augment-rotations", action="store_true", help="turn structures at random"
    )
    parser.add_argument(
        "--symmetry-penalty", type=float, default=0.0, help="weight; default: 0"
    )
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1 (default: the best there is)"
    )
    add_output(parser, "potential.safetensors")
    parser.set_defaults(run=run, progress=None)


def run(options: Namespace) -> int:
    """Train, say how good it is, and write the potential."""
    plan = plan_of(options)

    from gnndesign.potentials.catalog import choose_device
    from gnndesign.potentials.files import save_potential
    from gnndesign.training.dataset_files import load_dataset
    from gnndesign.training.evaluation import evaluate
    from gnndesign.training.results import train

    # First of all: a name that is mistyped is not found out after hours.
    test = None if options.test is None else load_dataset(Path(options.test))
    data, validation = plan.load_data()
    potential = plan.begin(data, choose_device(options.device))
    training = plan.training
    with (
        Interrupt() as interrupt,
        Bar(training.epochs, "epochs", show=options.progress) as bar,
    ):

        def show(moment: Moment) -> None:
            if moment.report is not None:
                found = moment.report.validation
                bar.at(moment.epoch, f"{found.forces_mae_meV_per_A:.1f} meV/Å")

        result = train(
            potential,
            data,
            validation,
            training,
            checkpoint=options.checkpoint,
            on_moment=show,
            should_stop=interrupt,
        )
    if result is None:
        note("Stopped before the first epoch had ended: nothing was written.")
        return INTERRUPTED
    save_potential(result.potential, options.output)
    rows = [error_row("validation", result.best.validation)]
    if test is not None:
        rows.append(error_row("test", evaluate(result.potential, test).errors))
    write_table(HEADER, rows)
    note(
        f"Epoch {result.best.epoch} is the best; {result.reason}. Wrote {options.output}."
    )
    return INTERRUPTED if interrupt() else DONE


def plan_of(options: Namespace) -> TrainingPlan:
    """The training that the command line asks for."""
    from gnndesign.training.plan import TrainingPlan

    if options.start is not None and options.shape:
        raise ParameterError(
            "Wanted --shape with --architecture alone: a potential to fine-tune has one."
        )
    check_output(options.output)
    return TrainingPlan(
        **data_options(options),
        architecture=options.architecture,
        start=options.start,
        shape=shape_of(options),
        seed=options.seed,
        options=training_options(options)
        | {
            "augment_rotations": options.augment_rotations,
            "symmetry_penalty": options.symmetry_penalty,
            "calibrate": options.start is None,
        },
    )
