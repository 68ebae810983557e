"""The reality check of a search's winners: its job, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as ipw
from traitlets import Dict, HasTraits, Unicode

from gnndesign.errors import GNNDesignError, JobError
from gnndesign.jobs.checks import WinnerCheck, check_parameters, read_checks
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.potentials.catalog import list_potentials
from gnndesign.search.trials import Trial
from gnndesign_widgets.controls import Message, RunBar, field
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel

STABILITIES = {"Elastic (Born)": "elastic", "Phonons": "phonons", "Neither": ""}


class ChecksModel(HasTraits):
    """What is to be checked of winners, the job that does, and what it has said.

    Attributes:
        stability: a value of `STABILITIES`.
        other_potential: name of a second potential; empty for none.
        job: the job that is followed.
        found: by number of the trial; empty before the job is over.
        problem: why nothing can be read; empty otherwise.
    """

    stability = Unicode("elastic")
    other_potential = Unicode("")
    found: Mapping[int, WinnerCheck] = Dict()  # pyright: ignore[reportAssignmentType]
    problem = Unicode("")

    def __init__(self, potential: PotentialModel) -> None:
        super().__init__()
        self._potential = potential
        self.search = ""
        self.job = JobModel(JobKind.CHECK)
        self.job.observe(self._read, ["revision", "job_id"])

    def follow(self, search: str) -> None:
        """Follow the newest check of a search, if there is one.

        Args:
            search: id of its job.
        """
        self.search = search
        own = [s for s in self.job.jobs() if s.spec.parameters.get("search") == search]
        self.job.attach(own[0] if search and own else None)

    def start(self, winners: Sequence[Trial], potential: str) -> None:
        """Submit a check.

        Args:
            winners: of the search that is followed.
            potential: name of the search's.

        Raises:
            GNNDesignError: none has a structure, or there is no such potential.
        """
        solid = [trial for trial in winners if trial.atoms is not None]
        if not solid:
            raise JobError("There is no winner with a structure to check yet.")
        self.job.submit(
            JobSpec.create(
                JobKind.CHECK,
                potential=potential,
                structures=[trial.atoms for trial in solid if trial.atoms is not None],
                parameters=check_parameters(
                    self.search, solid, self.stability, self.other_potential
                ),
                device=self._potential.device_for_job,
                title=f"check {len(solid)} winners",
            )
        )

    def _read(self, _change: object = None) -> None:
        store = self.job.store
        self.problem = ""
        mine = store is not None and store.spec.parameters.get("search") == self.search
        if store is None or not mine:
            # A check of another search says nothing of the trials that are shown.
            self.found = {}
            return
        try:
            self.found = {check.trial: check for check in read_checks(store)}
        except GNNDesignError as error:
            self.problem = str(error)


class ChecksPanel(ipw.VBox):
    """What a person sees of a `ChecksModel`.

    Args:
        model: of the checks.
        start: submits a check of the winners that are shown.
    """

    def __init__(self, model: ChecksModel, start: Callable[[], None]) -> None:
        others = [("none", ""), *((name, name) for name in list_potentials())]
        self.bar = RunBar(model.job, start, again=lambda: 0)
        self.problem = Message()
        super().__init__(
            [
                field(
                    model,
                    "stability",
                    ipw.Dropdown(options=STABILITIES, description="Stability"),
                ),
                field(
                    model,
                    "other_potential",
                    ipw.Dropdown(options=others, description="Second potential"),
                ),
                self.bar,
                self.problem,
            ]
        )
        self._model = model
        model.observe(self._show_problem, "problem")
        self._show_problem()

    def _show_problem(self, _change: object = None) -> None:
        self.problem.refuse(self._model.problem)
