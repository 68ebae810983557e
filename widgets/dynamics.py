"""The dynamics panel."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw
from traitlets import Enum, Float, Int

from gnndesign.jobs.spec import JobKind
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign_widgets.controls import RunBar, button, field
from gnndesign_widgets.simulation import SimulationModel

_TITLES = {"langevin": "NVT (Langevin)", "nve": "NVE (velocity Verlet)"}


class DynamicsModel(SimulationModel):
    """Parameters of molecular dynamics.

    Attributes:
        ensemble: "langevin" or "nve".
        temperature_K: of the thermostat, or of the momenta drawn at the start.
        timestep_fs: fs.
        steps: number of steps.
        friction_per_ps: of the Langevin thermostat, 1/ps.
        record_every: steps between frames.
        seed: of all random numbers.
    """

    kind = JobKind.DYNAMICS
    ensemble = Enum(list(ENSEMBLES), default_value="langevin")
    temperature_K = Float(300.0)
    timestep_fs = Float(1.0)
    steps = Int(1000)
    friction_per_ps = Float(10.0)
    record_every = Int(1)
    seed = Int(0)

    def parameters(self) -> dict[str, Any]:
        """As `dynamics_stepper` takes them, and the numbers of steps."""
        names = [
            "ensemble",
            "temperature_K",
            "timestep_fs",
            "steps",
            "record_every",
            "seed",
        ]
        if self.ensemble == "langevin":
            names.append("friction_per_ps")
        return {name: getattr(self, name) for name in names}


class DynamicsPanel(ipw.VBox):
    """What a person sees of a `DynamicsModel`."""

    def __init__(self, model: DynamicsModel) -> None:
        self.bar = RunBar(model.job, model.start, again=lambda: model.steps)
        take = button(
            "Use last frame",
            lambda: self.bar.message.attempt(model.take_result),
            tooltip="Put the last frame, with its momenta, on the desk",
        )
        ensembles = [(title, name) for name, title in _TITLES.items()]
        number = ipw.BoundedFloatText
        whole = ipw.BoundedIntText
        fields = {
            "ensemble": ipw.Dropdown(options=ensembles, description="Ensemble"),
            "temperature_K": number(
                min=0, max=1e5, step=50, description="Temperature (K)"
            ),
            "timestep_fs": number(
                min=0.01, max=20, step=0.5, description="Time step (fs)"
            ),
            "steps": whole(min=1, max=10**9, description="Steps"),
            "record_every": whole(min=1, max=10**6, description="Frame every"),
            "friction_per_ps": number(
                min=1e-3, max=1e4, step=1, description="Friction (1/ps)"
            ),
            "seed": whole(min=0, max=2**31, description="Seed"),
        }
        rows = [field(model, name, widget) for name, widget in fields.items()]
        super().__init__([*rows, self.bar, take])
