"""The viewer: a `StructureView` with a player and switches that are always in sight."""

from __future__ import annotations

import ase
import ipywidgets
from traitlets import link

from gnndesign_widgets.structure_view import Frames, StructureView

_LONG = 500
"""Frames that nobody plays one by one."""

__all__ = ["Frames", "StructureView", "ViewerPanel"]


class ViewerPanel(ipywidgets.VBox):
    """A view, its player, and switches for what is drawn.

    Attributes:
        view: the `StructureView`; show structures with its methods. It stays the same
            as long as the panel lives.
        play: steps through the frames.
        slider: the frame that is shown, from 0.
        stride: frames from one that is played to the next; in long trajectories only.
    """

    def __init__(
        self, frames: ase.Atoms | Frames | None = None, *, height: str = "420px"
    ) -> None:
        """Open a panel.

        Args:
            frames: shown at once; see `StructureView.show`.
            height: of the view without the controls, CSS.
        """
        self.view = StructureView(height=height, hover_player=False)
        self.play = ipywidgets.Play(interval=100, max=0, show_repeat=True)
        self.slider = ipywidgets.IntSlider(
            max=0, description="Frame", continuous_update=True
        )
        self.slider.layout.flex = "1 1 auto"
        self.slider.layout.min_width = "120px"
        self.stride = ipywidgets.BoundedIntText(
            value=1, min=1, max=10**6, description="every", tooltip="Play every so many"
        )
        self.stride.style.description_width = "initial"
        self.stride.layout.width = "110px"
        self.player = ipywidgets.HBox([self.play, self.slider, self.stride])
        self.switches = ipywidgets.HBox(
            [
                self._switch("show_bonds", "Bonds", "Draw bonds"),
                self._switch("show_cell", "Cell", "Draw the edges of the cell"),
                self._switch("show_forces", "Forces", "Draw an arrow for every force"),
                self._switch("spinning", "Spin", "Let the camera go around"),
                self._center_button(),
            ]
        )
        self.switches.layout.flex_flow = "row wrap"
        super().__init__([self.view, self.player, self.switches])
        self.layout.width = "100%"
        # The player moves in the browser; a busy kernel does not hold it up.
        ipywidgets.jslink((self.play, "value"), (self.view, "frame"))
        ipywidgets.jslink((self.slider, "value"), (self.view, "frame"))
        ipywidgets.jslink((self.stride, "value"), (self.play, "step"))
        self.view.observe(self._follow_length, "max_frame")
        self._follow_length()
        if frames is not None:
            self.view.show(frames)

    def loop(self, *, on: bool) -> None:
        """Play the frames over and over, or stop doing so."""
        self.play.repeat = self.play.playing = on

    def _switch(self, trait: str, name: str, tooltip: str) -> ipywidgets.ToggleButton:
        button = ipywidgets.ToggleButton(description=name, tooltip=tooltip)
        button.layout.width = "auto"
        link((self.view, trait), (button, "value"))
        return button

    def _center_button(self) -> ipywidgets.Button:
        button = ipywidgets.Button(
            description="Center", tooltip="Move the camera so that everything is seen"
        )
        button.layout.width = "auto"
        button.on_click(self._center)
        return button

    def _center(self, _button: ipywidgets.Button) -> None:
        self.view.center()

    def _follow_length(self, _change: object = None) -> None:
        last = self.view.max_frame
        self.play.max = self.slider.max = last
        self.player.layout.display = "flex" if last > 0 else "none"
        self.stride.layout.display = "" if last >= _LONG else "none"
