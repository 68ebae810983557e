"""What a person sees of the modes of a crystal: which one is played, and the way down."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw
from traitlets import link

from gnndesign_widgets.controls import Message, button, field, labeled
from gnndesign_widgets.properties import PropertiesModel


class PhononModesPanel(ipw.VBox):
    """Choose a mode, animate it, follow the worst; not in sight without phonons.

    Attributes:
        animate: plays the chosen mode while it is pressed.
        q_point, mode: choose it.
        follow: starts a job down the worst mode; for crystals that have imaginary ones.
    """

    def __init__(self, model: PropertiesModel) -> None:
        self._model = model
        self._modes = model.modes
        self._showing = False
        self.animate = ipw.ToggleButton(
            description="Animate mode",
            icon="film",
            tooltip="Play the mode in the viewer",
        )
        self.animate.layout.width = "auto"
        link((self._modes, "is_animated"), (self.animate, "value"))
        self.follow = button(
            "Follow the worst mode",
            lambda: self.message.attempt(model.follow_worst_mode),
            icon="level-down",
            tooltip="Start a job down the imaginary modes to a stable structure",
        )
        self.q_point = labeled(ipw.Dropdown(description="q-point"))
        self.mode = labeled(
            ipw.Dropdown(description="Mode", tooltip="Negative: imaginary")
        )
        self.amplitude = field(
            self._modes,
            "amplitude",
            ipw.BoundedFloatText(
                min=0.01, max=2, step=0.1, description="Amplitude (Å)"
            ),
        )
        self.message = Message()
        super().__init__(
            [
                self.q_point,
                self.mode,
                self.amplitude,
                ipw.HBox([self.animate, self.follow]),
                self.message,
            ]
        )
        self._modes.observe(self._show, ["phonons", "q_points", "chosen"])
        model.job.observe(self._allow, "active")
        self.q_point.observe(self._choose_q_point, "value")
        self.mode.observe(self._choose_mode, "value")
        self._show()

    def _show(self, _change: object = None) -> None:
        modes = self._modes
        self.layout.display = "none" if modes.phonons is None else ""
        name, band = modes.chosen
        if modes.phonons is None or name not in modes.q_points:
            return
        self._showing = True
        names = list(modes.q_points)
        if list(self.q_point.options) != names:
            self.q_point.options = names
        self.q_point.value = name
        titles = [
            (_title(place, frequency), place)
            for place, frequency in enumerate(modes.frequencies_THz)
        ]
        if list(self.mode.options) != titles:
            self.mode.options = titles
        self.mode.value = band
        self._showing = False
        self._allow()

    def _allow(self, _change: object = None) -> None:
        phonons = self._modes.phonons
        stable = phonons is None or phonons.is_stable
        self.follow.disabled = stable or self._model.job.active

    def _choose_q_point(self, change: dict[str, Any]) -> None:
        if not self._showing and change["new"] is not None:
            self._modes.choose(change["new"], 0)

    def _choose_mode(self, change: dict[str, Any]) -> None:
        if not self._showing and change["new"] is not None:
            self._modes.choose(self._modes.chosen[0], change["new"])


def _title(band: int, frequency_THz: float) -> str:
    """A mode in words, counted from 1."""
    return f"{band + 1}: {frequency_THz:.2f} THz"
