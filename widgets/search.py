"""The search: a space, what is wanted, a job, and what it has found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers
from traitlets import Dict, HasTraits, Instance, Int, Tuple, Unicode, observe

from gnndesign.errors import GNNDesignError, JobError
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.properties.fields import changed_texts, fields_of
from gnndesign.properties.from_text import parameters_from_text
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.search.earlier_values import warm_starts_from_text
from gnndesign.search.objectives import checked_constraints, checked_objectives
from gnndesign.search.results import SearchResult
from gnndesign.search.sampler import Strategy
from gnndesign.search.study import RELAXING, load_search
from gnndesign.search.trials import Trial
from gnndesign_widgets.figures import Figures
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.latest import Latest
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.search_checks import ChecksModel
from gnndesign_widgets.search_estimate import Pace, estimate_search
from gnndesign_widgets.search_goals import (
    Wish,
    wish_of_constraint,
    wish_of_objective,
)
from gnndesign_widgets.search_space import SpaceModel
from gnndesign_widgets.search_stage import leading, search_builds
from gnndesign_widgets.structure import StructureModel

_PAUSE = 10
"""How much longer than reading a running study took it is left alone."""

_TITLE = "Search: click on a point to see its structure"


class SearchModel(HasTraits):
    """What to search, the job that searches, and what it found.

    Attributes:
        space: what to choose from.
        objectives: a `Wish` each.
        constraints: a `Wish` each.
        n_trials: candidates to evaluate in all.
        batch_size: candidates on their way at a time.
        strategy: how the next candidate is chosen.
        seed: of the proposals.
        warm_start: what it learns from to begin with, see `warm_starts_from_text`.
        relaxing: what was typed into the form of `Relaxing`, by name of the field.
        estimate: how long it would take, or still takes.
        job: the job that is followed.
        checks: the reality check of the winners.
        result: what it has found; None before the first trial.
        picked: number of the trial that was clicked on; -1 for none.
        problem: why the forms do not show the job that is followed; empty otherwise.
        figures: for the stage.
    """

    objectives: tuple[Wish, ...] = Tuple(  # pyright: ignore[reportAssignmentType]
        default_value=(Wish(measure="formation_energy", how="minimize"),)
    )
    constraints: tuple[Wish, ...] = Tuple()  # pyright: ignore[reportAssignmentType]
    n_trials = Int(24)
    batch_size = Int(8)
    strategy = Unicode(str(Strategy.GAUSSIAN_PROCESS))
    seed = Int(0)
    warm_start = Unicode("")
    relaxing: dict[str, str] = Dict()  # pyright: ignore[reportAssignmentType]
    estimate = Unicode("")
    result: SearchResult | None = Instance(SearchResult, allow_none=True)  # pyright: ignore[reportAssignmentType]
    picked = Int(-1)
    problem = Unicode("")

    def __init__(self, structure: StructureModel, potential: PotentialModel) -> None:
        super().__init__()
        self._structure = structure
        self._potential = potential
        self._pace = Pace()
        self._due = 0.0
        self._shown = -1
        self.space = SpaceModel()
        self.checks = ChecksModel(potential)
        self.figures = Figures(title=_TITLE)
        self.job = JobModel(JobKind.SEARCH)
        self._estimating = Latest(self._estimated, self._take_estimate)
        self.space.observe(self._estimating.ask, "look")
        potential.observe(self._estimating.ask)
        self.job.observe(self._begin, "job_id")
        self.job.observe(self._read, "revision")
        self.job.observe(self._estimating.ask, ["active", "done"])

    @property
    def potential(self) -> PotentialModel:
        """What the next job computes with."""
        return self._potential

    def relaxation(self) -> Relaxing:
        """How every candidate would be relaxed.

        Raises:
            ParameterError: what was typed makes no sense.
        """
        return parameters_from_text(Relaxing, self.relaxing, "a relaxation", RELAXING)

    def set_relaxing(self, name: str, text: str | None) -> None:
        """Take what was typed into the form of a relaxation; None for the default."""
        own = {k: v for k, v in self.relaxing.items() if k != name}
        self.relaxing = own if text is None else {**own, name: text}

    def start(self) -> None:
        """Submit a search.

        Raises:
            GNNDesignError: the space or a parameter is not usable.
        """
        objectives = checked_objectives([wish.objective() for wish in self.objectives])
        constraints = checked_constraints([w.constraint() for w in self.constraints])
        space = self.space.space()
        # Refused here rather than minutes later in the job, which reads it again.
        warm_starts_from_text(self.warm_start, space, objectives)
        numbers = [atomic_numbers[symbol] for symbol in space.elements]
        self._potential.require_card().check_elements(numbers)
        self.job.submit(
            JobSpec.create(
                JobKind.SEARCH,
                potential=self._potential.name,
                parameters={
                    "space": space.to_dict(),
                    "objectives": [each.to_dict() for each in objectives],
                    "constraints": [each.to_dict() for each in constraints],
                    "relaxing": to_plain(self.relaxation()),
                    "n_trials": min(self.n_trials, len(space)),
                    "batch_size": self.batch_size,
                    "strategy": self.strategy,
                    "seed": self.seed,
                    "warm_start": self.warm_start,
                },
                device=self._potential.device_for_job,
                title=f"search {_name(space.to_dict())}, {len(space):,} candidates",
            )
        )

    def start_check(self, n: int) -> None:
        """Submit a reality check of the n best.

        Raises:
            GNNDesignError: nothing has been found yet.
        """
        if self.result is None:
            raise JobError("There is no winner to check yet.")
        best = [trial for _, trial in leading(self.result, n)]
        self.checks.start(best, self.result.potential)

    def picked_trial(self) -> Trial | None:
        """The trial that was clicked on."""
        trials = () if self.result is None else self.result.trials
        return next((t for t in trials if t.number == self.picked), None)

    def take_structure(self) -> str:
        """Put the structure of the trial that was clicked on on the desk.

        Raises:
            JobError: there is none.
        """
        trial = self.picked_trial()
        if trial is None or trial.atoms is None:
            raise JobError("Click on a point or on a row with a structure first.")
        copy = trial.atoms.copy()
        copy.info = {}
        name = f"{trial.formula} (trial {trial.number})"
        self._structure.add([(name, copy)])
        return f"Took {name} to the desk."

    def export(self, folder: str, n: int) -> str:
        """Write the best candidates as CIF files, JSON and a table, and all as a table.

        Raises:
            JobError: nothing has been found yet.
            ParameterError: no candidate has a value and keeps the constraints.
        """
        if self.result is None:
            raise JobError("There is no result to export yet.")
        target = Path(folder).expanduser()
        written = self.result.export_best(target, n=n)
        self.result.to_csv(target / "all_trials.csv")
        return f"Wrote {written.resolve()}, and what it names beside it."

    def _begin(self, _change: object = None) -> None:
        """Follow another job: nothing of the last one stays."""
        self.picked, self.result, self.problem = -1, None, ""
        self._pace, self._due = Pace(), 0.0
        self.checks.follow(self.job.job_id)
        store = self.job.store
        if store is None:
            self._offer()
            return
        try:
            self._refill(store.spec.parameters, store.status().total)
        except (GNNDesignError, KeyError, TypeError, ValueError) as error:
            said = "The form does not show this job, of another version"
            self.problem = f"{said}: {error}"
        self._read()
        self._offer()

    def _refill(self, parameters: Mapping[str, Any], total: int) -> None:
        """Type what a job was started with, and the trials asked for since."""
        self.space.refill(parameters["space"])
        bounds = parameters.get("constraints", [])
        with self.hold_trait_notifications():
            self.objectives = tuple(map(wish_of_objective, parameters["objectives"]))
            self.constraints = tuple(map(wish_of_constraint, bounds))
            self.n_trials = max(int(parameters["n_trials"]), total)
            self.strategy = str(Strategy(parameters.get("strategy", self.strategy)))
            for name in ("batch_size", "seed", "warm_start"):
                self.set_trait(name, parameters.get(name, getattr(self, name)))
            if "relaxing" in parameters:
                given = asdict(from_plain(parameters["relaxing"]))
                self.relaxing = changed_texts(fields_of(Relaxing, RELAXING), given)

    def _read(self, _change: object = None) -> None:
        """Read the study, unless that was done a moment ago."""
        job, store = self.job, self.job.store
        if job.active:
            self._pace.see(job.done)
        began = time.monotonic()
        if store is None or (job.active and began < self._due):
            return
        if not store.study_file.is_file():
            return
        try:
            self.result = load_search(store.study_file)
        except GNNDesignError:
            # The worker has made the file but not yet written the study into it.
            return
        self._due = time.monotonic() + _PAUSE * (time.monotonic() - began)

    @observe("result", "picked")
    def _offer(self, _change: object = None) -> None:
        """Figures of what there is, and the structure that was clicked on."""
        trial = self.picked_trial()
        with self.figures.hold_trait_notifications():
            builds = search_builds(self.result)
            self.figures.builds = builds
            self.figures.clicks = dict.fromkeys(builds, self._pick)
            if trial is None:
                self.figures.title, self.figures.atoms = _TITLE, None
            else:
                said = f"Trial {trial.number}: {trial.formula}, {trial.status}"
                self.figures.title = said
                # Read anew it is another object, which need not be drawn anew.
                if self._shown != trial.number:
                    self.figures.atoms = trial.atoms
            self._shown = -1 if trial is None else trial.number

    def _pick(self, number: Any) -> None:
        if isinstance(number, int) and number >= 0:
            self.picked = number

    @observe("objectives", "constraints", "n_trials", "batch_size")
    def _ask(self, _change: object = None) -> None:
        self._estimating.ask()

    def _estimated(self) -> str:
        job, space = self.job, self.space.look.space
        if job.active:
            return self._pace.left(job.total)
        if space is None:
            return ""
        try:
            measures = [wish.objective().measure for wish in self.objectives]
            measures += [wish.constraint().measure for wish in self.constraints]
        except GNNDesignError:
            # The rows say so themselves.
            return ""
        return estimate_search(
            space,
            measures,
            self._potential.name,
            self._potential.device_for_job,
            n_trials=self.n_trials,
            batch_size=self.batch_size,
        )

    def _take_estimate(self, text: str) -> None:
        self.estimate = text


def _name(space: dict[str, Any]) -> str:
    """What a job's title calls a space."""
    return str(space.get("prototype") or space.get("lattice") or space["kind"])
