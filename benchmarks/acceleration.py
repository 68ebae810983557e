"""How much sooner a search finds the best candidates: samplers on closed pools.

Every candidate of a pool has a known value, so that a search costs nothing but the
sampler. Protocol of Q. Liang et al., npj Comput. Mater. 7, 188 (2021): 50 seeds, batches
of 16, the first of them random; medians and the band of 95 % of the seeds, beside random
draws without replacement and Optuna's default sampler (TPE, which repeats itself; its
repetitions cost nothing here).

Pools: (a) the 5,512 cubic perovskites of four anion families of Castelli et al. (Energy
Environ. Sci. 5, 5814 (2012)), heats of formation; (b) the 1,378 oxides of them; (c)
`data/perovskite_pool.csv.xz`, two objectives: a bulk modulus near 180 GPa and a low
energy of formation; (d) pools that the sampler was not made with: formation energies of
the Materials Project (C. J. Bartel et al., npj Comput. Mater. 6, 97 (2020)) of the
stoichiometries ABC and AB3.

The claim: in (a) half of the fifty best within 100 evaluations and the first of the ten
best within 45 (medians), half of the fifty within 140 for nine tenths of the seeds; in (b)
half of the fifty within 65; in (c) the hypervolume that random draws reach after half of
the pool with a tenth as many evaluations; no candidate twice; under 50 ms a suggestion
in (a), under 1 s a batch of 16 among a million.
"""

from __future__ import annotations

import csv
import io
import lzma
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from harness import ROOT, data_path, parse_arguments, print_table, write_results
from pymatgen.core import Composition

from gnndesign.search.acquisition import Aim
from gnndesign.search.choosing import Chooser
from gnndesign.search.descriptors import describe_compositions
from gnndesign.search.known import Known, Observed
from gnndesign.search.pool import Pool

SEEDS, BATCH, MOST = 50, 16, 320
TPE_SEEDS, TPE_MOST = 1, 240
"""It repeats itself more and more, and each repetition takes it longer."""
COLUMNS = ("pool", "sampler", "wanted", "median", "low", "high", "p90", "seeds")
Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A pool whose values are all known."""

    name: str
    pool: Pool
    features: np.ndarray
    measures: np.ndarray
    aims: tuple[Aim, ...]

    @property
    def costs(self) -> np.ndarray:
        """(n_candidates, n_objectives) what is to be small."""
        pairs = zip(self.aims, self.measures.T, strict=True)
        return np.stack([aim.cost(values) for aim, values in pairs], axis=1)


def by_surrogate(
    closed: Closed, seed: int, *, by_improvement: bool = False
) -> Iterator[list[int]]:
    """Batches of the Gaussian process."""
    random = np.random.default_rng(seed)
    chooser = Chooser(
        features=closed.features,
        neighbors_of=closed.pool.neighbors_of,
        by_improvement=by_improvement,
    )
    known = random.choice(len(closed.pool), BATCH, replace=False).tolist()
    yield known
    while True:
        places = np.array(known)
        sources = np.zeros(len(known), dtype=int)
        untried = np.ones(len(closed.pool), dtype=bool)
        untried[places] = False
        objectives = tuple(
            Observed(
                aim=aim,
                places=places,
                values=closed.measures[places, k],
                sources=sources,
            )
            for k, aim in enumerate(closed.aims)
        )
        chosen = chooser.choose(
            Known(
                objectives=objectives,
                constraints=(),
                evaluated=places,
                costs=closed.costs[places],
                feasible=np.ones(len(places), dtype=bool),
                pending=np.empty(0, dtype=int),
                untried=untried,
            ),
            min(BATCH, int(untried.sum())),
            random,
        )
        known = known + chosen
        yield chosen


def by_improvement(closed: Closed, seed: int) -> Iterator[list[int]]:
    """The same, by the expected gain of hypervolume."""
    return by_surrogate(closed, seed, by_improvement=True)


def by_chance(closed: Closed, seed: int) -> Iterator[list[int]]:
    """Random draws without replacement."""
    order = np.random.default_rng(seed).permutation(len(closed.pool))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH].tolist()


def by_tpe(closed: Closed, seed: int) -> Iterator[list[int]]:
    """Optuna's default; what it proposes again is told again and not counted."""
    options = closed.pool.options
    space = {
        name: optuna.distributions.CategoricalDistribution(list(choices))
        for name, choices in options.items()
    }
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed),
        directions=["minimize"] * len(closed.aims),
    )
    seen: set[int] = set()
    while True:
        trials = [study.ask(space) for _ in range(BATCH)]
        new: list[int] = []
        for trial in trials:
            place = closed.pool.find(trial.params)
            if place is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            study.tell(trial, closed.costs[place].tolist())
            if place not in seen:
                seen.add(place)
                new.append(place)
        yield new


Sampler = Callable[[Closed, int], Iterator[list[int]]]
SAMPLERS: dict[str, Sampler] = {
    "gaussian_process": by_surrogate,
    "expected improvement": by_improvement,
    "random": by_chance,
    "optuna TPE": by_tpe,
}


def evaluations(
    closed: Closed, sampler: Sampler, seed: int, most: int
) -> tuple[list[int], float]:
    """The order in which candidates are evaluated, and seconds a suggestion."""
    order: list[int] = []
    begin = time.perf_counter()
    for batch in sampler(closed, seed):
        order += batch
        if len(order) >= most or len(order) >= len(closed.pool):
            break
    return order, (time.perf_counter() - begin) / max(len(order), 1)


def when(order: Sequence[int], wanted: set[int], count: int) -> float:
    """Number of evaluations after which `count` of the wanted are found."""
    found = 0
    for n, place in enumerate(order, start=1):
        found += place in wanted
        if found == count:
            return n
    return float("inf")


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a compressed CSV file."""
    text = lzma.decompress(path.read_bytes()).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def castelli(*, oxides: bool) -> Closed:
    """The four families with all candidates, or the oxides alone."""
    path = data_path("castelli_perovskites", "castelli_unordered.csv.xz")
    rows = table(path)
    families: dict[str, int] = {}
    for row in rows:
        families[row["anions"]] = families.get(row["anions"], 0) + 1
    most = max(families.values())
    whole = {anions for anions, n in families.items() if n == most}
    wanted = {"O3"} if oxides else whole
    rows = [row for row in rows if row["anions"] in wanted]
    pairs = [(row["cation1"], row["cation2"], row["anions"]) for row in rows]
    compositions = [
        Composition(f"{a}{b}{anions}").get_el_amt_dict() for a, b, anions in pairs
    ]
    values = np.array([[float(row["eform_min_eV_per_atom"])] for row in rows])
    name = "(b) oxides" if oxides else "(a) four families"
    return _closed(
        name, ("A", "B", "X"), pairs, compositions, values, (Aim(direction=-1),)
    )


def materials_project(stoichiometry: tuple[int, ...]) -> Closed:
    """Formation energies of one stoichiometry, elements in the order of their amounts."""
    path = data_path("mp_formation", "mp_ef_ed_85014.csv.xz")
    rows: list[tuple[str, ...]] = []
    values: list[list[float]] = []
    compositions: list[dict[str, float]] = []
    for row in table(path):
        amounts = Composition(row["formula"]).get_el_amt_dict()
        order = sorted(
            amounts, key=lambda s: (amounts[s], Composition(s).elements[0].X)
        )
        if tuple(int(amounts[s]) for s in order) != stoichiometry:
            continue
        rows.append(tuple(order))
        compositions.append(amounts)
        values.append([float(row["Ef_eV_per_atom"])])
    label = "".join(
        f"{letter}{n if n > 1 else ''}"
        for letter, n in zip("ABC", stoichiometry, strict=False)
    )
    names = tuple("ABC"[: len(stoichiometry)])
    aims = (Aim(direction=-1),)
    return _closed(f"(d) {label}", names, rows, compositions, np.array(values), aims)


def two_objectives() -> Closed:
    """Bulk modulus near 180 GPa, and a low energy of formation."""
    path = ROOT / "benchmarks" / "data" / "perovskite_pool.csv.xz"
    rows = table(path)
    sites = [(row["A"], row["B"], row["X"]) for row in rows]
    compositions = [Composition(f"{a}{b}{x}3").get_el_amt_dict() for a, b, x in sites]
    keys = ("bulk_modulus_GPa", "formation_energy_per_atom")
    values = np.array([[float(row[key]) for key in keys] for row in rows])
    aims = (Aim(direction=0, low=180.0, high=180.0), Aim(direction=-1))
    return _closed(
        "(c) two objectives", ("A", "B", "X"), sites, compositions, values, aims
    )


def _closed(
    name: str,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    compositions: Sequence[dict[str, float]],
    values: np.ndarray,
    aims: tuple[Aim, ...],
) -> Closed:
    options = {
        label: tuple(sorted({row[k] for row in rows})) for k, label in enumerate(names)
    }
    places = np.array(
        [
            [
                options[label].index(choice)
                for label, choice in zip(names, row, strict=True)
            ]
            for row in rows
        ],
        dtype=np.uint16,
    )
    elements = sorted({symbol for one in compositions for symbol in one})
    amounts = np.array([[one.get(s, 0.0) for s in elements] for one in compositions])
    return Closed(
        name=name,
        pool=Pool(options=options, places=places),
        features=describe_compositions(elements, amounts),
        measures=values,
        aims=aims,
    )


def top(closed: Closed, n: int) -> set[int]:
    """Places of the best, of one objective."""
    return set(np.argsort(closed.costs[:, 0], kind="stable")[:n].tolist())


def hypervolumes(closed: Closed, order: Sequence[int]) -> np.ndarray:
    """(n_batches,) what the best so far dominate, beside the whole pool's."""
    costs = closed.costs
    worst, best = np.quantile(costs, 0.9, axis=0), costs.min(0)
    scaled = (costs - best) / (worst - best)
    whole = _dominated(scaled)
    ends = range(BATCH, len(order) + 1, BATCH)
    return np.array([_dominated(scaled[np.array(order[:end])]) / whole for end in ends])


def _dominated(points: np.ndarray) -> float:
    """Area below 1 that two costs dominate."""
    points = points[(points < 1.0).all(1)]
    area, height = 0.0, 1.0
    for x, y in points[np.argsort(points[:, 0])]:
        if y < height:
            area += (1.0 - x) * (height - y)
            height = y
    return area


def summary(closed: Closed, sampler: str, wanted: str, found: Sequence[float]) -> Row:
    """Median and band of what the seeds found."""
    low, middle, high, p90 = np.quantile(
        np.array(found), [0.025, 0.5, 0.975, 0.9], method="inverted_cdf"
    )
    return {
        "pool": closed.name,
        "candidates": len(closed.pool),
        "sampler": sampler,
        "wanted": wanted,
        "median": float(middle),
        "low": float(low),
        "high": float(high),
        "p90": float(p90),
        "seeds": len(found),
    }


def one_objective(closed: Closed, plan: dict[str, tuple[int, int]]) -> list[Row]:
    """First of the ten best, and half of the fifty best."""
    goals = {
        "first of top 10": (top(closed, 10), 1),
        "half of top 50": (top(closed, 50), 25),
    }
    rows: list[Row] = []
    for name, (seeds, most) in plan.items():
        orders: list[list[int]] = []
        seconds: list[float] = []
        for seed in range(seeds):
            order, each = evaluations(closed, SAMPLERS[name], seed, most)
            orders.append(order)
            seconds.append(each)
        for wanted, (places, count) in goals.items():
            found = [when(order, places, count) for order in orders]
            rows.append(summary(closed, name, wanted, found))
        repeated = sum(len(order) - len(set(order)) for order in orders)
        rows[-1] |= {"repeated": repeated, "ms_a_suggestion": 1e3 * np.median(seconds)}
        say(rows[-2])
        say(rows[-1])
    return rows


def several_objectives(closed: Closed, seeds: int, most: int) -> list[Row]:
    """Evaluations until the hypervolume that chance reaches in parts of the pool."""
    whole = len(closed.pool)
    plan = {
        "random": (seeds, whole),
        "gaussian_process": (seeds, most),
        "expected improvement": (min(seeds, 5), most),
        "optuna TPE": (min(seeds, TPE_SEEDS), most),
    }
    volumes = {
        name: [
            hypervolumes(closed, evaluations(closed, SAMPLERS[name], seed, limit)[0])
            for seed in range(n_seeds)
        ]
        for name, (n_seeds, limit) in plan.items()
    }
    rows: list[Row] = []
    for share in (4, 3, 2):
        n = whole // share
        level = float(np.median([found[n // BATCH - 1] for found in volumes["random"]]))
        for name, several in volumes.items():
            reached = [np.flatnonzero(found >= level) for found in several]
            counts = [BATCH * (r[0] + 1) if len(r) else float("inf") for r in reached]
            wanted = f"hypervolume of {n} random ({level:.4f})"
            rows.append(summary(closed, name, wanted, counts))
            say(rows[-1])
    return rows


def million(rounds: int) -> Row:
    """Seconds a batch of 16 in a pool of a million."""
    random = np.random.default_rng(0)
    options = {name: tuple(map(str, range(100))) for name in "ABC"}
    grid = np.stack(np.meshgrid(*[np.arange(100)] * 3, indexing="ij"), axis=-1)
    places = grid.reshape(-1, 3).astype(np.uint16)
    numbers = random.normal(size=(3, 100, 12)).astype(np.float32)
    features = np.concatenate([numbers[k][places[:, k]] for k in range(3)], axis=1)
    closed = Closed(
        name="a million",
        pool=Pool(options=options, places=places),
        features=features,
        measures=features[:, [0]] + features[:, [13]] * features[:, [25]],
        aims=(Aim(direction=-1),),
    )
    batches = by_surrogate(closed, 0)
    next(batches)
    seconds: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        next(batches)
        seconds.append(time.perf_counter() - begin)
    return {
        "pool": closed.name,
        "candidates": len(places),
        "sampler": "gaussian_process",
        "wanted": "seconds a batch of 16",
        "median": float(np.median(seconds)),
        "high": float(np.max(seconds)),
        "seeds": rounds,
    }


def say(row: Row) -> None:
    """To whoever waits."""
    shown = {key: row[key] for key in ("pool", "sampler", "wanted", "median", "p90")}
    sys.stderr.write(f"{shown}\n")


def main() -> int:
    """Search the pools, print, write and check."""
    arguments = parse_arguments(__doc__ or "")
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    quick = arguments.quick
    seeds = 4 if quick else SEEDS
    tpe = (1, 64) if quick else (TPE_SEEDS, TPE_MOST)
    families, oxides = castelli(oxides=False), castelli(oxides=True)
    rows = one_objective(
        families,
        {
            "gaussian_process": (seeds, MOST),
            "random": (seeds, len(families.pool)),
            "optuna TPE": tpe,
        },
    )
    rows += one_objective(
        oxides,
        {
            "gaussian_process": (seeds, MOST),
            "random": (seeds, len(oxides.pool)),
            "optuna TPE": tpe,
        },
    )
    rows += several_objectives(two_objectives(), 2 if quick else seeds, MOST)
    for stoichiometry in ((1, 1, 1), (1, 3)):
        closed = materials_project(stoichiometry)
        plan = {
            "gaussian_process": (seeds, MOST),
            "random": (seeds, len(closed.pool)),
        }
        rows += one_objective(closed, plan)
    rows.append(million(3 if quick else 10))
    print_table(rows, COLUMNS)
    headline, missed = compare(rows)
    write_results(
        "acceleration",
        headline=headline,
        rows=rows,
        packages=("optuna", "numpy", "scipy"),
        quick=quick,
    )
    for what in missed:
        sys.stdout.write(f"missed: {what}\n")
    for what, value in headline.items():
        sys.stdout.write(f"{what}: {value}\n")
    return 1 if missed and arguments.check and not quick else 0


def compare(rows: Sequence[Row]) -> tuple[Row, list[str]]:
    """Headline figures, and what of the claim does not hold."""
    by = {
        (str(r["pool"])[:3], r["sampler"], str(r["wanted"]).split(" (")[0][:15]): r
        for r in rows
    }
    ours = "gaussian_process"
    half, first = "half of top 50", "first of top 10"
    # The last of the levels: that of half of the pool.
    gain = by["(c)", "random", "hypervolume of "], by["(c)", ours, "hypervolume of "]
    factor = float(gain[0]["median"]) / float(gain[1]["median"])  # pyright: ignore[reportArgumentType]
    headline: Row = {
        "(a) half of top 50": by["(a)", ours, half]["median"],
        "(a) half of top 50, p90": by["(a)", ours, half]["p90"],
        "(a) first of top 10": by["(a)", ours, first[:15]]["median"],
        "(b) half of top 50": by["(b)", ours, half]["median"],
        "(c) times random": factor,
        "ms a suggestion": by["(a)", ours, half]["ms_a_suggestion"],
        "repeated": by["(a)", ours, half]["repeated"],
        "s a batch in a million": rows[-1]["median"],
    }
    limits = (100, 140, 45, 65, None, 50, 0, 1.0)
    missed = [
        f"{name} is {value}, wanted at most {limit}"
        for (name, value), limit in zip(headline.items(), limits, strict=True)
        if limit is not None and not float(value) <= limit  # pyright: ignore[reportArgumentType]
    ]
    if not factor >= 10:
        missed.append(f"(c) times random is {factor:.3g}, wanted at least 10")
    headline["missed"] = missed
    return headline, missed


if __name__ == "__main__":
    raise SystemExit(main())
