"""Figures of observables show the numbers they are given, and no error where none is."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import value_with_error
from gnndesign.plots.observables import (
    plot_averages,
    plot_msd,
    plot_rdf,
    plot_vacf,
)
from gnndesign.simulation.observables.averages import Average, Averages
from gnndesign.simulation.observables.diffusion import Diffusion
from gnndesign.simulation.observables.mean_squared_displacement import (
    MeanSquaredDisplacement,
)
from gnndesign.simulation.observables.radial_distribution import RadialDistribution
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelation,
)

NAMES = Averages.__dataclass_fields__


@pytest.fixture
def averages():
    """Of a run whose temperature has an error and whose pressure has none."""
    heat = Average(
        mean=300.0,
        standard_error=1.5,
        statistical_inefficiency=10.0,
        correlation_time_fs=5.0,
        n_samples=100,
        message="",
        curve_time_fs=np.array([0.0, 50.0, 100.0]),
        curve_mean=np.array([310.0, 305.0, 300.0]),
        curve_error=np.array([9.0, 3.0, 1.5]),
    )
    pressure = replace(
        heat,
        mean=0.25,
        standard_error=None,
        curve_mean=np.array([0.3, 0.2, 0.25]),
        curve_error=np.full(3, np.nan),
        message="too few",
    )
    return Averages(
        **{
            **dict.fromkeys(NAMES),
            "temperature_K": heat,
            "pressure_GPa": pressure,
        }
    )


@pytest.fixture
def rdf():
    r = np.linspace(0.05, 3.95, 40)
    g = np.stack([1.0 + np.sin(k * r) for k in (1, 2, 3, 4)])
    return RadialDistribution(
        pairs=(("all", "all"), ("O", "O"), ("O", "Si"), ("Si", "Si")),
        r=r,
        g=g,
        g_error=np.full(g.shape, 0.1),
        r_outer=r + 0.05,
        coordination=np.cumsum(g, 1),
        coordination_error=np.full(g.shape, 0.1),
        n_atoms={"all": 9, "O": 6, "Si": 3},
        n_samples=50,
        every=10,
        message="",
    )


@pytest.fixture
def msd():
    lag = np.array([10.0, 20.0, 40.0, 80.0, 160.0])
    line = 0.1 + 6.0 * 0.5e-3 * lag
    unknown = np.array([[0.01, 0.02, 0.03, np.nan, np.nan]])
    return MeanSquaredDisplacement(
        species=("H", "O"),
        lag_fs=lag,
        displacement=np.stack([line, 0.1 * line]),
        displacement_error=np.repeat(unknown, 2, axis=0),
        diffusion=(
            Diffusion(
                coefficient_A2_per_ps=0.5,
                coefficient_cm2_per_s=5e-5,
                error_A2_per_ps=0.02,
                error_cm2_per_s=2e-6,
                window_fs=(10.0, 40.0),
                intercept=0.1,
            ),
            Diffusion(message="Not linear in time."),
        ),
        n_samples=1000,
    )


@pytest.fixture
def vacf():
    lag = np.arange(100.0)
    correlation = np.exp(-lag / 20.0)[None].repeat(2, 0)
    frequency = np.linspace(0.0, 50.0, 100)
    states = np.exp(-((frequency - 10.0) ** 2))[None].repeat(2, 0)
    return VelocityAutocorrelation(
        species=("all", "Si"),
        lag_fs=lag,
        correlation=correlation,
        correlation_error=np.full((2, 100), 0.01),
        frequency_THz=frequency,
        density_of_states=states,
        density_of_states_error=np.full((2, 100), np.nan),
        n_samples=1000,
        message="",
    )


def bands(figure):
    return [trace for trace in figure.data if trace.fill == "toself"]


def test_averages_are_drawn_with_a_band_of_one_standard_error(averages):
    figure = plot_averages(averages)
    titles = [a.text for a in figure.layout.annotations]
    assert titles == ["Temperature: 300.0 ± 1.5 K", "Pressure: 0.25 GPa"]
    (band,) = bands(figure)
    np.testing.assert_allclose(band.y, [319, 308, 301.5, 298.5, 302, 301])
    lines = [trace for trace in figure.data if trace.fill is None]
    np.testing.assert_allclose(lines[0].x, [0.0, 0.05, 0.1])
    np.testing.assert_allclose(lines[1].y, [0.3, 0.2, 0.25])


def test_chosen_averages_alone_are_drawn(averages):
    figure = plot_averages(averages, ["pressure_GPa", "volume"])
    assert [a.text for a in figure.layout.annotations] == ["Pressure: 0.25 GPa"]
    with pytest.raises(ParameterError, match="'beauty'"):
        plot_averages(averages, ["beauty"])


def test_every_pair_has_its_function_and_its_coordination_on_the_right(rdf):
    figure = plot_rdf(rdf)
    left = [t for t in figure.data if t.yaxis != "y2" and t.fill is None]
    right = [t for t in figure.data if t.yaxis == "y2"]
    assert [t.name for t in left] == ["O–O", "O–Si", "Si–Si"]
    np.testing.assert_array_equal(left[1].y, rdf.g[2])
    np.testing.assert_array_equal(right[1].y, rdf.coordination[2])
    np.testing.assert_array_equal(right[1].x, rdf.r_outer)
    assert len(bands(figure)) == 3
    assert figure.layout.yaxis.range[0] == figure.layout.yaxis2.range[0] == 0.0
    # From the other side: twice as many O as Si.
    (around_silicon,) = [
        t for t in plot_rdf(rdf, [("Si", "O")]).data if t.yaxis == "y2"
    ]
    np.testing.assert_allclose(around_silicon.y, 2 * rdf.coordination[2])


def test_without_a_density_the_coordination_is_left(rdf):
    nothing = np.full(rdf.g.shape, np.nan)
    figure = plot_rdf(replace(rdf, g=nothing, g_error=nothing), [("O", "O")])
    (only,) = figure.data
    assert only.yaxis == "y2"
    assert only.showlegend


def test_the_fitted_line_and_the_coefficient_are_shown(msd):
    figure = plot_msd(msd)
    names = [t.name for t in figure.data if t.name]
    assert names == [
        "H: D = (5.00 ± 0.20) × 10⁻⁵ cm²/s",
        "O: no diffusion coefficient yet",
    ]
    (fit,) = [t for t in figure.data if t.line.width == 5]
    assert fit.x[0] == pytest.approx(0.01)
    assert fit.x[-1] == pytest.approx(0.04)
    np.testing.assert_allclose(fit.y, 0.1 + 3.0 * np.array(fit.x))
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"


def test_lags_without_an_error_are_dotted(msd):
    figure = plot_msd(msd)
    dotted = [t for t in figure.data if t.line.dash == "dot"]
    np.testing.assert_allclose(dotted[0].x, [0.04, 0.08, 0.16])
    solid = next(t for t in figure.data if t.name and t.name.startswith("H"))
    np.testing.assert_allclose(solid.x, [0.01, 0.02, 0.04])


def test_correlation_and_spectrum_stand_side_by_side(vacf):
    figure = plot_vacf(vacf)
    lines = [t for t in figure.data if t.fill is None]
    # All atoms are silicon: one line in each panel, and one band: the spectrum's
    # error is not known.
    assert len(lines) == 2
    assert len(bands(figure)) == 1
    np.testing.assert_array_equal(lines[0].y, vacf.correlation[1])
    np.testing.assert_array_equal(lines[1].x, vacf.frequency_THz)
    assert 11.0 < figure.layout.xaxis2.range[1] < 15.0


def test_figures_of_nothing_are_empty_and_not_errors(rdf, msd, vacf):
    nothing = np.zeros((2, 0))
    empty = {
        "correlation": nothing,
        "correlation_error": nothing,
        "lag_fs": nothing[0],
        "density_of_states": nothing,
        "density_of_states_error": nothing,
        "frequency_THz": nothing[0],
    }
    still = {
        "lag_fs": nothing[0],
        "displacement": nothing,
        "displacement_error": nothing,
        "diffusion": (Diffusion(), Diffusion()),
    }
    figures = [
        plot_averages(Averages(**dict.fromkeys(NAMES))),
        plot_vacf(replace(vacf, **empty)),
        plot_msd(replace(msd, **still)),
        plot_rdf(rdf, []),
    ]
    for figure in figures:
        assert isinstance(figure, go.Figure)
        assert figure.to_json()


def test_figures_are_readable_on_light_and_dark_pages(averages, rdf, msd, vacf):
    for figure in (
        plot_averages(averages),
        plot_rdf(rdf),
        plot_msd(msd),
        plot_vacf(vacf),
    ):
        assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
        assert figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
        assert figure.layout.uirevision


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (300.234, 1.42, "300.2 ± 1.4"),
        (300.234, 14.2, "300 ± 14"),
        (12345.0, 250.0, "12345 ± 250"),
        (-3.4, 0.0021, "-3.4000 ± 0.0021"),
        (4.4e-5, 1.9e-6, "(4.40 ± 0.19) × 10⁻⁵"),
        (1e-9, 3e-7, "(0.0 ± 3.0) × 10⁻⁷"),
        (5.3, 0.0, "5.3"),
        (5.3333, None, "5.333"),
    ],
)
def test_a_value_has_the_digits_that_its_error_leaves(value, error, text):
    assert value_with_error(value, error) == text
