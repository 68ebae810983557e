"""`gnndesign fine-tune`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gnndesign.cli.learning import (
    HEADER,
    add_data,
    add_output,
    add_training,
    check_output,
    data_options,
    error_row,
    training_options,
)
from gnndesign.cli.output import (
    DONE,
    INTERRUPTED,
    Bar,
    Commands,
    Interrupt,
    add_command,
    add_potential,
    note,
    write_table,
)

if TYPE_CHECKING:
    from gnndesign.potentials.base import Potential
    from gnndesign.training.dataset import Dataset
    from gnndesign.training.fine_tune import FineTuner
    from gnndesign.training.fine_tune_plan import FineTuningPlan
    from gnndesign.training.fine_tune_results import FineTuned

_ROWS = {
    "new data, before": "new_before",
    "new data, energies of the elements moved": "new_shifted",
    "new data, after": "new_after",
    "replay, before": "replay_before",
    "replay, after": "replay_after",
}


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "fine-tune",
        "Teach a trained potential new data without its forgetting the old: mixed with "
        "them are structures that it has labelled itself.",
        example="gnndesign fine-tune mine.xyz --potential sevennet-0 --epochs 10 "
        "-o tuned.safetensors",
    )
    add_data(parser)
    add_potential(parser)
    parser.add_argument(
        "--replay",
        metavar="DATA",
        help="structures with old labels (default: crystals of the library, labelled by "
        "the potential)",
    )
    parser.add_argument(
        "--replay-ratio",
        type=float,
        default=2.0,
        help="replay structures per new one; 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-energies",
        action="store_true",
        help="do not move the energies of the elements to the data's level of theory",
    )
    # Those of FINE_TUNING, whose import would make --help slow; a test compares them.
    add_training(parser, epochs=10, batch_size=2, learning_rate=3e-4)
    add_output(parser, "tuned.safetensors")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Fine-tune, say what was learned and what was forgotten, and write the potential."""
    check_output(options.output)
    plan = plan_of(options)

    from gnndesign.potentials.catalog import load_potential
    from gnndesign.potentials.files import save_potential
    from gnndesign.training.dataset_files import load_dataset

    # First of all: a name that is mistyped is not found out after hours.
    test = None if options.test is None else load_dataset(Path(options.test))
    potential = load_potential(plan.start, options.device)
    tuner = plan.prepare(potential, checkpoint=options.checkpoint)
    interrupted = _train(tuner, plan.epochs, show=options.progress)
    result = tuner.result()
    if result is None:
        note("Stopped before the first epoch had ended: nothing was written.")
        return INTERRUPTED
    save_potential(result.potential, options.output)
    _write(result, potential, test)
    note(
        f"Epoch {result.best.epoch} is the best; {result.reason}. Wrote {options.output}."
    )
    return INTERRUPTED if interrupted else DONE


def plan_of(options: Namespace) -> FineTuningPlan:
    """The fine-tuning that the command line asks for."""
    from gnndesign.training.fine_tune_plan import FineTuningPlan
    from gnndesign.training.plan import TrainingPlan

    return FineTuningPlan(
        plan=TrainingPlan(
            **data_options(options),
            start=options.potential,
            seed=options.seed,
            options=training_options(options),
        ),
        replay=options.replay,
        replay_ratio=options.replay_ratio,
        refit_shift=not options.keep_energies,
    )


def _train(tuner: FineTuner, epochs: int, *, show: bool | None) -> bool:
    """Train to the end; whether it was interrupted."""
    with Interrupt() as interrupt, Bar(epochs, "epochs", show=show) as bar:
        for moment in tuner.trainer:
            if moment.report is not None:
                found = moment.report.validation
                bar.at(moment.epoch, f"{found.forces_mae_meV_per_A:.1f} meV/Å")
            if interrupt():
                tuner.trainer.stop()
        return interrupt()


def _write(result: FineTuned, potential: Potential, test: Dataset | None) -> None:
    rows = [error_row(title, getattr(result, name)) for title, name in _ROWS.items()]
    if test is not None:
        from gnndesign.training.evaluation import evaluate

        rows.append(error_row("test, before", evaluate(potential, test).errors))
        rows.append(error_row("test, after", evaluate(result.potential, test).errors))
    write_table(HEADER, rows)
