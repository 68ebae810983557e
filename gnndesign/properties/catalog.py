"""The properties on offer by name, and their parameters as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Property
from gnndesign.properties.plain import from_plain

_HOMES: Mapping[str, str] = {
    "equation_of_state": "equation_of_state:EquationOfState",
    "dissociation": "dissociation:Dissociation",
    "elasticity": "elasticity:Elasticity",
    "diffraction": "diffraction:Diffraction",
    "structure_summary": "structure_summary:StructureSummary",
    "intercalation": "intercalation:Intercalation",
    "phonons": "phonons:Phonons",
    "follow_mode": "follow_mode:FollowMode",
    "quasi_harmonic": "quasi_harmonic:QuasiHarmonic",
    "thermal_conductivity": "thermal_conductivity:ThermalConductivity",
    "molecular_vibrations": "molecular_vibrations:MolecularVibrations",
    "cohesion": "formation:Cohesion",
    "formation": "formation:Formation",
    "energy_above_hull": "energy_above_hull:EnergyAboveHull",
    "point_defects": "defects:PointDefects",
    "surfaces": "surfaces:Surfaces",
    "adsorption": "adsorption:Adsorption",
    "adhesion": "adhesion:Adhesion",
    "reaction_path": "reaction_path:ReactionPath",
    "diffusion": "transport:Diffusion",
    "liquid_structure": "liquid_structure:LiquidStructure",
    "vibrations_md": "vibrations_md:VibrationsMD",
    "density_temperature": "density_temperature:DensityTemperature",
    "melting": "melting:Melting",
    "viscosity": "viscosity:Viscosity",
}
"""Kind, and where its class is; imported when it is asked for."""

PROPERTIES = tuple(_HOMES)
"""Kinds of properties, in the order in which they are shown."""


def property_class(kind: str) -> type[Property[Any]]:
    """The class of a kind.

    Raises:
        ParameterError: there is none.
    """
    if kind not in _HOMES:
        close = get_close_matches(kind, PROPERTIES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ParameterError(
            f"Wanted a property in {', '.join(PROPERTIES)}, got {kind!r}.{hint}"
        )
    module, _, name = _HOMES[kind].partition(":")
    return getattr(import_module(f"gnndesign.properties.{module}"), name)


def new_property(kind: str, **parameters: Any) -> Property[Any]:
    """A property by its kind.

    Args:
        kind: in `PROPERTIES`.
        **parameters: fields of its class; what `to_plain` gave is understood too.

    Raises:
        ParameterError: no such kind or parameter, or one that is out of range.
    """
    wanted = property_class(kind)
    try:
        return wanted(**{name: from_plain(value) for name, value in parameters.items()})
    except TypeError as error:
        raise ParameterError(f"Property '{kind}': {error}") from error
