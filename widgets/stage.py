"""The stage: the viewer and the plots beside the panels, and what stands on it.

Either the current structure, or the frames of a job, or the structure of a search
trial. Frames and plots follow a running job; the plots' cursor follows the viewer.
"""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as ipw
import numpy as np
import plotly.graph_objects as go
from gnndesign_widgets.controls import FIELD
from gnndesign_widgets.search import SearchModel
from gnndesign_widgets.simulation import SimulationModel
from gnndesign_widgets.structure import StructureModel
from gnndesign_widgets.viewer import ViewerPanel

from gnndesign.plots.search import plot_search, update_search_plot
from gnndesign.plots.trajectory import move_cursor, plot_history, update_history_plot
from gnndesign.simulation.results import SCALARS, History
from gnndesign.simulation.trajectory import TrajectoryFile

_PLOT_HEIGHT = 340
_NOTHING = np.zeros(0)
_EMPTY = History(
    step=np.zeros(0, dtype=int), time_fs=_NOTHING, **dict.fromkeys(SCALARS, _NOTHING)
)


class Stage(ipw.VBox):
    """Viewer above, plots below."""

    def __init__(self, structure: StructureModel, search: SearchModel) -> None:
        self._structure = structure
        self._search = search
        self._shown: SimulationModel | None = None
        self._frames: TrajectoryFile | None = None
        self._history: History | None = None
        self._lock = threading.RLock()
        self.title = ipw.HTML()
        self.member = ipw.Dropdown(description="Structure", style=FIELD)
        self.viewer = ViewerPanel(height="400px")
        self.plots = ipw.VBox()
        self._history_figure: go.FigureWidget | None = None
        self._search_figure: go.FigureWidget | None = None
        super().__init__([self.title, self.member, self.viewer, self.plots])
        self.layout.width = "100%"
        self.member.observe(self._choose_member, "value")
        self.viewer.view.observe(self._move_cursor, "frame")
        search.observe(self.refresh_search, "result")
        search.observe(self._show_picked, "picked")
        self.show_structure()

    def show_structure(self, _change: object = None) -> None:
        """Put the current structure on the stage."""
        with self._lock:
            self._leave()
            atoms = self._structure.atoms
            if atoms is None:
                self.title.value = "<b>No structure</b>"
                self.viewer.view.clear()
                return
            self.title.value = f"<b>{self._structure.current.name}</b>"
            self.viewer.view.show(atoms)

    def show_simulation(self, model: SimulationModel) -> None:
        """Put a job's frames and plots on the stage, from its start."""
        with self._lock:
            self._leave()
            self._shown = model
            store = model.job.store
            if store is None:
                self.show_structure()
                return
            spec = store.spec
            self.title.value = f"<b>{spec.title}</b>"
            names = [str(k + 1) for k in range(len(spec.structures))]
            self.member.options = [(name, k) for k, name in enumerate(names)]
            self.member.layout.display = "" if len(names) > 1 else "none"
            self._history_figure = go.FigureWidget(plot_history(_EMPTY))
            self._history_figure.update_layout(height=_PLOT_HEIGHT)
            for trace in self._history_figure.data[::2]:
                trace.on_click(self._jump)
            self.plots.children = (self._history_figure,)
            self._open()

    def refresh_simulation(self, model: SimulationModel) -> None:
        """Bring what is on the stage up to date, if it is this model's job."""
        with self._lock:
            if self._shown is not model:
                return
            if self._frames is None:
                self._open()
                return
            self._frames.refresh()
            self.viewer.view.grow()
            self._draw_history()

    def show_search(self) -> None:
        """Put the plot of the search on the stage; the viewer keeps what it has."""
        with self._lock:
            self._leave()
            result = self._search.result
            if result is None:
                self.title.value = "<b>Search: no trials yet</b>"
                return
            self.title.value = "<b>Search: click a point to see its structure</b>"
            self._search_figure = go.FigureWidget(plot_search(result))
            self._search_figure.update_layout(height=_PLOT_HEIGHT)
            self._search_figure.data[1].on_click(self._pick)
            self.plots.children = (self._search_figure,)

    def refresh_search(self, _change: object = None) -> None:
        """Bring the plot of the search up to date, if it is on the stage."""
        with self._lock:
            result = self._search.result
            if result is None or self._search_figure is None:
                return
            update_search_plot(self._search_figure, result)

    @property
    def shows_search(self) -> bool:
        """Whether the plot of the search is on the stage."""
        return self._search_figure is not None

    def _leave(self) -> None:
        if self._frames is not None:
            self._frames.close()
        self._shown = self._frames = self._history = None
        self._history_figure = self._search_figure = None
        self.plots.children = ()
        self.member.layout.display = "none"

    def _open(self) -> None:
        """Open the frames of the chosen member, if there are any yet."""
        model = self._shown
        if model is None or model.job.store is None:
            return
        member = self.member.value or 0
        self._frames = model.job.store.trajectory(member)
        if self._frames is None:
            self.viewer.view.show(model.job.store.spec.atoms()[member])
        else:
            self.viewer.view.show(self._frames)
            self.viewer.view.frame = len(self._frames) - 1
        self._draw_history()

    def _draw_history(self) -> None:
        model, figure = self._shown, self._history_figure
        if model is None or figure is None or model.job.metrics is None:
            return
        self._history = model.job.metrics.history(self.member.value or 0)
        update_history_plot(figure, self._history)
        self._move_cursor()

    def _choose_member(self, _change: object) -> None:
        with self._lock:
            if self._shown is not None:
                if self._frames is not None:
                    self._frames.close()
                    self._frames = None
                self._open()

    def _move_cursor(self, _change: object = None) -> None:
        with self._lock:
            figure, history, frames = self._history_figure, self._history, self._frames
            if figure is None or history is None or frames is None or not len(frames):
                return
            place = min(self.viewer.view.frame, len(frames) - 1)
            move_cursor(figure, history, int(frames[place].info["step"]))

    def _jump(self, trace: Any, points: Any, _state: object) -> None:
        """Show the frame that belongs to the point that was clicked on."""
        with self._lock:
            if not points.point_inds or self._frames is None:
                return
            step = int(trace.x[points.point_inds[0]])
            low, high = 0, len(self._frames) - 1
            while low < high:
                middle = (low + high) // 2
                if int(self._frames[middle].info["step"]) < step:
                    low = middle + 1
                else:
                    high = middle
            self.viewer.view.frame = low

    def _pick(self, trace: Any, points: Any, _state: object) -> None:
        if points.point_inds:
            self._search.picked = int(trace.customdata[points.point_inds[0]])

    def _show_picked(self, _change: object = None) -> None:
        with self._lock:
            atoms = self._search.picked_atoms()
            if atoms is not None and self._search_figure is not None:
                formula = atoms.get_chemical_formula()
                self.title.value = f"<b>Trial {self._search.picked}: {formula}</b>"
                self.viewer.view.show(atoms)
