"""A quantity that stays, or goes from one value to another while a simulation runs."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw
from traitlets import HasTraits

from gnndesign_widgets.controls import field


def constant_or_ramp(
    start: float, end: float, over_ps: float, *, ramps: bool
) -> float | dict[str, list[float]]:
    """As the parameters of a job take it: a number, or a ramp's times and values."""
    if not ramps:
        return start
    return {"times_fs": [0.0, 1000.0 * over_ps], "values": [start, end]}


class ScheduleForm(ipw.VBox):
    """A number, and behind a check box where it goes and how long that takes.

    The model has, for a quantity such as temperature in K, the traits temperature_K,
    temperature_ramps, temperature_end_K and temperature_over_ps.
    """

    def __init__(
        self,
        model: HasTraits,
        *,
        quantity: str,
        unit: str,
        title: str,
        **number: Any,
    ) -> None:
        start = ipw.BoundedFloatText(description=f"{title} ({unit})", **number)
        self.start = field(model, f"{quantity}_{unit}", start)
        self.start.layout.flex = "1 1 auto"
        self.ramps = ipw.Checkbox(description="Ramp", indent=False)
        field(model, f"{quantity}_ramps", self.ramps)
        self.ramps.layout.width = "75px"
        self.ramps.layout.margin = "2px 2px 2px 10px"
        end = ipw.BoundedFloatText(description=f"to ({unit})", **number)
        over = ipw.BoundedFloatText(
            min=1e-3, max=1e6, step=1.0, description="within (ps)"
        )
        self.end = field(model, f"{quantity}_end_{unit}", end)
        self.over = field(model, f"{quantity}_over_ps", over)
        self.row = ipw.HBox([self.start, self.ramps])
        self.ramps.observe(self._show, "value")
        super().__init__([self.row])
        self._show()

    def offer_ramp(self, *, offer: bool) -> None:
        """Show the check box, or hide it with what is behind it."""
        self.row.children = [self.start, self.ramps] if offer else [self.start]
        self._show()

    def _show(self, _change: object = None) -> None:
        ramping = self.ramps.value and self.ramps in self.row.children
        self.children = [self.row, self.end, self.over] if ramping else [self.row]
