"""`gnndesign search`."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
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
    from gnndesign.search.loop import SearchProgress
    from gnndesign.search.results import SearchResult
    from gnndesign.search.space import Space

_MEASURES = (
    "formation_energy, lattice_constant (Å), density (g/cm³), price (USD/kg), "
    "supply_risk, energy_above_hull (eV/atom), bulk_modulus (GPa), shear_modulus, or "
    "KIND.QUANTITY of a property"
)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "search",
        "Look for the best elements on the sites of a prototype.",
        example="gnndesign search --prototype perovskite --site A=Sr,Ba,Ca "
        "--site B=Ti,Zr --site X=O --objective formation_energy --n-trials 6 "
        "--storage study.db --export best",
        not_reached="no candidate has a value",
    )
    parser.add_argument("--prototype", help="such as perovskite or B1")
    parser.add_argument(
        "--site",
        action="append",
        default=[],
        metavar="LABEL=ELEMENTS",
        help="allowed elements of a site, once for each site: A=Sr,Ba,Ca",
    )
    parser.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="instead of a prototype any space, as JSON of its to_dict() has it",
    )
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KIND[:JSON]",
        help="leave out candidates, such as no_toxic or price:'{\"at_most\": 50}'",
    )
    parser.add_argument(
        "--objective",
        action="append",
        metavar="MEASURE[=GOAL]",
        help=f"{_MEASURES}; with =max, =TARGET or =LOW..HIGH; several give a Pareto front "
        "(default: formation_energy)",
    )
    parser.add_argument(
        "--constraint",
        action="append",
        metavar="MEASURE<=NUMBER",
        help="what a candidate must keep, such as 'energy_above_hull<=0.05'; cheap ones "
        "are looked at first",
    )
    parser.add_argument(
        "--any-charge", action="store_true", help="keep what is not charge neutral"
    )
    add_potential(parser)
    parser.add_argument(
        "--n-trials", type=int, default=100, help="in all; default: 100"
    )
    parser.add_argument("--batch-size", type=int, default=16, help="default: 16")
    parser.add_argument(
        "--strategy",
        default="gaussian_process",
        choices=(
            "gaussian_process",
            "expected_improvement",
            "random_forest",
            "tpe",
            "optuna_gp",
            "nsga2",
            "random",
        ),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--warm-start",
        action="append",
        default=[],
        metavar="STORAGE|FILE.csv:MEASURE=COLUMN",
        help="learn from an earlier search, or from a table of the literature: "
        "table.csv:formation_energy=Ef,formula=Formula, or without formula where the "
        "columns are named like the sites",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--max-force", type=float, default=0.05, help="eV/Å (default: %(default)s)"
    )
    parser.add_argument("--max-steps", type=int, default=300, help="default: 300")
    parser.add_argument(
        "--storage",
        metavar="FILE|URL",
        help="SQLite file, or postgresql://USER@HOST/DATABASE; the same command with the "
        "same storage goes on",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="evaluate on Dask workers: tcp://HOST:PORT, local:3, ssh:HOST,HOST or "
        "slurm:8,queue=NAME",
    )
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="CIF files of the best, best.csv"
    )
    parser.add_argument(
        "--best", type=int, default=10, help="how many to show and export; default: 10"
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Search, then show and export the best."""
    from gnndesign.potentials.catalog import load_potential
    from gnndesign.properties.work import Relaxing
    from gnndesign.search.earlier_values import warm_starts_from_text
    from gnndesign.search.notation import constraint_from_text, objective_from_text
    from gnndesign.search.study import search_compositions

    wanted = options.objective or ["formation_energy"]
    objectives = list(map(objective_from_text, wanted))
    constraints = list(map(constraint_from_text, options.constraint or []))
    space = _space(options)
    note(f"{len(space)} candidates of {space.n_combinations} combinations.")
    earlier = ";".join(options.warm_start)
    warm_start = warm_starts_from_text(earlier, space, objectives)
    potential = load_potential(options.potential, options.device)
    with (
        _executor(options.cluster) as executor,
        Interrupt() as interrupt,
        Bar(options.n_trials, "trials", show=options.progress) as bar,
    ):

        def show(progress: SearchProgress) -> None:
            bar.at(progress.n_done, progress.best[0].formula if progress.best else "")

        result = search_compositions(
            space,
            objectives,
            potential,
            options.n_trials,
            options.storage,
            constraints=constraints,
            warm_start=warm_start,
            batch_size=options.batch_size,
            relaxing=Relaxing(max_force=options.max_force, max_steps=options.max_steps),
            strategy=options.strategy,
            seed=options.seed,
            executor=executor,
            on_progress=show,
            should_stop=interrupt,
        )
    return _report(result, options, interrupted=interrupt())


def _space(options: Namespace) -> Space:
    """From a file, or the sites of a prototype."""
    from gnndesign.search.space import space_from_dict

    sites = dict(map(_site, options.site))
    if len(sites) < len(options.site):
        raise ParameterError("Give --site once for each site of the prototype.")
    if bool(options.space) == bool(options.prototype):
        raise ParameterError("Wanted either --prototype with --site, or --space FILE.")
    filters = list(map(_filter, options.filter))
    if options.space is None:
        return space_from_dict(
            {
                "kind": "prototype",
                "prototype": options.prototype,
                "sites": sites,
                "charge_neutral": not options.any_charge,
                "filters": filters,
            }
        )
    try:
        data = json.loads(options.space.read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ParameterError(
            f"Wanted the JSON of a space in {options.space}: {error}."
        ) from error
    return space_from_dict({**data, "filters": [*data.get("filters", []), *filters]})


def _filter(text: str) -> dict[str, Any]:
    """What `filter_from_dict` takes, of KIND or KIND:JSON."""
    kind, colon, given = text.partition(":")
    try:
        parameters = json.loads(given) if colon else {}
    except json.JSONDecodeError as error:
        raise ParameterError(
            f"Wanted --filter KIND or KIND:JSON, got '{text}': {error}."
        ) from error
    return {"kind": kind, **parameters}


def _executor(cluster: str | None) -> AbstractContextManager[Executor | None]:
    """The workers of a cluster, or none."""
    if cluster is None:
        return nullcontext()
    from gnndesign.jobs.cluster import connect

    return connect(cluster)


def _report(result: SearchResult, options: Namespace, *, interrupted: bool) -> int:
    note(result.message)
    best = result.best(options.best)
    if best:
        header = ["rank", "formula"]
        header += [f"{column.name} ({column.unit})" for column in result.objectives]
        rows: list[Sequence[str]] = []
        for rank, trial in enumerate(best, start=1):
            values = [f"{trial.values[c.name]:.4f}" for c in result.objectives]
            rows.append([str(rank), trial.formula, *values, str(trial.status)])
        write_table([*header, "status"], rows)
        if options.export is not None:
            note(f"wrote {result.export_best(options.export, options.best)}.")
    if interrupted:
        return INTERRUPTED
    return DONE if best else NOT_REACHED


def _site(text: str) -> tuple[str, tuple[str, ...]]:
    label, equals, elements = text.partition("=")
    symbols = tuple(symbol.strip() for symbol in elements.split(",") if symbol.strip())
    if not (label and equals and symbols):
        raise ParameterError(f"Wanted --site LABEL=ELEMENT,ELEMENT, got '{text}'.")
    return label.strip(), symbols
