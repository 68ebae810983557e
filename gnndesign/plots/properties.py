"""A figure of any result of `gnndesign.properties`: `draw`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import plotly.graph_objects as go

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Result

_HOMES: Mapping[str, str] = {
    "EquationOfStateResult": "mechanics:equation_of_state",
    "ElasticityResult": "elastic:elasticity",
    "DiffractionResult": "crystals:diffraction",
    "StructureSummaryResult": "crystals:structure_summary",
    "IntercalationResult": "crystals:intercalation",
    "FormationResult": "formation:formation",
    "CohesionResult": "formation:cohesion",
    "HullResult": "energetics:hull",
    "PointDefectsResult": "energetics:point_defects",
    "SurfacesResult": "energetics:surfaces",
    "AdsorptionResult": "energetics:adsorption",
    "AdhesionResult": "energetics:adhesion",
    "ReactionPathResult": "paths:reaction_path",
    "DissociationResult": "paths:dissociation",
    "PhononResult": "phonons:bands_and_density_of_states",
    "FollowModeResult": "phonons:followed_modes",
    "QuasiHarmonicResult": "heat:quasi_harmonic",
    "ThermalConductivityResult": "heat:thermal_conductivity",
    "MolecularVibrationsResult": "phonons:stick_spectrum",
    "DiffusionResult": "dynamics_properties:diffusion",
    "LiquidStructureResult": "dynamics_properties:liquid_structure",
    "VibrationsMDResult": "dynamics_properties:vibrations_md",
    "DensityTemperatureResult": "dynamics_properties:density_temperature",
    "MeltingResult": "dynamics_properties:melting",
    "ViscosityResult": "dynamics_properties:viscosity",
}
"""Name of a result's class, and the function that draws it."""


def draw(result: Result) -> go.Figure:
    """The figure of a result.

    Raises:
        ParameterError: results of this kind have no figure.
    """
    name = type(result).__name__
    if name not in _HOMES:
        raise ParameterError(
            f"Wanted a result that can be drawn ({', '.join(_HOMES)}), got {name}."
        )
    module, _, function = _HOMES[name].partition(":")
    return getattr(import_module(f"gnndesign.plots.{module}"), function)(result)


def can_draw(result: Result) -> bool:
    """Whether `draw` has a figure of it."""
    return type(result).__name__ in _HOMES
