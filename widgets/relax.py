"""The relax panel."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw
from traitlets import Enum, Float, Int

from gnndesign.jobs.spec import JobKind
from gnndesign.simulation.cell import CellMode
from gnndesign_widgets.controls import RunBar, button, field
from gnndesign_widgets.simulation import SimulationModel

CELLS = {
    "Keep the cell": "none",
    "Isotropic: volume only": str(CellMode.ISOTROPIC),
    "Constant volume: shape only": str(CellMode.CONSTANT_VOLUME),
    "Full: shape and volume": str(CellMode.FULL),
}


class RelaxModel(SimulationModel):
    """Parameters of a relaxation.

    Attributes:
        cell: what of the cell may change; a value of `CELLS`.
        max_force: eV/Å.
        pressure_GPa: target pressure.
        steps: most steps.
    """

    kind = JobKind.RELAX
    cell = Enum(list(CELLS.values()), default_value="none")
    max_force = Float(0.01)
    pressure_GPa = Float(0.0)
    steps = Int(500)

    def parameters(self) -> dict[str, Any]:
        """As `FIRE` takes them, and the number of steps."""
        return {
            "cell": self.cell,
            "max_force": self.max_force,
            "pressure_GPa": self.pressure_GPa,
            "steps": self.steps,
        }


class RelaxPanel(ipw.VBox):
    """What a person sees of a `RelaxModel`."""

    def __init__(self, model: RelaxModel) -> None:
        self.bar = RunBar(model.job, model.start, again=lambda: model.steps)
        take = button(
            "Use result",
            lambda: self.bar.message.attempt(model.take_result),
            tooltip="Put the relaxed structures on the desk",
        )
        super().__init__(
            [
                field(model, "cell", ipw.Dropdown(options=CELLS, description="Cell")),
                field(
                    model,
                    "max_force",
                    ipw.BoundedFloatText(
                        min=1e-6, max=10, step=0.01, description="Max. force (eV/Å)"
                    ),
                ),
                field(
                    model,
                    "pressure_GPa",
                    ipw.FloatText(step=1.0, description="Pressure (GPa)"),
                ),
                field(
                    model,
                    "steps",
                    ipw.BoundedIntText(min=1, max=10**6, description="Max. steps"),
                ),
                self.bar,
                take,
            ]
        )
