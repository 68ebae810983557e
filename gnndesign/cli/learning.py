"""What the commands that learn share: options of data and loss, and tables of errors."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnndesign.errors import ParameterError

if TYPE_CHECKING:
    from gnndesign.training.evaluation import Errors

_LOSSES = ("energy", "forces", "stress")

HEADER = ("structures", "count", "energy (meV/atom)", "forces (meV/Å)", "stress (GPa)")
"""Of a table of mean absolute errors."""


def error_row(what: str, errors: Errors) -> tuple[str, ...]:
    """A row below `HEADER`."""
    return (
        what,
        str(errors.n_structures),
        f"{errors.energy_mae_meV:.3g}",
        f"{errors.forces_mae_meV_per_A:.3g}",
        f"{errors.stress_mae_GPa:.3g}",
    )


def add_data(parser: ArgumentParser) -> None:
    """What to learn from."""
    parser.add_argument(
        "data", metavar="DATA", help="extended XYZ, ASE database, VASP output, folder"
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


def data_options(options: Namespace) -> dict[str, Any]:
    """What a `TrainingPlan` says of the data."""
    names = ("data", "validation", "validation_share", "split_by")
    return {name: getattr(options, name) for name in names}


def add_training(
    parser: ArgumentParser, *, epochs: int, batch_size: int, learning_rate: float
) -> None:
    """How to learn, with the defaults of a command."""
    parser.add_argument(
        "--epochs", type=int, default=epochs, help="default: %(default)s"
    )
    parser.add_argument(
        "--batch-size", type=int, default=batch_size, help="default: %(default)s"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=learning_rate,
        help="default: %(default)s",
    )
    parser.add_argument("--patience", type=int, help="epochs without a better one")
    for name, default in zip(_LOSSES, (0.1, 1.0, 0.1), strict=True):
        parser.add_argument(
            f"--{name}-weight", type=float, default=default, help=f"default: {default}"
        )
    parser.add_argument("--loss", default="mse", choices=("mse", "mae", "huber"))
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--checkpoint", type=Path, help="a file to save to and to go on from"
    )


def training_options(options: Namespace) -> dict[str, Any]:
    """Fields of `Training`, as a plan holds them."""
    return {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "patience": options.patience,
        "loss": {
            "kind": options.loss,
            **{name: getattr(options, f"{name}_weight") for name in _LOSSES},
        },
        "seed": options.seed,
    }


def add_shape(parser: ArgumentParser) -> None:
    """The shape of a new network."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the network, such as cutoff=4.5 or n_channels=32; several times",
    )


def shape_of(options: Namespace) -> dict[str, Any]:
    """What `add_shape` was given.

    Raises:
        ParameterError: not a name and a number, or a list.
    """
    return dict(map(_setting, options.shape))


def add_output(parser: ArgumentParser, default: str) -> None:
    """Where the potential is written to."""
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(default), help="default: %(default)s"
    )


def check_output(path: Path) -> None:
    """Refuse a file that `load_potential` would not take, before hours of work.

    Raises:
        ParameterError: another suffix, or no folder to write to.
    """
    if path.suffix != ".safetensors":
        raise ParameterError(
            f"Wanted a file name with .safetensors to write to, got {path}."
        )
    if not path.absolute().parent.is_dir():
        raise ParameterError(
            f"Wanted a file in a folder that is there to write to, got {path}."
        )


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ParameterError(
            f"Wanted --shape NAME=VALUE with a number or a list, got {text!r}."
        ) from error
