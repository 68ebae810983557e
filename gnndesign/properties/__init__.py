"""What a laboratory measures, computed with a potential: one property a file.

A property is a frozen dataclass of parameters (`EquationOfState(n_points=11)`) whose
`steps` say what is to be relaxed or evaluated and turn the answers into a result. The
steps of all properties of all structures go through one queue, `compute`. The names
below are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnndesign.properties.adhesion import Adhesion
    from gnndesign.properties.adsorption import Adsorption
    from gnndesign.properties.catalog import new_property
    from gnndesign.properties.defects import PointDefects
    from gnndesign.properties.density_temperature import DensityTemperature
    from gnndesign.properties.diffraction import Diffraction
    from gnndesign.properties.dissociation import Dissociation
    from gnndesign.properties.elasticity import Elasticity
    from gnndesign.properties.energy_above_hull import EnergyAboveHull
    from gnndesign.properties.equation_of_state import EquationOfState
    from gnndesign.properties.follow_mode import FollowMode
    from gnndesign.properties.formation import Cohesion, Formation
    from gnndesign.properties.intercalation import Intercalation
    from gnndesign.properties.liquid_structure import LiquidStructure
    from gnndesign.properties.melting import Melting
    from gnndesign.properties.molecular_vibrations import MolecularVibrations
    from gnndesign.properties.phonons import Phonons
    from gnndesign.properties.quasi_harmonic import QuasiHarmonic
    from gnndesign.properties.reaction_path import ReactionPath
    from gnndesign.properties.structure_summary import StructureSummary
    from gnndesign.properties.surfaces import Surfaces
    from gnndesign.properties.thermal_conductivity import ThermalConductivity
    from gnndesign.properties.transport import Diffusion
    from gnndesign.properties.vibrations_md import VibrationsMD
    from gnndesign.properties.viscosity import Viscosity
    from gnndesign.properties.work import Relaxing

_HOMES = {
    "Adhesion": "adhesion",
    "Adsorption": "adsorption",
    "Cohesion": "formation",
    "DensityTemperature": "density_temperature",
    "Diffraction": "diffraction",
    "Diffusion": "transport",
    "Dissociation": "dissociation",
    "Elasticity": "elasticity",
    "EnergyAboveHull": "energy_above_hull",
    "EquationOfState": "equation_of_state",
    "FollowMode": "follow_mode",
    "Formation": "formation",
    "Intercalation": "intercalation",
    "LiquidStructure": "liquid_structure",
    "Melting": "melting",
    "MolecularVibrations": "molecular_vibrations",
    "Phonons": "phonons",
    "PointDefects": "defects",
    "QuasiHarmonic": "quasi_harmonic",
    "ReactionPath": "reaction_path",
    "Relaxing": "work",
    "StructureSummary": "structure_summary",
    "Surfaces": "surfaces",
    "ThermalConductivity": "thermal_conductivity",
    "VibrationsMD": "vibrations_md",
    "Viscosity": "viscosity",
    "new_property": "catalog",
}

__all__ = [
    "Adhesion",
    "Adsorption",
    "Cohesion",
    "DensityTemperature",
    "Diffraction",
    "Diffusion",
    "Dissociation",
    "Elasticity",
    "EnergyAboveHull",
    "EquationOfState",
    "FollowMode",
    "Formation",
    "Intercalation",
    "LiquidStructure",
    "Melting",
    "MolecularVibrations",
    "Phonons",
    "PointDefects",
    "QuasiHarmonic",
    "ReactionPath",
    "Relaxing",
    "StructureSummary",
    "Surfaces",
    "ThermalConductivity",
    "VibrationsMD",
    "Viscosity",
    "new_property",
]


def __getattr__(name: str) -> object:
    """Import a name's module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gnndesign.properties' has no attribute {name!r}")
    value = getattr(import_module(f"gnndesign.properties.{_HOMES[name]}"), name)
    # A module of this name, `compute`, must not hide the function.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
