import numpy as np
import pytest

from gnndesign.plots.properties import draw
from gnndesign.properties.density_temperature import DensityTemperatureResult
from gnndesign.properties.melting import MeltingResult
from gnndesign.properties.straight_line import fit_line
from gnndesign.properties.transport import DiffusionResult, arrhenius


def test_diffusion_shows_displacements_and_the_line_of_arrhenius():
    heats = np.array([600.0, 800.0])
    coefficients = np.array([[1e-5], [3e-5]])
    errors = 0.1 * coefficients
    lag_fs = np.linspace(100, 1000, 10)
    result = DiffusionResult(
        species=("Li",),
        temperatures_K=heats,
        coefficients_cm2_per_s=coefficients,
        errors_cm2_per_s=errors,
        lag_fs=lag_fs,
        displacements=np.ones((2, 1, 10)) * lag_fs,
        displacement_errors=np.ones((2, 1, 10)),
        arrhenius={"Li": arrhenius(heats, coefficients[:, 0], errors[:, 0])},
    )
    figure = draw(result)
    named = [trace.name for trace in figure.data if trace.name]
    assert named[0].startswith("Li, 600 K")
    assert named[-1].endswith("eV")
    points, line = figure.data[-2:]
    assert line.y == pytest.approx(points.y)


def test_the_line_of_the_expansion_goes_through_the_densities():
    heats, volumes = np.array([300.0, 400.0, 500.0]), np.array([100.0, 101.0, 102.01])
    result = DensityTemperatureResult(
        pressure_GPa=0.0,
        temperatures_K=heats,
        volumes=volumes,
        volume_errors=np.full(3, 0.1),
        densities_g_per_cm3=200 / volumes,
        density_errors_g_per_cm3=np.full(3, 0.01),
        expansion_per_K=1e-4,
        expansion_error_per_K=1e-6,
        line=fit_line(heats, np.log(volumes), np.full(3, 1e-3)),
    )
    points, line = draw(result).data
    assert np.interp(points.x, line.x, line.y) == pytest.approx(points.y, rel=1e-4)


def test_who_wins_is_written_beside_each_temperature():
    result = MeltingResult(
        melting_K=75.0,
        melting_error_K=5.0,
        solid_K=70.0,
        liquid_K=80.0,
        temperatures_K=np.array([70.0, 80.0]),
        winners=("solid", "liquid"),
        time_ps=np.arange(3.0),
        order=np.zeros((2, 3)),
        order_of_solid=np.ones((2, 3)),
        atomic_volumes=np.ones((2, 3)),
        n_atoms=10,
    )
    named = [trace.name for trace in draw(result).data if trace.name]
    assert named == ["70 K: solid", "80 K: liquid"]
