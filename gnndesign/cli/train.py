"""`gnndesign train`."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from gnndesign.training.evaluation import Errors
    from gnndesign.training.plan import TrainingPlan
    from gnndesign.training.reports import Moment

_ARCHITECTURES = (
    *("behler-parrinello", "soap", "invariant", "equivariant", "unconstrained"),
    *("direct-force", "naive"),
)
_LOSSES = ("energy", "forces", "stress")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "train",
        "Learn a potential from structures with energies and forces.",
        example="gnndesign train silicon.xyz --architecture invariant --epochs 50 "
        "-o silicon.safetensors",
    )
    parser.add_argument(
        "data", metavar="DATA", help="extended XYZ, ASE database, VASP output, folder"
    )
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument(
        "--architecture", choices=_ARCHITECTURES, help="of a new potential"
    )
    begin.add_argument(
        "--start", metavar="POTENTIAL", help="a name or file to fine-tune instead"
    )
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the network, such as cutoff=4.5 or n_channels=32; several times",
    )
    parser.add_argument("--validation", help="data to choose the best epoch by")
    parser.add_argument(
        "--validation-share",
        type=float,
        default=0.1,
        help="of DATA, without --validation (default: %(default)s)",
    )
    parser.add_argument(
        "--split-by", default="structure", choices=("structure", "group")
    )
    parser.add_argument("--test", help="data to report errors of at the end")
    parser.add_argument("--epochs", type=int, default=200, help="default: 200")
    parser.add_argument("--batch-size", type=int, default=4, help="default: 4")
    parser.add_argument(
        "--learning-rate", type=float, default=2e-3, help="default: %(default)s"
    )
    parser.add_argument("--patience", type=int, help="epochs without a better one")
    for name, default in zip(_LOSSES, (1.0, 1.0, 0.1), strict=True):
        parser.add_argument(
            f"--{name}-weight", type=float, default=default, help=f"default: {default}"
        )
    parser.add_argument("--loss", default="mse", choices=("mse", "mae", "huber"))
    parser.add_argument(
        "--augment-rotations", action="store_true", help="turn structures at random"
    )
    parser.add_argument(
        "--symmetry-penalty", type=float, default=0.0, help="weight; default: 0"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1 (default: the best there is)"
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="a file to save to and to go on from"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("potential.safetensors"),
        help="default: %(default)s",
    )
    parser.set_defaults(run=run, progress=None)


def run(options: Namespace) -> int:
    """Train, say how good it is, and write the potential."""
    plan = plan_of(options)

    from gnndesign.potentials.catalog import choose_device
    from gnndesign.potentials.files import save_potential
    from gnndesign.training.dataset_files import load_dataset
    from gnndesign.training.evaluation import evaluate
    from gnndesign.training.results import train

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
    rows = [_row("validation", result.best.validation)]
    if options.test is not None:
        test = load_dataset(Path(options.test))
        rows.append(_row("test", evaluate(result.potential, test).errors))
    write_table(_HEADER, rows)
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
    if options.output.suffix != ".safetensors":
        raise ParameterError(
            f"Wanted a file name with .safetensors to write to, got {options.output}."
        )
    return TrainingPlan(
        data=options.data,
        validation=options.validation,
        validation_share=options.validation_share,
        split_by=options.split_by,
        architecture=options.architecture,
        start=options.start,
        shape=dict(map(_setting, options.shape)),
        seed=options.seed,
        options={
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "learning_rate": options.learning_rate,
            "patience": options.patience,
            "loss": {
                "kind": options.loss,
                **{name: getattr(options, f"{name}_weight") for name in _LOSSES},
            },
            "augment_rotations": options.augment_rotations,
            "symmetry_penalty": options.symmetry_penalty,
            "seed": options.seed,
            "calibrate": options.start is None,
        },
    )


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ParameterError(
            f"Wanted --shape NAME=VALUE with a number or a list, got {text!r}."
        ) from error


_HEADER = ("structures", "count", "energy (meV/atom)", "forces (meV/Å)", "stress (GPa)")


def _row(what: str, errors: Errors) -> tuple[str, ...]:
    return (
        what,
        str(errors.n_structures),
        f"{errors.energy_mae_meV:.3g}",
        f"{errors.forces_mae_meV_per_A:.3g}",
        f"{errors.stress_mae_GPa:.3g}",
    )
