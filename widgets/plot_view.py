"""`PlotView`: a place for plotly figures that are redrawn while a job runs.

plotly's own FigureWidget sends 5 MB of JavaScript a figure and every change at once,
which a page does not survive when changes come quickly. Here the library goes over
once a page, and a figure goes over when the one before has been drawn; of those asked
for meanwhile, only the newest is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from gnndesign_widgets.frame_gate import FrameGate


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotClick:
    """A click on a point.

    Attributes:
        curve: number of the trace.
        x, y: of the point.
        customdata: of the point; None without.
    """

    curve: int
    x: Any
    y: Any
    customdata: Any


class PlotView(anywidget.AnyWidget):
    """Shows the newest figure; methods may be called from any thread."""

    _esm = Path(__file__).parent / "plot_view.js"

    def __init__(self) -> None:
        self._build: Callable[[], go.Figure] = go.Figure
        self._gate = FrameGate(self._send_newest)
        self._callbacks: list[Callable[[PlotClick], None]] = []
        super().__init__()
        self.layout.width = "100%"
        self.on_msg(self._receive)

    def draw(self, build: Callable[[], go.Figure]) -> None:
        """Show the figure that `build` makes; it is called only if it is sent.

        Args:
            build: makes the figure from data that nobody changes.
        """
        self._build = build
        self._gate.request()

    def clear(self) -> None:
        """Show nothing."""
        self.draw(go.Figure)

    def on_click(self, callback: Callable[[PlotClick], None]) -> None:
        """Call `callback` when somebody clicks on a point."""
        self._callbacks.append(callback)

    def _send_newest(self) -> None:
        figure = str(self._build().to_json())
        self.send({"type": "figure", "sequence": self._gate.sent}, [figure.encode()])

    def _receive(self, _widget: object, message: dict[str, Any], _: object) -> None:
        match message.get("type"):
            case "library":
                self.send({"type": "library"}, [get_plotlyjs().encode()])
            case "ready":
                self._gate.reopen()
                self._gate.request()
            case "drawn":
                self._gate.acknowledge(message["sequence"])
            case "click":
                click = PlotClick(
                    curve=message["curve"],
                    x=message["x"],
                    y=message["y"],
                    customdata=message["customdata"],
                )
                for callback in self._callbacks:
                    callback(click)
            case _:
                pass
