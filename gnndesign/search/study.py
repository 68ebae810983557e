"""Looking for compositions: `search_compositions` and its relatives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

from ase.data import chemical_symbols

from gnndesign.errors import ParameterError, UnsupportedElementError
from gnndesign.potentials.base import Potential
from gnndesign.properties.work import Relaxing
from gnndesign.search.evaluate import Assessment
from gnndesign.search.loop import (
    REFERENCES,
    Search,
    SearchProgress,
    count_done,
    finished_trials,
    read_definition,
)
from gnndesign.search.measures import RELAXING
from gnndesign.search.notation import constraint_from_dict, objective_from_dict
from gnndesign.search.objectives import (
    Constraint,
    Measure,
    Objective,
    checked_constraints,
    checked_objectives,
)
from gnndesign.search.pool import Choice
from gnndesign.search.provenance import provenance_of
from gnndesign.search.results import SearchResult
from gnndesign.search.sampler import CandidateSampler, Strategy
from gnndesign.search.space import Space
from gnndesign.search.trials import ConstraintColumn, ObjectiveColumn
from gnndesign.search.warm_start import WarmStart
from gnndesign.studies import open_existing_study


def search_compositions(
    space: Space,
    objectives: Objective | Measure | Sequence[Objective | Measure],
    potential: Potential,
    n_trials: int = 100,
    storage: str | Path | None = None,
    *,
    constraints: Sequence[Constraint] = (),
    first: Sequence[Mapping[str, Choice]] = (),
    warm_start: Sequence[WarmStart] = (),
    batch_size: int = 16,
    group_size: int | None = None,
    relaxing: Relaxing = RELAXING,
    strategy: str = Strategy.GAUSSIAN_PROCESS,
    seed: int = 0,
    executor: Executor | None = None,
    study_name: str = "search",
    on_progress: Callable[[SearchProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SearchResult:
    """Look for the best candidates of a space.

    Candidates are proposed by a sampler that knows the elements, never one twice,
    evaluated `batch_size` together with the potential, told to an Optuna study as soon
    as each is through, and replaced. Started again with the same storage, the
    search goes on until the study has `n_trials`; several processes may work on one study
    at the same time.

    Args:
        space: what to choose from.
        objectives: one, or several for a Pareto front: `LatticeConstant().near(3.9)`,
            `FormationEnergy()` (a bare measure is minimized),
            `PropertyMeasure(of=Elasticity(), quantity="bulk_modulus_GPa")
            .maximized()`.
        potential: relaxes the candidates.
        n_trials: number of candidates to evaluate in all, those of earlier runs on this
            storage included; failed ones count, interrupted ones do not.
        storage: path of an SQLite file, or sqlite:///PATH; None keeps the study in
            memory. The file must be on a disk of this machine.
        constraints: what a candidate must keep. Numbers are computed in the order of
            their cost, and a candidate that misses one goes no farther; it is no result,
            but the sampler learns from it.
        first: candidates to begin with, by their choices, instead of random ones.
        warm_start: values of candidates from elsewhere, which a surrogate learns from;
            give the same when the search is resumed. See `WarmStart`,
            `warm_start_from_study` and `warm_start_from_csv`.
        batch_size: candidates on their way at a time.
        group_size: as many are replaced at a time, when they are through; a fourth of
            the batch if not given. A worker of an executor takes so many a call.
        relaxing: how every candidate is relaxed.
        strategy: "gaussian_process", "random_forest", "tpe", "random" and others, see
            `Strategy`.
        seed: of the proposals. Each draws its random numbers from the seed and the number
            of candidates taken, so a resumed search proposes what an uninterrupted one
            would have.
        executor: evaluates the candidates in other processes, such as those of a Dask
            cluster (`gnndesign.jobs.cluster`); None for this one. Its workers need the
            same version of gnndesign and of the potential.
        study_name: name of the study in the storage.
        on_progress: called when candidates are through, see `iterate_search`.
        should_stop: asked now and then; True ends the search. What the batch in flight
            had not finished is interrupted, and its candidates are free again.

    Returns:
        All trials of the study.

    Raises:
        ParameterError: a parameter is outside its range.
        UnsupportedElementError: the potential does not know an element of the space.
        CheckpointError: the storage holds a search for something else under this name.
        StructureError: an element has no ground state to refer formation energies to.
    """
    steps = iterate_search(
        space,
        objectives,
        potential,
        n_trials,
        storage,
        constraints=constraints,
        first=first,
        warm_start=warm_start,
        batch_size=batch_size,
        group_size=group_size,
        relaxing=relaxing,
        strategy=strategy,
        seed=seed,
        executor=executor,
        study_name=study_name,
        should_stop=should_stop,
    )
    result: SearchResult | None = None
    for progress in steps:
        result = progress.result
        if on_progress is not None:
            on_progress(progress)
    assert result is not None, "iterate_search yields at least once"
    return result


def iterate_search(
    space: Space,
    objectives: Objective | Measure | Sequence[Objective | Measure],
    potential: Potential,
    n_trials: int = 100,
    storage: str | Path | None = None,
    *,
    constraints: Sequence[Constraint] = (),
    first: Sequence[Mapping[str, Choice]] = (),
    warm_start: Sequence[WarmStart] = (),
    batch_size: int = 16,
    group_size: int | None = None,
    relaxing: Relaxing = RELAXING,
    strategy: str = Strategy.GAUSSIAN_PROCESS,
    seed: int = 0,
    executor: Executor | None = None,
    study_name: str = "search",
    should_stop: Callable[[], bool] | None = None,
) -> Generator[SearchProgress, None, None]:
    """`search_compositions` as a generator; close it to stop between two batches.

    Arguments are checked at once, before the first step. It yields when candidates are
    through, once more at the end with a message that says why it ended, and once at the start where the
    energies of the elements must be computed first.
    """
    group = max(1, batch_size // 4) if group_size is None else group_size
    for name, number in (
        ("n_trials", n_trials),
        ("batch_size", batch_size),
        ("group_size", group),
    ):
        if number < 1:
            raise ParameterError(f"Wanted {name} >= 1, got {number}.")
    if strategy not in list(Strategy):
        wanted = ", ".join(f"'{known}'" for known in Strategy)
        raise ParameterError(f"Wanted the strategy {wanted}, got '{strategy}'.")
    assessment = Assessment(
        space=space,
        objectives=checked_objectives(objectives),
        constraints=checked_constraints(constraints),
        relaxing=relaxing,
    )
    _check_elements(space, potential)
    for choices in first:
        space.pool.index_of(choices)
    search = Search(
        assessment=assessment,
        potential=potential,
        n_trials=n_trials,
        batch_size=batch_size,
        group_size=min(group, batch_size),
        first=tuple(dict(choices) for choices in first),
        executor=executor,
        should_stop=should_stop,
    )
    sampler = CandidateSampler(
        space, strategy=Strategy(strategy), seed=seed, warm_start=warm_start
    )
    return search.run(storage, study_name, sampler)


def load_search(storage: str | Path, study_name: str | None = None) -> SearchResult:
    """Read a study without running it.

    Args:
        storage: path or sqlite:///PATH of its file.
        study_name: which study; None for the only one there is.

    Raises:
        CheckpointError: no such file or study, or not one of a composition search.
    """
    with open_existing_study(storage, study_name) as store:
        definition = read_definition(store.study)
        objectives = [objective_from_dict(entry) for entry in definition["objectives"]]
        trials = finished_trials(store.study, objectives, {})
        references = dict(store.study.user_attrs.get(REFERENCES, {}))
        return SearchResult(
            study_name=store.study.study_name,
            space=definition["space"],
            objectives=tuple(map(ObjectiveColumn.of, objectives)),
            constraints=tuple(
                ConstraintColumn.of(constraint_from_dict(entry))
                for entry in definition["constraints"]
            ),
            potential=definition["potential"]["name"],
            n_candidates=definition["n_candidates"],
            trials=trials,
            message=f"{count_done(trials)} candidates evaluated.",
            provenance=provenance_of(store.study, definition, references),
        )


def _check_elements(space: Space, potential: Potential) -> None:
    known = {chemical_symbols[number] for number in potential.card.elements}
    unknown = [element for element in space.elements if element not in known]
    if unknown:
        raise UnsupportedElementError(
            f"Potential '{potential.card.name}' knows {len(known)} elements but not "
            f"{', '.join(unknown)}. Take them out of the space or choose a potential "
            "trained on them."
        )
