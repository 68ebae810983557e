"""`gnndesign validate`."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gnndesign.cli.output import (
    DONE,
    INTERRUPTED,
    NOT_REACHED,
    Bar,
    Commands,
    Interrupt,
    add_command,
    add_potential,
    write_table,
)

if TYPE_CHECKING:
    from gnndesign.potentials.base import Potential
    from gnndesign.properties.compute import Progress
    from gnndesign.properties.validation_result import Validation

_HEADER = [
    *("set", "quantity", "group", "n", "failed", "MAE", "median", "bias", "unit"),
    "published MAE",
]


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "validate",
        "Compare a potential's properties with reference data that ship with gnndesign.",
        example="gnndesign validate delta diatomics --potential sevennet-0",
        not_reached="a structure has no number; the table says how many",
    )
    parser.add_argument(
        "sets",
        nargs="*",
        metavar="SET",
        help="names that --list shows (default: all of them)",
    )
    parser.add_argument("--list", action="store_true", help="show the sets and end")
    parser.add_argument(
        "--whole", action="store_true", help="all structures instead of a sample"
    )
    parser.add_argument(
        "-n",
        type=_count,
        metavar="N",
        help="structures of each set, chosen by the seed",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="write POTENTIAL.SET.json and a plot, POTENTIAL.SET.html; a run that was "
        "stopped or killed goes on from POTENTIAL.SET.json.part",
    )
    add_potential(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Validate, and print what was found."""
    from gnndesign.properties.reference_sets import REFERENCE_SETS, reference_set

    if options.list:
        _write_sets()
        return DONE
    from gnndesign.potentials.catalog import load_potential

    names = options.sets or [known.name for known in REFERENCE_SETS]
    for name in names:
        reference_set(name)
    potential = load_potential(options.potential, options.device)
    found: list[Validation] = []
    with Interrupt() as interrupt:
        for name in names:
            found.append(_validate(name, potential, options, interrupt))
            if interrupt():
                break
            if options.output is not None:
                _save(found[-1], options.output)
    _write(found)
    if interrupt():
        if options.output is not None:
            sys.stdout.write("Stopped; the same command goes on from here.\n")
        return INTERRUPTED
    if options.output is not None:
        # Not before all sets are through: one that is run again begins with the first.
        for one in found:
            _checkpoint(one.potential, one.reference_set, options.output).unlink()
    failed = any(errors.failed for one in found for errors in one.errors)
    return NOT_REACHED if failed else DONE


def _validate(
    name: str, potential: Potential, options: Namespace, should_stop: Interrupt
) -> Validation:
    from gnndesign.properties.validation import validate

    checkpoint = None
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        checkpoint = _checkpoint(potential.card.name, name, options.output)
    with Bar(0, name, show=options.progress) as bar:

        def show(progress: Progress) -> None:
            bar.total(progress.total)
            bar.at(progress.done, progress.message)

        return validate(
            name,
            potential,
            n=options.n,
            seed=options.seed,
            whole=options.whole,
            checkpoint=checkpoint,
            on_progress=show,
            should_stop=should_stop,
        )


def _stem(potential: str, name: str) -> str:
    return f"{Path(potential).stem}.{name}"


def _checkpoint(potential: str, name: str, folder: Path) -> Path:
    """Where a run keeps what has ended, for the case that it is stopped or killed."""
    return folder / f"{_stem(potential, name)}.json.part"


def _save(one: Validation, folder: Path) -> None:
    from gnndesign.plots.validation import parity

    stem = _stem(one.potential, one.reference_set)
    one.save(folder / f"{stem}.json")
    parity(one).write_html(folder / f"{stem}.html", include_plotlyjs=True)


def _write_sets() -> None:
    from gnndesign.properties.reference_sets import REFERENCE_SETS

    rows = [
        [one.name, one.title, one.level, str(one.sample or "all"), one.source]
        for one in REFERENCE_SETS
    ]
    write_table(["set", "what", "level of theory", "sample", "source"], rows)


def _write(found: list[Validation]) -> None:
    rows: list[list[str]] = []
    for one in found:
        for errors in one.errors:
            published = "-" if errors.published is None else f"{errors.published:g}"
            rows.append(
                [
                    one.reference_set,
                    errors.name,
                    errors.group or "-",
                    str(errors.n),
                    str(errors.failed),
                    f"{errors.mean_absolute:.4g}",
                    f"{errors.median_absolute:.4g}",
                    f"{errors.bias:+.4g}",
                    errors.unit,
                    published,
                ]
            )
    if rows:
        write_table(_HEADER, rows)
    for one in found:
        what = "all" if one.seed is None else f"a sample (seed {one.seed})"
        sys.stdout.write(
            f"{one.reference_set}: {one.n} of {one.of} structures, {what}, "
            f"{one.seconds:.0f} s on {one.device}; {one.level}\n"
        )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("wanted 1 or more")
    return number
