"""The dynamics panel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import ase
import ipywidgets as ipw
from traitlets import Bool, Enum, Float, Int, Tuple

from gnndesign.jobs.spec import JobKind
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign.simulation.trajectory import CONTENTS
from gnndesign_widgets.controls import RunBar, button, field
from gnndesign_widgets.estimate import EstimateLine
from gnndesign_widgets.observables import ObservableBoxes
from gnndesign_widgets.schedule import ScheduleForm, constant_or_ramp
from gnndesign_widgets.simulation import FIXED_AXES, Endings, SimulationModel

ENSEMBLE_TITLES = {
    "nve": "NVE (velocity Verlet)",
    "langevin": "NVT (Langevin)",
    "nose_hoover": "NVT (Nosé-Hoover chain)",
    "bussi": "NVT (stochastic velocity rescaling)",
    "npt_mtk": "NPT (Martyna-Tobias-Klein)",
    "npt_cell_rescaling": "NPT (stochastic cell rescaling)",
}
DEUTERIUM_MASS = 2.014
"""amu"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """The form of a parameter that is one number."""

    title: str
    least: float
    most: float
    step: float
    whole: bool = False

    def widget(self) -> ipw.DOMWidget:
        """An empty field."""
        form = ipw.BoundedIntText if self.whole else ipw.BoundedFloatText
        return form(
            min=self.least, max=self.most, step=self.step, description=self.title
        )


NUMBERS = {
    "timestep_fs": Number(title="Time step (fs)", least=0.01, most=20, step=0.5),
    "friction_per_ps": Number(title="Friction (1/ps)", least=1e-3, most=1e4, step=1),
    "thermostat_time_fs": Number(
        title="Thermostat time (fs)", least=1, most=1e6, step=50
    ),
    "chain_length": Number(title="Chain length", least=1, most=20, step=1, whole=True),
    "barostat_time_fs": Number(title="Barostat time (fs)", least=1, most=1e7, step=100),
    "compressibility_per_GPa": Number(
        title="Compressibility (1/GPa)", least=1e-6, most=100, step=0.005
    ),
    "max_energy_drift_meV": Number(
        title="Max. drift (meV/atom)", least=0.01, most=1e4, step=10
    ),
    "seed": Number(title="Seed", least=0, most=2**31, step=1, whole=True),
}
"""Parameters of ensembles that are one number, by the name of their field."""

LEFT_TO_SCRIPTS = ("chain_order", "chain_substeps")
"""Parameters of ensembles that the panel leaves as they are."""


class DynamicsModel(SimulationModel):
    """Parameters of molecular dynamics.

    Attributes:
        ensemble: of `ENSEMBLES`.
        temperature_K: of the thermostat, or of the momenta drawn at the start.
        temperature_ramps: whether it goes to `temperature_end_K` within
            `temperature_over_ps`.
        pressure_GPa: of the barostat; with a ramp as well.
        cell: what of the cell a barostat changes, "isotropic" or "full".
        fixed_axes: lattice vectors that a barostat keeps; a value of `FIXED_AXES`.
        timestep_fs: fs.
        steps: number of steps.
        record_every: steps between frames.
        contents: of the frames, "full" or "compact".
        friction_per_ps: of the Langevin thermostat, 1/ps.
        thermostat_time_fs, chain_length: of other thermostats.
        barostat_time_fs, compressibility_per_GPa: of barostats.
        max_energy_drift_meV: per atom, at constant energy; farther off, it is stopped.
        seed: of all random numbers.
        replicas: every structure goes so many times, with other random numbers.
        deuterium: hydrogen weighs 2.014 amu.
        observed: names of `OBSERVABLES`.
        observe_after_ps: until then nothing is observed.
    """

    kind = JobKind.DYNAMICS
    ensemble = Enum(list(ENSEMBLES), default_value="langevin")
    temperature_K = Float(300.0)
    temperature_ramps = Bool(default_value=False)
    temperature_end_K = Float(600.0)
    temperature_over_ps = Float(1.0)
    pressure_GPa = Float(0.0)
    pressure_ramps = Bool(default_value=False)
    pressure_end_GPa = Float(1.0)
    pressure_over_ps = Float(1.0)
    cell = Enum(["isotropic", "full"], default_value="isotropic")
    fixed_axes = Enum(list(FIXED_AXES.values()), default_value="")
    timestep_fs = Float(1.0)
    steps = Int(1000)
    record_every = Int(1)
    contents = Enum(CONTENTS, default_value="full")
    friction_per_ps = Float(10.0)
    chain_length = Int(3)
    thermostat_time_fs = Float(100.0)
    barostat_time_fs = Float(1000.0)
    compressibility_per_GPa = Float(0.01)
    max_energy_drift_meV = Float(20.0)
    seed = Int(0)
    replicas = Int(1)
    deuterium = Bool(default_value=False)
    observe_after_ps = Float(0.0)
    observed = Tuple(default_value=("averages", "rdf", "msd"))

    @property
    def ensemble_fields(self) -> list[str]:
        """The parameters that the ensemble has."""
        names = [field.name for field in fields(ENSEMBLES[self.ensemble])]
        return [name for name in names if name not in LEFT_TO_SCRIPTS]

    def parameters(self) -> dict[str, Any]:
        """As `dynamics_stepper` takes them, and what belongs to the job."""
        parameters = {name: getattr(self, name) for name in self.ensemble_fields}
        for name, quantity in (
            ("temperature_K", "temperature"),
            ("pressure_GPa", "pressure"),
        ):
            if name in parameters:
                parameters[name] = self._schedule(quantity, name)
        parameters |= {
            "ensemble": self.ensemble,
            "steps": self.steps,
            "record_every": self.record_every,
            "contents": self.contents,
        }
        if self.deuterium:
            parameters["masses"] = {"H": DEUTERIUM_MASS}
        if self.observed:
            parameters["observe"] = list(self.observed)
            parameters["observe_after_fs"] = 1000.0 * self.observe_after_ps
        return parameters

    def structures(self) -> list[ase.Atoms]:
        """Every chosen structure as many times as there are replicas."""
        return [atoms for atoms in super().structures() for _ in range(self.replicas)]

    def _schedule(self, quantity: str, name: str) -> float | dict[str, list[float]]:
        unit = name.removeprefix(f"{quantity}_")
        # At constant energy it is that of the momenta at the start.
        ramps = getattr(self, f"{quantity}_ramps") and self.ensemble != "nve"
        return constant_or_ramp(
            getattr(self, name),
            getattr(self, f"{quantity}_end_{unit}"),
            getattr(self, f"{quantity}_over_ps"),
            ramps=ramps,
        )


class DynamicsPanel(ipw.VBox):
    """What a person sees of a `DynamicsModel`."""

    def __init__(self, model: DynamicsModel) -> None:
        self.model = model
        self.bar = RunBar(model.job, model.start, again=lambda: model.steps)
        self.endings = Endings(model.job)
        take = button(
            "Use last frame",
            lambda: self.bar.message.attempt(model.take_result),
            tooltip="Put the last frame, with its momenta, on the desk",
        )
        self.forms = _ensemble_forms(model)
        self.of_ensemble = ipw.VBox()
        super().__init__(
            [
                field(model, "ensemble", _ensemble_choice()),
                self.of_ensemble,
                *_job_forms(model),
                ObservableBoxes(model),
                EstimateLine(model),
                self.bar,
                self.endings,
                take,
            ]
        )
        model.observe(self._show_fields, "ensemble")
        self._show_fields()

    def _show_fields(self, _change: object = None) -> None:
        self.forms["temperature_K"].offer_ramp(offer=self.model.ensemble != "nve")
        there = self.model.ensemble_fields
        self.of_ensemble.children = [
            form for name, form in self.forms.items() if name in there
        ]


def _ensemble_choice() -> ipw.Dropdown:
    options = [(ENSEMBLE_TITLES.get(name, name), name) for name in ENSEMBLES]
    return ipw.Dropdown(options=options, description="Ensemble")


def _ensemble_forms(model: DynamicsModel) -> dict[str, Any]:
    """The form of every parameter of an ensemble, in the order of the panel."""
    cells = {"Volume only": "isotropic", "Shape and volume": "full"}
    numbers = {
        name: field(model, name, number.widget()) for name, number in NUMBERS.items()
    }
    return {
        "temperature_K": ScheduleForm(
            model,
            quantity="temperature",
            unit="K",
            title="Temperature",
            min=0,
            max=1e5,
            step=50,
        ),
        "pressure_GPa": ScheduleForm(
            model,
            quantity="pressure",
            unit="GPa",
            title="Pressure",
            min=-1e4,
            max=1e4,
            step=0.5,
        ),
        "timestep_fs": numbers.pop("timestep_fs"),
        "cell": field(
            model, "cell", ipw.Dropdown(options=cells, description="Cell changes")
        ),
        "fixed_axes": field(
            model,
            "fixed_axes",
            ipw.Dropdown(options=FIXED_AXES, description="Fixed axes"),
        ),
        **numbers,
    }


def _job_forms(model: DynamicsModel) -> list[ipw.DOMWidget]:
    whole = ipw.BoundedIntText
    forms = {
        "steps": whole(min=1, max=10**9, description="Steps"),
        "record_every": whole(min=1, max=10**6, description="Frame every"),
        "contents": ipw.Dropdown(
            options={"everything": "full", "no forces, single precision": "compact"},
            description="A frame has",
        ),
        "replicas": whole(min=1, max=10**4, description="Replicas"),
        "fixed_atoms": ipw.Text(
            description="Fixed atoms", placeholder="0-7, 12, Cu, tag 1"
        ),
        "deuterium": ipw.Checkbox(description="D for H (2.014 amu)"),
        "observe_after_ps": ipw.BoundedFloatText(
            min=0, max=1e6, step=1, description="Observe after (ps)"
        ),
    }
    return [field(model, name, form) for name, form in forms.items()]
