"""The stage: the viewer and the plots beside the panels, and what stands on it.

Either the current structure, or the frames of a job, or the figures of another panel.
Frames and plots follow a running job; the plots' cursor follows the viewer.
"""

from __future__ import annotations

import html
import threading
import time
from bisect import bisect_left
from functools import partial

import ase
import ipywidgets as ipw
import plotly.graph_objects as go

from gnndesign.plots.trajectory import plot_history
from gnndesign.simulation.results import History
from gnndesign.structures.trajectory import TrajectoryFile
from gnndesign_widgets.controls import FIELD
from gnndesign_widgets.export import ExportBar
from gnndesign_widgets.figures import Figures
from gnndesign_widgets.observables import PLOTS, TITLES, TOOLTIPS, ResultsReader
from gnndesign_widgets.plot_view import PlotClick, PlotView
from gnndesign_widgets.simulation import SimulationModel
from gnndesign_widgets.structure import StructureModel
from gnndesign_widgets.viewer import ViewerPanel

_HISTORY = "History"
_PAUSE = 10
"""How much longer than reading a running job's scalars took it is left alone."""


class Stage(ipw.VBox):
    """Viewer above, plots below."""

    def __init__(self, structure: StructureModel) -> None:
        self._structure = structure
        self._simulation: SimulationModel | None = None
        self._figures: Figures | None = None
        self._atoms_shown: ase.Atoms | None = None
        self._settling = False
        self._looping = False
        self._frames: TrajectoryFile | None = None
        self._history: History | None = None
        self._history_due = 0.0
        self._results: ResultsReader | None = None
        # The follower's thread and the kernel's both come here.
        self._lock = threading.RLock()
        self.title = ipw.HTML()
        self.member = ipw.Dropdown(description="Structure", style=FIELD)
        self.viewer = ViewerPanel(height="400px")
        self.export = ExportBar()
        self.choice = ipw.ToggleButtons(style={"button_width": "auto"})
        self.plot = PlotView()
        super().__init__(
            [
                self.title,
                self.member,
                self.viewer,
                self.export,
                self.choice,
                self.plot,
            ]
        )
        self.layout.width = "100%"
        self.member.observe(self._choose_member, "value")
        self.choice.observe(self._draw_chosen, "value")
        self.viewer.view.observe(self._move_cursor, "frame")
        self.plot.on_click(self._clicked)
        self.show_structure()

    def show_structure(self, _change: object = None) -> None:
        """Put the current structure on the stage."""
        with self._lock:
            self._leave()
            atoms = self._structure.atoms
            if atoms is None:
                self._say("No structure")
                self.viewer.view.clear()
            else:
                self._say(self._structure.current.name)
                self.viewer.view.show(atoms)
            self.plot.clear()

    def show_simulation(self, model: SimulationModel) -> None:
        """Put a job's frames and plots on the stage, from its start."""
        with self._lock:
            store = model.job.store
            if store is None:
                self.show_structure()
                return
            self._leave()
            spec = store.spec
            self._say(spec.title)
            self.member.options = [(str(k + 1), k) for k in range(len(spec.structures))]
            self.member.layout.display = "" if len(spec.structures) > 1 else "none"
            self._simulation = model
            self._results = ResultsReader(store)
            self._offer_plots()
            self._open()

    def refresh_simulation(self, model: SimulationModel) -> None:
        """Bring what is on the stage up to date, if it is this model's job."""
        with self._lock:
            if self._simulation is not model:
                return
            if self._frames is None:
                self._open()
                return
            self._frames.refresh()
            self.viewer.view.grow()
            if time.monotonic() > self._history_due or not model.job.active:
                self._read_history()

    def show_figures(self, figures: Figures) -> None:
        """Put a panel's figures on the stage."""
        with self._lock:
            self._leave()
            self._figures = figures
            self._atoms_shown = None
            self.refresh_figures(figures)

    def refresh_figures(self, figures: Figures) -> None:
        """Bring what is on the stage up to date, if it is these figures."""
        with self._lock:
            if self._figures is not figures or self._settling:
                return
            self._say(figures.title)
            self._show_beside(figures)
            titles = list(figures.builds)
            self._settling = True
            if [value for _, value in self.choice.options] != titles:
                self.choice.tooltips = []
                self.choice.options = [(title, title) for title in titles]
            if titles:
                wanted = figures.shown if figures.shown in titles else titles[0]
                self.choice.value = wanted
            self._settling = False
            self.choice.layout.display = "" if len(titles) > 1 else "none"
            self.plot.draw(figures.builds.get(self.choice.value or "", go.Figure))

    def _show_beside(self, figures: Figures) -> None:
        """Put the structure of figures, or what moves, into the viewer if it is new."""
        frames = figures.frames
        atoms, before = frames[0] if frames else figures.atoms, self._atoms_shown
        if atoms is not None and atoms is not before:
            same = before is not None and str(before.symbols) == str(atoms.symbols)
            self.viewer.view.show(frames or atoms, keep_camera=same)
            self._atoms_shown = atoms
        self._loop(on=figures.is_played)

    def _loop(self, *, on: bool) -> None:
        """Play what moves; what a person plays is left alone."""
        if on is not self._looping:
            self.viewer.loop(on=on)
            self._looping = on

    def _draw_chosen(self, _change: object = None) -> None:
        """What the buttons above the plot ask for."""
        with self._lock:
            if self._figures is None:
                self._draw_simulation()
            elif not self._settling:
                self._figures.shown = self.choice.value or ""
                self.refresh_figures(self._figures)

    def _say(self, title: str) -> None:
        self.title.value = f"<b>{html.escape(title)}</b>"

    def _leave(self) -> None:
        self._simulation = self._history = self._results = self._figures = None
        self._loop(on=False)
        if self._frames is not None:
            self._frames.close()
            self._frames = None
        self.export.source = None
        self.member.layout.display = "none"
        self.choice.layout.display = "none"

    def _offer_plots(self) -> None:
        """The history, and what is observed; the choice made for another job stays."""
        assert self._results is not None
        names = [name for name in self._results.names if name in PLOTS]
        options = [(_HISTORY, ""), *((TITLES[name], name) for name in names)]
        if tuple(options) != tuple(self.choice.options):
            wanted = self.choice.value
            self.choice.options = options
            self.choice.value = wanted if wanted in names else ""
            self.choice.tooltips = ["", *(TOOLTIPS[name] for name in names)]
        self.choice.layout.display = "" if names else "none"

    def _open(self) -> None:
        """Open the frames of the chosen member, if there are any yet."""
        model = self._simulation
        if model is None or model.job.store is None:
            return
        member = self.member.value or 0
        self._frames = model.job.store.trajectory(member)
        if self._frames is None or not len(self._frames):
            self._frames = None
            self.viewer.view.show(model.job.store.spec.atoms()[member])
        else:
            self.viewer.view.show(self._frames)
            self.viewer.view.frame = len(self._frames) - 1
            self.export.source = self._frames.path
        self._read_history()

    def _read_history(self) -> None:
        """Read scalars and observables, and draw them."""
        model = self._simulation
        if model is None or model.job.metrics is None or self._results is None:
            return
        began = time.monotonic()
        self._history = model.job.metrics.history(self.member.value or 0)
        self._results.refresh(at_once=not model.job.active)
        self._draw_simulation()
        self._history_due = time.monotonic() + _PAUSE * (time.monotonic() - began)

    def _choose_member(self, _change: object) -> None:
        with self._lock:
            if self._simulation is not None:
                if self._frames is not None:
                    self._frames.close()
                self._open()

    def _move_cursor(self, _change: object = None) -> None:
        if not self.choice.value:
            self._draw_simulation()

    def _draw_simulation(self, _change: object = None) -> None:
        """The plot that was chosen."""
        with self._lock:
            if self._history is None or self._results is None:
                return
            results = self._results.of(self.member.value or 0)
            name = self.choice.value
            if not name:
                averages = None if results is None else results.averages
                step = self._step_shown()
                self.plot.draw(partial(plot_history, self._history, step, averages))
                return
            result = None if results is None else getattr(results, name)
            if result is None:
                self.plot.clear()
            else:
                self.plot.draw(partial(PLOTS[name], result))

    def _step_shown(self) -> int | None:
        """Of the frame in the viewer."""
        frames = self._frames
        if frames is None or not len(frames):
            return None
        place = min(self.viewer.view.frame, len(frames) - 1)
        return int(frames[place].info["step"])

    def _clicked(self, click: PlotClick) -> None:
        with self._lock:
            if self._figures is not None:
                act = self._figures.clicks.get(self.choice.value or "")
                if act is not None and click.customdata is not None:
                    act(click.customdata)
            elif self._frames is not None and not self.choice.value:
                self.viewer.view.frame = self._frame_of(self._frames, int(click.x))

    def _frame_of(self, frames: TrajectoryFile, step: int) -> int:
        """The first frame that is not before a step; frames ascend by step."""
        return bisect_left(
            range(len(frames) - 1), step, key=lambda k: int(frames[k].info["step"])
        )
