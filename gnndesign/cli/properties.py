"""`gnndesign properties`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from gnndesign.properties.base import Property
    from gnndesign.properties.compute import Progress
    from gnndesign.properties.outcomes import Outcome

_HEADER = ("structure", "formula", "property", "quantity", "value", "unit", "status")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "properties",
        "Compute what a laboratory measures, of all structures of all files at once.",
        example="gnndesign properties silicon.cif --property equation_of_state "
        "--set n_points=9 -o silicon.csv\n  gnndesign properties --list",
        not_reached="a property of a structure could not be computed; stderr says why",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument(
        "--property",
        action="append",
        default=[],
        dest="kinds",
        metavar="KIND",
        help="what is computed; may be given several times (see --list)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="a parameter, such as strain=0.03, relaxing.max_force=0.001 or at_each=none; "
        "KIND.NAME=VALUE where only one of several properties is meant",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="list the properties and their parameters (of those named by --property)",
    )
    add_potential(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="a file named .csv (a row a structure) or .json (everything)",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Compute all properties of all structures in one queue."""
    if options.list:
        return _list(options.kinds)
    from gnndesign.properties.export import check_can_save_outcomes

    properties = _properties(options.kinds, options.settings)
    if options.output is not None:
        check_can_save_outcomes(options.output)
    structures, names = _structures(options.files)

    from gnndesign.potentials.catalog import load_potential
    from gnndesign.properties.compute import compute

    potential = load_potential(options.potential, options.device)
    total = len(properties) * len(structures)
    with (
        Interrupt() as interrupt,
        Bar(total, "properties", show=options.progress) as bar,
    ):

        def show(progress: Progress) -> None:
            bar.at(progress.done, progress.message)

        outcomes = compute(
            properties,
            structures,
            potential,
            on_progress=show,
            should_stop=interrupt,
        )
        return _report(
            outcomes, names, properties, options.output, interrupted=interrupt()
        )


def _properties(kinds: Sequence[str], settings: Sequence[str]) -> list[Property[Any]]:
    from gnndesign.properties.catalog import PROPERTIES, property_class
    from gnndesign.properties.fields import flat_fields
    from gnndesign.properties.from_text import property_from_text

    if not kinds:
        raise ParameterError(
            f"Wanted --property, one or more of {', '.join(PROPERTIES)}."
        )
    known = {kind: flat_fields(property_class(kind)) for kind in kinds}
    texts: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"Wanted --set NAME=VALUE, got '{setting}'.")
        first, _, rest = name.partition(".")
        if first in texts:
            texts[first][rest] = text
            continue
        whose = [kind for kind in kinds if name in known[kind]]
        # Nobody's: let the first say what it has.
        for kind in whose or kinds[:1]:
            texts[kind][name] = text
    return [property_from_text(kind, texts[kind]) for kind in kinds]


def _structures(files: Sequence[Path]) -> tuple[list[Any], list[str]]:
    """All structures of all files, and what they are called."""
    from gnndesign.structures.files import load_structures

    if not files:
        raise ParameterError("Wanted one or more files of structures.")
    structures: list[Any] = []
    names: list[str] = []
    for path in files:
        frames = load_structures(path)
        structures += frames
        several = len(frames) > 1
        names += [
            f"{path.name}[{k}]" if several else path.name for k in range(len(frames))
        ]
    return structures, names


def _report(
    outcomes: Sequence[Outcome[Any]],
    names: Sequence[str],
    properties: Sequence[Property[Any]],
    output: Path | None,
    *,
    interrupted: bool,
) -> int:
    from gnndesign.properties.export import save_outcomes
    from gnndesign.properties.outcomes import PropertyStatus
    from gnndesign.properties.table import error_text, number_text, quantities_of

    rows: list[list[str]] = []
    for outcome in outcomes:
        head = [names[outcome.structure], outcome.formula, outcome.kind]
        status = str(outcome.status)
        if outcome.message:
            note(f"{head[0]}, {outcome.kind}: {outcome.message}")
            rows.append([*head, "-", "-", "-", "-", status])
        for each in quantities_of(outcome):
            error = error_text(outcome, each.key) or "-"
            number = number_text(each.value)
            rows.append([*head, each.name, number, each.unit or "-", error, status])
        for said in () if outcome.result is None else outcome.result.notes:
            note(f"{head[0]}, {outcome.kind}: {said}")
    header = [*_HEADER[:-1], "error of the potential", _HEADER[-1]]
    if all(row[-2] == "-" for row in rows):
        header, rows = list(_HEADER), [[*row[:-2], row[-1]] for row in rows]
    write_table(header, rows)
    if output is not None:
        save_outcomes(outcomes, output, names=names, properties=properties)
        note(f"Wrote '{output}'.")
    if interrupted:
        return INTERRUPTED
    computed = (each.status is PropertyStatus.COMPUTED for each in outcomes)
    return DONE if all(computed) else NOT_REACHED


def _list(kinds: Sequence[str]) -> int:
    """Properties, or the parameters of some."""
    from gnndesign.properties.catalog import PROPERTIES, property_class
    from gnndesign.properties.fields import flat_fields

    if not kinds:
        write_table(
            ("property", "title"),
            [(kind, property_class(kind).title) for kind in PROPERTIES],
        )
        return DONE
    rows = [
        (
            kind,
            each.name,
            each.default_text or "-",
            (", ".join(each.choices) or str(each.kind))
            + (", none" if each.optional else ""),
            each.doc,
        )
        for kind in kinds
        for each in flat_fields(property_class(kind)).values()
    ]
    write_table(("property", "parameter", "default", "values", "meaning"), rows)
    return DONE
