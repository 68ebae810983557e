"""The workbench: panels on the left, the stage on the right, and their wires."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import ipywidgets as ipw

from gnndesign.jobs.local import ensure_worker
from gnndesign.structures.library import elemental_ground_state
from gnndesign_widgets.dynamics import DynamicsModel, DynamicsPanel
from gnndesign_widgets.figures import Figures
from gnndesign_widgets.learning import LearningModel
from gnndesign_widgets.learning_panel import LearningPanel
from gnndesign_widgets.potential import PotentialModel, PotentialPanel
from gnndesign_widgets.properties import PropertiesModel
from gnndesign_widgets.properties_panel import PropertiesPanel
from gnndesign_widgets.relax import RelaxModel, RelaxPanel
from gnndesign_widgets.search import SearchModel
from gnndesign_widgets.search_panel import SearchPanel
from gnndesign_widgets.simulation import SimulationModel
from gnndesign_widgets.stage import Stage
from gnndesign_widgets.structure import StructureModel, StructurePanel
from gnndesign_widgets.symmetry import SymmetryModel
from gnndesign_widgets.symmetry_panel import SymmetryPanel

_NARROW_TABS = """<style>
.gnndesign-tabs.jupyter-widgets > .lm-TabBar .lm-TabBar-tab {
    flex: 0 1 auto; min-width: 0; padding: 0 2px; font-size: 11px;
    letter-spacing: -0.2px;
}
</style>"""
"""As wide as their titles, so that all can be read."""


class Workbench(ipw.VBox):
    """Everything in one widget; show it as the last line of a cell.

    Jobs run in a worker process. A refreshed page, a restarted kernel or another
    notebook finds the latest job of each kind again, with all its history.

    Attributes:
        structure, potential, relax, dynamics, properties, search, symmetry, learning:
            the models behind the panels; a script in another cell may read and set their traits.
        training, tuning, distilling: those in `learning`.
    """

    def __init__(self) -> None:
        self.structure = StructureModel()
        self.structure.add([("silicon", elemental_ground_state("Si"))])
        self.potential = PotentialModel()
        self.relax = RelaxModel(self.structure, self.potential)
        self.dynamics = DynamicsModel(self.structure, self.potential)
        self.properties = PropertiesModel(self.structure, self.potential)
        self.search = SearchModel(self.structure, self.potential)
        self.learning = LearningModel(self.structure, self.potential)
        self.training = self.learning.training
        self.tuning = self.learning.tuning
        self.distilling = self.learning.distilling
        self.symmetry = SymmetryModel(self.structure)
        self.stage = Stage(self.structure)
        # A panel is made when its tab is first turned to: all of them are thousands of
        # widgets, and a page that has to take them at once keeps its reader waiting.
        self._panels: dict[str, Callable[[], ipw.Widget]] = {
            "Structure": partial(StructurePanel, self.structure),
            "Potential": partial(PotentialPanel, self.potential),
            "Relax": partial(RelaxPanel, self.relax),
            "Dynamics": partial(DynamicsPanel, self.dynamics),
            "Properties": partial(PropertiesPanel, self.properties),
            "Search": partial(SearchPanel, self.search),
            "Train": partial(LearningPanel, self.learning),
            "Symmetry": partial(SymmetryPanel, self.symmetry),
        }
        self.tabs = ipw.Tab([ipw.VBox() for _ in self._panels], titles=[*self._panels])
        self.tabs.layout.width = "42%"
        self.tabs.layout.min_width = "380px"
        self.tabs.add_class("gnndesign-tabs")
        right = ipw.Box([self.stage])
        right.layout.flex = "1 1 0"
        right.layout.min_width = "360px"
        columns = ipw.HBox([self.tabs, right])
        columns.layout.flex_flow = "row wrap"
        columns.layout.grid_gap = "12px"
        super().__init__([ipw.HTML(_NARROW_TABS), columns])
        self.structure.observe(self.stage.show_structure, "revision")
        self.tabs.observe(self._turn_to, "selected_index")
        for model in (self.relax, self.dynamics):
            self._wire(model)
        shown = [each.figures for each in (self.properties, self.search, self.symmetry)]
        for figures in (*shown, *self.learning.all_figures):
            figures.observe(partial(self._refresh_figures, figures))
        self._attach()
        self.learning.observe(self._turn_to_way, "way")
        # A worker takes some seconds to come up; it is there when the first job is.
        ensure_worker()

    def _wire(self, model: SimulationModel) -> None:
        def show(_change: object) -> None:
            self.stage.show_simulation(model)

        def refresh(_change: object) -> None:
            self.stage.refresh_simulation(model)

        model.job.observe(show, "job_id")
        model.job.observe(refresh, "revision")

    def _refresh_figures(self, figures: Figures, _change: object) -> None:
        self.stage.refresh_figures(figures)

    def _attach(self) -> None:
        """Find the latest jobs, and show the one that runs."""
        jobs = {
            "Relax": self.relax.job,
            "Dynamics": self.dynamics.job,
            "Properties": self.properties.job,
            "Search": self.search.job,
        }
        for job in jobs.values():
            job.attach_latest()
        self.learning.attach_latest()
        running = [title for title, job in jobs.items() if job.active]
        running += ["Train"] if self.learning.active else []
        first = self.tabs.titles.index(running[0]) if running else 0
        self.tabs.selected_index = first
        self._panel()
        if not running:
            self.stage.show_structure()

    @property
    def _tab(self) -> str:
        return self.tabs.titles[self.tabs.selected_index or 0]

    def _panel(self) -> ipw.Widget:
        """The one that is turned to; made if nobody has turned to it before."""
        place = self.tabs.children[self.tabs.selected_index or 0]
        if not place.children:
            place.children = [self._panels[self._tab]()]
        return place.children[0]

    def _turn_to_way(self, _change: object) -> None:
        if self._tab == "Train":
            self.stage.show_figures(self.learning.figures)

    def _turn_to(self, _change: object) -> None:
        panel = self._panel()
        if isinstance(panel, SymmetryPanel):
            # Some may have been trained since.
            panel.list_potentials()
        match self._tab:
            case "Structure":
                self.stage.show_structure()
            case "Relax" if self.relax.job.job_id:
                self.stage.show_simulation(self.relax)
            case "Dynamics" if self.dynamics.job.job_id:
                self.stage.show_simulation(self.dynamics)
            case "Properties":
                self.stage.show_figures(self.properties.figures)
            case "Search":
                self.stage.show_figures(self.search.figures)
            case "Train":
                self.stage.show_figures(self.learning.figures)
            case "Symmetry":
                self.stage.show_figures(self.symmetry.figures)
                self.symmetry.wake()
            case _:
                pass
