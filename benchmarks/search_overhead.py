"""What a search costs beside its evaluations, in studies of up to 10,000 trials.

Claim: under 50 ms a trial at 10,000 trials, in an SQLite file and on a PostgreSQL server
of this machine. A search of a space of 15,624 candidates goes on from a study that holds
100, 1,000 or 10,000 finished trials (written into it in bulk, each with a relaxed
structure of five atoms) for some more, with the random strategy, sixteen on their way at a
time. An executor answers at once with the outcome of the trials there are, so what is left
is to ask, to tell, to read what is new and to report progress; its wall-clock time by the
number of new trials is the median of several rounds of one batch. Opening the study, which
reads all of it once, is given apart.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import Any

import numpy as np
from ase.build import bulk
from harness import parse_arguments, print_table, write_results
from postgresql_server import UnavailableError, postgresql_server
from sqlalchemy import MetaData, create_engine

from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.search.evaluate import Outcome
from gnndesign.search.evaluations import EvaluationJob
from gnndesign.search.measures import Density
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.study import iterate_search, load_search
from gnndesign.search.trials import TrialStatus

LIMIT_MS = 50.0
BATCH = 16
COLUMNS = ("database", "trials", "overhead_ms", "largest_ms", "open_s", "read_s")
ELEMENTS = (
    *("Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba", "Sc", "Y", "La", "Ce"),
    *("Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Ti"),
    *("Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mo", "W", "Mn", "Tc", "Re", "Fe", "Ru", "Os"),
    *("Co", "Rh", "Ir", "Ni", "Pd", "Pt", "Cu", "Ag", "Au", "Zn", "Cd", "Hg", "Al"),
    *("Ga", "In", "Tl", "Si", "Ge", "Sn", "Pb", "Sb", "Bi"),
)


def main() -> int:
    """Measure, print, write; 1 where the claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    sizes = (100, 1_000) if arguments.quick else (100, 1_000, 10_000)
    n_rounds = 3 if arguments.quick else 8
    rows = list(measure(sizes, n_rounds))
    print_table(rows, COLUMNS)
    measured = [row for row in rows if "overhead_ms" in row]
    headline = {
        f"{row['database']}_{row['trials']}_overhead_ms": row["overhead_ms"]
        for row in measured
        if row["trials"] == sizes[-1]
    }
    write_results(
        "search_overhead",
        headline=headline,
        rows=rows,
        packages=("optuna", "SQLAlchemy", "psycopg", "numpy"),
        quick=arguments.quick,
    )
    for name, number in headline.items():
        sys.stdout.write(f"{name}={number:.1f}\n")
    kept = all(row["overhead_ms"] < LIMIT_MS for row in measured)
    return 0 if kept or not arguments.check else 1


def measure(sizes: tuple[int, ...], n_rounds: int) -> Iterator[dict[str, Any]]:
    """One row a database and size."""
    space = PrototypeSpace(
        prototype="perovskite",
        sites={"A": ELEMENTS, "B": ELEMENTS, "X": ("O", "S", "F", "Cl")},
        charge_neutral=False,
    )
    for database in ("sqlite", "postgresql"):
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            storage = f"sqlite:///{folder}/study.db"
            if database == "postgresql":
                try:
                    storage = stack.enter_context(postgresql_server())
                except UnavailableError as error:
                    yield {"database": f"{database}: {error}"}
                    continue
            for size in sizes:
                row = {"database": database, "trials": size}
                yield {**row, **overhead(space, storage, size, n_rounds)}


class Instantly(Executor):
    """Answers every call at once, with the outcome of a candidate that was relaxed."""

    def __init__(self) -> None:
        atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True)[:5]
        self._random = np.random.default_rng(0)
        self._found = {
            "status": TrialStatus.CONVERGED,
            "energy": -30.0,
            "max_force": 0.01,
            "steps": 20,
            "atoms": atoms,
        }

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Do not call it."""
        del fn, kwargs
        job: EvaluationJob = args[0]
        answer: Future[Any] = Future()
        answer.set_result([self._outcome() for _ in job.choices])
        return answer

    def _outcome(self) -> Outcome:
        value = float(self._random.random())
        goals = {"density": {"value": value, "goal": {"kind": "minimize"}}}
        return Outcome(
            values=(value,),
            measured={"density_g_cm3": value},
            goals=goals,
            **self._found,
        )


def overhead(
    space: PrototypeSpace, storage: str, size: int, n_rounds: int
) -> dict[str, float]:
    """Milliseconds a trial in a study of this size, and seconds to open and read it."""
    name = f"search of {size}"

    def search(n_trials: int) -> Iterator[Any]:
        return iterate_search(
            space,
            Density(),
            LennardJones(),
            n_trials,
            storage,
            batch_size=BATCH,
            group_size=BATCH,
            strategy="random",
            executor=Instantly(),
            study_name=name,
        )

    for _ in search(2 * BATCH):
        pass
    fill(storage, name, space, size)
    began = time.perf_counter()
    steps = search(size + (1 + n_rounds) * BATCH)
    next(steps)
    opening = time.perf_counter() - began
    times: list[float] = []
    for _ in range(n_rounds):
        began = time.perf_counter()
        progress = next(steps)
        times.append((time.perf_counter() - began) / len(progress.new) * 1e3)
    for _ in steps:
        pass
    began = time.perf_counter()
    trials = load_search(storage, name).trials
    reading = time.perf_counter() - began
    assert len({trial.formula for trial in trials}) == len(trials)
    return {
        "overhead_ms": statistics.median(times),
        "largest_ms": max(times),
        "open_s": opening,
        "read_s": reading,
    }


def fill(storage: str, name: str, space: PrototypeSpace, size: int) -> None:
    """Let a study that holds some trials hold `size`, all like its first one."""
    engine = create_engine(storage)
    tables = MetaData()
    tables.reflect(engine)
    trials, parameters = tables.tables["trials"], tables.tables["trial_params"]
    others = [
        tables.tables[table] for table in ("trial_values", "trial_user_attributes")
    ]
    with engine.begin() as connection:
        studies = tables.tables["studies"]
        query = studies.select().where(studies.c.study_name == name)
        (study,) = connection.execute(query).mappings()
        own = trials.c.study_id == study["study_id"]
        there = list(connection.execute(trials.select().where(own)).mappings())
        first, first_id = dict(there[0]), there[0]["trial_id"]
        del first["trial_id"]
        numbers = range(len(there), size)
        connection.execute(
            trials.insert(), [{**first, "number": number} for number in numbers]
        )
        query = trials.select().where(own).order_by(trials.c.number)
        ids = [row["trial_id"] for row in connection.execute(query).mappings()]

        def copies(table: Any) -> list[dict[str, Any]]:
            query = table.select().where(table.c.trial_id == first_id)
            key = next(iter(table.primary_key.columns)).name
            found = connection.execute(query).mappings()
            return [
                {k: v for k, v in row.items() if k not in (key, "trial_id")}
                for row in found
            ]

        for table in others:
            copied = copies(table)
            connection.execute(
                table.insert(),
                [
                    {**row, "trial_id": id_}
                    for id_ in ids[len(there) :]
                    for row in copied
                ],
            )
        _fill_parameters(connection, parameters, copies(parameters), ids, space)
        _name_formulas(connection, others[1], ids[len(there) :])
    engine.dispose()


def _fill_parameters(
    connection: Any,
    table: Any,
    templates: list[dict[str, Any]],
    ids: list[int],
    space: PrototypeSpace,
) -> None:
    """Give each trial a candidate of its own; Optuna keeps the place of an option."""
    columns = list(space.pool.options)
    held: dict[int, dict[str, int]] = {}
    for row in connection.execute(table.select()).mappings():
        held.setdefault(row["trial_id"], {})[row["param_name"]] = int(
            row["param_value"]
        )
    taken = {tuple(held[id_][c] for c in columns) for id_ in ids if id_ in held}
    free = (
        places
        for places in np.random.default_rng(1).permutation(space.pool.places).tolist()
        if tuple(places) not in taken
    )
    rows: list[dict[str, Any]] = []
    for id_ in ids:
        if id_ in held:
            continue
        places = dict(zip(columns, next(free), strict=True))
        rows += [
            {**row, "trial_id": id_, "param_value": places[row["param_name"]]}
            for row in templates
        ]
    connection.execute(table.insert(), rows)


def _name_formulas(connection: Any, table: Any, ids: list[int]) -> None:
    """Formulas that differ, as those of a search do."""
    update = table.update().where(table.c.key == "formula")
    for id_ in ids:
        connection.execute(
            update.where(table.c.trial_id == id_),
            {"value_json": json.dumps(f"filled {id_}")},
        )


if __name__ == "__main__":
    raise SystemExit(main())
