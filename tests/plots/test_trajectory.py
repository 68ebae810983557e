from dataclasses import replace

import numpy as np
import pytest

from gnndesign.plots.trajectory import plot_history
from gnndesign.simulation.langevin import Langevin
from gnndesign.simulation.observables import Observables
from gnndesign.simulation.results import Recorder
from gnndesign.simulation.run import run


@pytest.fixture(scope="module")
def moving(lennard_jones):
    """History and averages of argon at 40 K."""
    import ase.build

    argon = ase.build.bulk("Ar", "fcc", 5.3, cubic=True)
    stepper = Langevin(temperature_K=40.0, timestep_fs=2.0)
    recorder, observables = Recorder(1), Observables.create(["averages"], spacing=1)
    for snapshot in run(stepper, lennard_jones, argon, max_steps=200):
        recorder.add(snapshot)
        observables.add(snapshot)
    return recorder.history(0), observables.results(0).averages


def titles(figure):
    return [text.text for text in figure.layout.annotations]


def test_dynamics_shows_energy_temperature_pressure_and_volume(moving):
    history, _ = moving
    assert titles(plot_history(history)) == [
        "Energy (eV)",
        "Temperature (K)",
        "Pressure (GPa)",
        "Cell volume (Å³)",
    ]


def test_the_running_average_ends_at_the_mean_that_the_title_names(moving):
    history, averages = moving
    # So short a run does not know its error.
    mean_with_error = replace(
        averages.temperature_K,
        standard_error=1.5,
        curve_error=np.full_like(averages.temperature_K.curve_mean, 1.5),
    )
    averages = replace(averages, temperature_K=mean_with_error)
    figure = plot_history(history, averages=averages)
    mean = averages.temperature_K.mean
    assert mean == pytest.approx(history.temperature_K.mean())
    assert titles(figure)[1] == f"Temperature (K): {mean:.1f} ± 1.5"
    curves = [trace for trace in figure.data if trace.yaxis == "y2"]
    trace, band, average = curves
    np.testing.assert_allclose(trace.y, history.temperature_K)
    assert average.x[-1] == history.step[-1] == 200
    assert average.y[-1] == pytest.approx(mean)
    assert band.fill == "toself"
    assert max(band.y) > mean > min(band.y)


def test_the_cursor_marks_the_step_of_the_frame(moving):
    history, _ = moving
    figure = plot_history(history, cursor_step=17)
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [mark.x[0] for mark in marks] == [17] * 4
    assert marks[1].y[0] == history.temperature_K[17]
