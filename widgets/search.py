"""The search panel: a space, an objective, a job, and its candidates."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import Any

import ase
import ipywidgets as ipw
from ase.data import atomic_numbers
from traitlets import (
    Bool,
    Dict,
    Enum,
    Float,
    HasTraits,
    Instance,
    Int,
    Unicode,
    observe,
)

from gnndesign.errors import GNNDesignError, JobError
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.search.measures import FormationEnergy, LatticeConstant
from gnndesign.search.objectives import Objective
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.results import SearchResult
from gnndesign.search.sites import site_labels
from gnndesign.search.study import load_search
from gnndesign_widgets.controls import FIELD, Message, RunBar, button, field, table
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure_forms import prototype_names

OBJECTIVES = {
    "Lowest formation energy": "formation_energy",
    "Target lattice constant": "lattice_constant",
}
_EXAMPLES = {"A": "Ca, Sr, Ba, K, Na", "B": "Ti, Zr, Sn, Nb", "X": "O"}


class SearchModel(HasTraits):
    """What to search, the job that searches, and what it found.

    Attributes:
        prototype: name in the library.
        sites: elements by site label, as typed.
        charge_neutral: whether candidates must be neutral.
        objective: a value of `OBJECTIVES`.
        target: lattice constant to hit, Å.
        n_trials: candidates to evaluate in all.
        batch_size: candidates relaxed together.
        seed: of the proposals.
        job: the job that is followed.
        result: what it has found; None before the first trial.
        picked: number of the trial that was clicked on; -1 for none.
    """

    prototype = Unicode("perovskite")
    sites = Dict(default_value=_EXAMPLES)
    charge_neutral = Bool(default_value=True)
    objective = Enum(list(OBJECTIVES.values()), default_value="formation_energy")
    target = Float(3.9)
    n_trials = Int(24)
    batch_size = Int(8)
    seed = Int(0)
    result: SearchResult | None = Instance(SearchResult, allow_none=True)  # pyright: ignore[reportAssignmentType]
    picked = Int(-1)

    def __init__(self, potential: PotentialModel) -> None:
        super().__init__()
        self._potential = potential
        self.job = JobModel(JobKind.SEARCH)
        self.job.observe(self._read, ["revision", "job_id"])

    def labels(self) -> tuple[str, ...]:
        """Labels of the prototype's sites.

        Raises:
            StructureError: unknown prototype.
        """
        return tuple(site_labels(self.prototype))

    def space(self) -> PrototypeSpace:
        """The space as it is typed now.

        Raises:
            ParameterError, StructureError: it is not a space.
        """
        return PrototypeSpace(
            prototype=self.prototype,
            sites={
                label: self.sites.get(label, "").replace(",", " ").split()
                for label in self.labels()
            },
            charge_neutral=self.charge_neutral,
        )

    def start(self) -> None:
        """Submit a search.

        Raises:
            GNNDesignError: the space or a parameter is not usable.
        """
        chosen: Objective = FormationEnergy().minimized()
        if self.objective == "lattice_constant":
            chosen = LatticeConstant().near(self.target)
        space = self.space()
        known = self._potential.require_card()
        known.check_elements([atomic_numbers[symbol] for symbol in space.elements])
        self.job.submit(
            JobSpec.create(
                JobKind.SEARCH,
                potential=self._potential.name,
                parameters={
                    "space": space.to_dict(),
                    "objectives": [chosen.to_dict()],
                    "n_trials": min(self.n_trials, len(space)),
                    "batch_size": self.batch_size,
                    "seed": self.seed,
                },
                device=self._potential.device_for_job,
                title=f"search {self.prototype}, {len(space)} candidates",
            )
        )

    def picked_atoms(self) -> ase.Atoms | None:
        """The relaxed structure of the trial that was clicked on."""
        if self.result is None:
            return None
        for trial in self.result.trials:
            if trial.number == self.picked:
                return trial.atoms
        return None

    def export(self, folder: str) -> str:
        """Write the best ten as CIF files and a table.

        Raises:
            JobError: nothing has been found yet.
        """
        if self.result is None:
            raise JobError("There is no result to export yet.")
        written = self.result.export_best(Path(folder).expanduser(), n=10)
        return f"Wrote {written.resolve()} and the CIF files beside it."

    @observe("prototype")
    def _check_prototype(self, _change: object) -> None:
        self.picked = -1

    def _read(self, change: dict[str, Any]) -> None:
        if change["name"] == "job_id":
            self.picked = -1
            self.result = None
        store = self.job.store
        if store is None or not store.study_file.is_file():
            return
        try:
            self.result = load_search(store.study_file)
        except GNNDesignError:
            # The worker has made the file but not yet written the study into it.
            return


class SearchPanel(ipw.VBox):
    """What a person sees of a `SearchModel`."""

    def __init__(self, model: SearchModel) -> None:
        self._model = model
        self.prototype = field(
            model,
            "prototype",
            ipw.Combobox(
                options=prototype_names(),
                description="Prototype",
                continuous_update=False,
            ),
        )
        self.sites = ipw.VBox()
        self.count = Message()
        self.target = field(
            model,
            "target",
            ipw.BoundedFloatText(
                min=0.6, max=99, step=0.05, description="Target a (Å)"
            ),
        )
        self.bar = RunBar(model.job, model.start, again=lambda: model.n_trials)
        self.best = ipw.HTML()
        self.folder = ipw.Text(
            value="best_candidates", description="Folder", style=FIELD
        )
        self.message = Message()
        whole = ipw.BoundedIntText
        super().__init__(
            [
                self.prototype,
                self.sites,
                field(
                    model,
                    "charge_neutral",
                    ipw.Checkbox(description="Charge neutral only", indent=False),
                ),
                self.count,
                field(
                    model,
                    "objective",
                    ipw.Dropdown(options=OBJECTIVES, description="Objective"),
                ),
                self.target,
                field(model, "n_trials", whole(min=1, max=10**6, description="Trials")),
                field(
                    model,
                    "batch_size",
                    whole(min=1, max=4096, description="Batch size"),
                ),
                self.bar,
                self.best,
                ipw.HBox([self.folder, button("Export best ten", self._export)]),
                self.message,
            ]
        )
        model.observe(self._rebuild_sites, "prototype")
        model.observe(self._show_count, ["sites", "charge_neutral", "prototype"])
        model.observe(self._show_target, "objective")
        model.observe(self._show_best, "result")
        self._rebuild_sites()
        self._show_count()
        self._show_target()

    def _export(self) -> None:
        self.message.attempt(lambda: self._model.export(self.folder.value))

    def _rebuild_sites(self, _change: object = None) -> None:
        try:
            labels = self._model.labels()
        except GNNDesignError:
            self.sites.children = ()
            return
        fields: list[ipw.Text] = []
        for label in labels:
            each = ipw.Text(
                value=self._model.sites.get(label, ""),
                description=f"Site {label}",
                placeholder="Ca, Sr, Ba",
                continuous_update=False,
                style=FIELD,
            )
            each.layout.width = "auto"
            each.observe(partial(self._typed, label), "value")
            fields.append(each)
        self.sites.children = fields

    def _typed(self, label: str, change: dict[str, str]) -> None:
        self._model.sites = {**self._model.sites, label: change["new"]}

    def _show_count(self, _change: object = None) -> None:
        def count() -> str:
            space = self._model.space()
            return f"{len(space)} candidates of {space.n_combinations} combinations."

        self.count.attempt(count)

    def _show_target(self, _change: object = None) -> None:
        wanted = self._model.objective == "lattice_constant"
        self.target.layout.display = "" if wanted else "none"

    def _show_best(self, _change: object = None) -> None:
        self.best.value = (
            "" if self._model.result is None else best_html(self._model.result)
        )


def best_html(result: SearchResult) -> str:
    """The best ten as a table."""
    best = result.best(10)
    if not best:
        return html.escape(result.message)
    heads = [f"{c.name.replace('_', ' ')} ({c.unit})" for c in result.objectives]
    rows = [
        [
            str(place + 1),
            trial.formula,
            *(f"{trial.values[c.name]:.4f}" for c in result.objectives),
            str(trial.status),
        ]
        for place, trial in enumerate(best)
    ]
    return table(["", "Formula", *heads, ""], rows)
