"""The relax panel."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw
from traitlets import Bool, Enum, Float, Int

from gnndesign.jobs.spec import JobKind
from gnndesign.simulation.cell import CellMode
from gnndesign.simulation.relaxation import DEFAULT_METHOD, METHODS
from gnndesign_widgets.controls import RunBar, button, field
from gnndesign_widgets.estimate import EstimateLine
from gnndesign_widgets.simulation import FIXED_AXES, Endings, SimulationModel

CELLS = {
    "Keep the cell": "none",
    "Isotropic: volume only": str(CellMode.ISOTROPIC),
    "Constant volume: shape only": str(CellMode.CONSTANT_VOLUME),
    "Full: shape and volume": str(CellMode.FULL),
}
_METHODS = {"fire": "FIRE", "lbfgs": "L-BFGS"}


class RelaxModel(SimulationModel):
    """Parameters of a relaxation.

    Attributes:
        method: of `METHODS`.
        cell: what of the cell may change; a value of `CELLS`.
        fixed_axes: lattice vectors that stay; a value of `FIXED_AXES`.
        max_force: eV/Å.
        pressure_GPa: target pressure.
        steps: most steps.
        fix_symmetry: the space group at the end is the one at the start.
        fix_center: the center of mass stays.
    """

    kind = JobKind.RELAX
    method = Enum(METHODS, default_value=DEFAULT_METHOD)
    cell = Enum(list(CELLS.values()), default_value="none")
    fixed_axes = Enum(list(FIXED_AXES.values()), default_value="")
    max_force = Float(0.01)
    pressure_GPa = Float(0.0)
    steps = Int(500)
    fix_symmetry = Bool(default_value=False)
    fix_center = Bool(default_value=False)

    def parameters(self) -> dict[str, Any]:
        """As `relaxation_stepper` takes them, and the number of steps."""
        parameters = {
            "method": self.method,
            "cell": self.cell,
            "max_force": self.max_force,
            "steps": self.steps,
            "fix_symmetry": self.fix_symmetry,
            "fix_center": self.fix_center,
        }
        if self.cell != "none":
            parameters["fixed_axes"] = self.fixed_axes
            parameters["pressure_GPa"] = self.pressure_GPa
        return parameters


class RelaxPanel(ipw.VBox):
    """What a person sees of a `RelaxModel`."""

    def __init__(self, model: RelaxModel) -> None:
        self.model = model
        self.bar = RunBar(model.job, model.start, again=lambda: model.steps)
        self.endings = Endings(model.job)
        take = button(
            "Use result",
            lambda: self.bar.message.attempt(model.take_result),
            tooltip="Put the relaxed structures on the desk",
        )
        methods = [(_METHODS.get(name, name), name) for name in METHODS]
        forms = {
            "method": ipw.Dropdown(options=methods, description="Method"),
            "cell": ipw.Dropdown(options=CELLS, description="Cell"),
            "fixed_axes": ipw.Dropdown(options=FIXED_AXES, description="Fixed axes"),
            "pressure_GPa": ipw.FloatText(step=1.0, description="Pressure (GPa)"),
            "max_force": ipw.BoundedFloatText(
                min=1e-6, max=10, step=0.01, description="Max. force (eV/Å)"
            ),
            "steps": ipw.BoundedIntText(min=1, max=10**6, description="Max. steps"),
            "fixed_atoms": ipw.Text(
                description="Fixed atoms", placeholder="0-7, 12, Cu, tag 1"
            ),
            "fix_symmetry": ipw.Checkbox(description="Keep the space group"),
            "fix_center": ipw.Checkbox(description="Keep the center of mass"),
        }
        self.rows = {name: field(model, name, form) for name, form in forms.items()}
        super().__init__(
            [*self.rows.values(), EstimateLine(model), self.bar, self.endings, take]
        )
        model.observe(self._show_cell, "cell")
        self._show_cell()

    def _show_cell(self, _change: object = None) -> None:
        """A cell that stays has no pressure and no axes."""
        for name in ("fixed_axes", "pressure_GPa"):
            self.rows[name].layout.display = "none" if self.model.cell == "none" else ""
