import numpy as np
import pytest

from gnndesign.errors import FitError
from gnndesign.properties.straight_line import fit_line
from gnndesign.properties.transport import arrhenius, yeh_hummer_cm2_per_s
from gnndesign.units import BOLTZMANN_EV_PER_K


def test_slope_and_error_are_those_of_least_squares():
    # Through x = -1, 0, 1 with equal errors s the slope has the error s / sqrt(2).
    x = np.array([-1.0, 0.0, 1.0])
    line = fit_line(x, 2.0 + 3.0 * x, np.full(3, 0.1))
    assert line.slope == pytest.approx(3.0)
    assert line.intercept == pytest.approx(2.0)
    assert line.slope_error == pytest.approx(0.1 / np.sqrt(2))
    assert line.intercept_error == pytest.approx(0.1 / np.sqrt(3))


def test_slopes_of_noisy_lines_scatter_as_their_errors_say():
    rng = np.random.default_rng(0)
    x, errors = np.linspace(1, 2, 6), np.linspace(0.1, 0.3, 6)
    lines = [
        fit_line(x, 4.0 * x + errors * rng.standard_normal(6), errors)
        for _ in range(400)
    ]
    pulls = np.array([(line.slope - 4.0) / line.slope_error for line in lines])
    assert abs(pulls.mean()) < 0.2
    assert 0.7 < pulls.std() < 1.1


def test_what_is_no_line_has_no_slope():
    x = np.linspace(0, 1, 5)
    with pytest.raises(FitError, match="no straight line"):
        fit_line(x, x**2, np.full(5, 1e-3))
    with pytest.raises(FitError, match="two points"):
        fit_line(x[:1], x[:1], x[:1] + 1)


def test_the_activation_energy_is_given_back():
    heats = np.array([600.0, 800.0, 1000.0])
    values = 3e-3 * np.exp(-0.4 / (BOLTZMANN_EV_PER_K * heats))
    fit = arrhenius(heats, values, 0.05 * values)
    assert fit.activation_energy == pytest.approx(0.4)
    assert fit.prefactor_cm2_per_s == pytest.approx(3e-3)
    x = 1 / (BOLTZMANN_EV_PER_K * heats)
    wanted = 0.05 / np.sqrt(((x - x.mean()) ** 2).sum())
    assert fit.activation_energy_error == pytest.approx(wanted)
    with pytest.raises(FitError, match="from zero"):
        arrhenius(heats, values, values)


def test_a_cell_twice_as_long_takes_half_as_much_from_diffusion():
    # k_B T xi / (6 pi eta L) for 300 K, 1 mPa s, 2 nm: 3.117e-10 m^2/s.
    small = yeh_hummer_cm2_per_s(300.0, 1.0, 20.0**3)
    assert small == pytest.approx(3.117e-6, rel=1e-3)
    assert yeh_hummer_cm2_per_s(300.0, 1.0, 40.0**3) == pytest.approx(small / 2)
