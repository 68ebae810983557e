"""Looking for compositions: `search_compositions` and its relatives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from ase.data import chemical_symbols

from gnndesign.errors import ParameterError, UnsupportedElementError
from gnndesign.potentials.base import Potential
from gnndesign.search.evaluate import RelaxationSettings
from gnndesign.search.loop import (
    REFERENCES,
    Search,
    SearchProgress,
    count_done,
    finished_trials,
    read_definition,
)
from gnndesign.search.objectives import (
    Objective,
    checked_objectives,
    objective_from_dict,
)
from gnndesign.search.provenance import provenance_of
from gnndesign.search.results import SearchResult
from gnndesign.search.sampler import CandidateSampler, Strategy
from gnndesign.search.space import Space
from gnndesign.search.trials import ObjectiveColumn
from gnndesign.studies import open_existing_study


def search_compositions(
    space: Space,
    objectives: Objective | Sequence[Objective],
    potential: Potential,
    n_trials: int = 100,
    storage: str | Path | None = None,
    *,
    batch_size: int = 16,
    cell: str | None = "full",
    max_force: float = 0.05,
    max_steps: int = 300,
    strategy: str = Strategy.GAUSSIAN_PROCESS,
    seed: int = 0,
    study_name: str = "search",
    on_progress: Callable[[SearchProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SearchResult:
    """Look for the best candidates of a space.

    Candidates are proposed `batch_size` at a time, never one twice, relaxed together with
    the potential, and told to an Optuna study. Started again with the same storage, the
    search goes on until the study has `n_trials`; several processes may work on one study
    at the same time.

    Args:
        space: what to choose from.
        objectives: one, or several for a Pareto front.
        potential: relaxes the candidates.
        n_trials: number of candidates to evaluate in all, those of earlier runs on this
            storage included; failed ones count, interrupted ones do not.
        storage: path of an SQLite file, or sqlite:///PATH; None keeps the study in
            memory. The file must be on a disk of this machine.
        batch_size: candidates relaxed at a time.
        cell: what of the cell may relax: "full", "isotropic", "constant_volume" or None.
        max_force: where a relaxation ends, eV/Å.
        max_steps: where a relaxation is given up.
        strategy: "gaussian_process", "tpe" or "random", see `Strategy`.
        seed: of the proposals. Each draws its random numbers from the seed and the number
            of candidates taken, so a resumed search proposes what an uninterrupted one
            would have.
        study_name: name of the study in the storage.
        on_progress: called after every batch, see `iterate_search`.
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
        batch_size=batch_size,
        cell=cell,
        max_force=max_force,
        max_steps=max_steps,
        strategy=strategy,
        seed=seed,
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
    objectives: Objective | Sequence[Objective],
    potential: Potential,
    n_trials: int = 100,
    storage: str | Path | None = None,
    *,
    batch_size: int = 16,
    cell: str | None = "full",
    max_force: float = 0.05,
    max_steps: int = 300,
    strategy: str = Strategy.GAUSSIAN_PROCESS,
    seed: int = 0,
    study_name: str = "search",
    should_stop: Callable[[], bool] | None = None,
) -> Generator[SearchProgress, None, None]:
    """`search_compositions` as a generator; close it to stop between two batches.

    Arguments are checked at once, before the first step. It yields after every batch, once
    more at the end with a message that says why it ended, and once at the start where the
    energies of the elements must be computed first.
    """
    for name, number in (("n_trials", n_trials), ("batch_size", batch_size)):
        if number < 1:
            raise ParameterError(f"Wanted {name} >= 1, got {number}.")
    if strategy not in list(Strategy):
        wanted = ", ".join(f"'{known}'" for known in Strategy)
        raise ParameterError(f"Wanted the strategy {wanted}, got '{strategy}'.")
    several = checked_objectives(objectives)
    _check_elements(space, potential)
    search = Search(
        space=space,
        objectives=several,
        potential=potential,
        settings=RelaxationSettings(
            cell=cell, max_force=max_force, max_steps=max_steps
        ),
        n_trials=n_trials,
        batch_size=batch_size,
        should_stop=should_stop,
    )
    sampler = CandidateSampler(space, strategy=Strategy(strategy), seed=seed)
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
