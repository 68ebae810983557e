"""Figures of learning show the numbers they are given."""

import math

import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.learning import learning_curves, parity_plots
from gnndesign.plots.violations import plot_rotation_curves, plot_violations
from gnndesign.training.evaluation import Errors, Parity
from gnndesign.training.reports import EpochReport
from gnndesign.training.violations import RotationCurve, Violation


def history(scores, *, stress=0.5):
    reports = []
    for epoch, score in enumerate(scores, 1):
        errors = Errors(
            energy_mae_meV=10.0 * score,
            energy_rmse_meV=12.0 * score,
            forces_mae_meV_per_A=100.0 * score,
            forces_rmse_meV_per_A=120.0 * score,
            stress_mae_GPa=stress,
            stress_rmse_GPa=stress,
            n_structures=3,
            n_atoms=9,
        )
        reports.append(
            EpochReport(
                epoch=epoch,
                loss=0.9 * score,
                validation=errors,
                score=score,
                learning_rate=1e-3,
                seconds=2.0,
                structures_per_s=5.0,
                is_best=score == min(scores[:epoch]),
            )
        )
    return reports


def titles(figure):
    return [note.text for note in figure.layout.annotations]


def test_errors_by_the_epoch_are_drawn_on_logarithmic_axes_with_the_best_marked():
    figure = learning_curves(history([4.0, 1.0, 2.0]))
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines"}
    np.testing.assert_allclose(lines["training loss"].y, [3.6, 0.9, 1.8])
    np.testing.assert_allclose(lines["validation loss"].y, [4.0, 1.0, 2.0])
    stars = [t for t in figure.data if t.marker.symbol == "star"]
    assert {tuple(star.x) for star in stars} == {(2,)}
    assert sorted(float(star.y[0]) for star in stars) == [0.5, 1.0, 10.0, 100.0]
    assert figure.layout.yaxis.type == figure.layout.yaxis3.type == "log"
    assert "Energy MAE (meV/atom)" in titles(figure)


def test_trainings_side_by_side_have_a_color_each_and_a_legend_of_names():
    figure = learning_curves({"a": history([2.0, 1.0]), "b": history([3.0])})
    assert [t.name for t in figure.data if t.showlegend] == ["a", "b"]
    colors = {t.name: t.line.color for t in figure.data if t.line.color}
    assert len(set(colors.values())) == 2
    with pytest.raises(ParameterError):
        learning_curves({})


def test_without_stress_its_panel_is_empty():
    figure = learning_curves(history([2.0, 1.0], stress=math.nan))
    assert not [trace for trace in figure.data if trace.yaxis == "y4"]


def parity(n=4, *, with_stress=True):
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=n)
    return Parity(
        energy=np.array([[1.0, 2.0], [3.0, np.nan]]),
        forces=np.stack([wanted + 0.1, wanted], 1),
        stress=np.ones((6, 2)) if with_stress else np.zeros((0, 2)),
        n_atoms=n,
    )


def test_found_is_drawn_against_wanted_with_units_and_the_error():
    figure = parity_plots(parity())
    assert "MAE 1e+03 meV/atom" in titles(figure)[0]
    assert "MAE 100 meV/Å" in titles(figure)[1]
    energies = figure.data[0]
    np.testing.assert_array_equal(energies.x, [2.0])  # what has no label is left out
    np.testing.assert_array_equal(energies.y, [1.0])
    assert figure.layout.xaxis.title.text == "wanted (eV/atom)"
    assert len(parity_plots(parity(with_stress=False)).layout.annotations) == 2
    nothing = Parity(
        energy=np.full((1, 2), np.nan),
        forces=np.zeros((0, 2)),
        stress=np.zeros((0, 2)),
        n_atoms=1,
    )
    with pytest.raises(ParameterError, match="label"):
        parity_plots(nothing)


def test_of_many_points_the_farthest_off_are_always_among_those_drawn():
    many = parity(50_000)
    many.forces[777, 0] += 9.0
    figure = parity_plots(many, most=500)
    forces = figure.data[2]
    assert len(forces.x) == 500
    assert (np.asarray(forces.y) - np.asarray(forces.x)).max() == pytest.approx(9.1)


def violation(energy, force):
    return Violation(
        energy=1.0,
        changed_energy=1.0 + energy * 2,
        forces=np.array([[force, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        wanted_forces=np.zeros((2, 3)),
    )


def test_bars_of_violations_are_in_thousandths_and_zero_is_drawn_as_nothing():
    figure = plot_violations({"kept": violation(0.0, 0.0), "broken": violation(0.1, 2)})
    heights = [float(bar.y[0]) for bar in figure.data]
    assert heights[0] == heights[1] == 10 ** figure.layout.yaxis.range[0]
    assert heights[2:] == pytest.approx([100.0, 2000.0])
    assert [bar.text[0] for bar in figure.data] == ["0", "0", "100", "2e+03"]


def test_rounding_alone_does_not_look_like_waves():
    angles = np.linspace(0, 360, 5)
    flat = RotationCurve(
        axis="z",
        angles=angles,
        energy=np.array([1, 1 + 1e-12, 1, 1, 1]),
        n_atoms=2,
    )
    figure = plot_rotation_curves({"flat": flat}, angle=-90.0)
    low, high = figure.layout.yaxis.range
    assert high - low > 1e-3
    assert figure.layout.shapes[0].x0 == 270.0
    wavy = RotationCurve(
        axis="z", angles=angles, energy=np.array([1.0, 2, 3, 2, 1]), n_atoms=2
    )
    figure = plot_rotation_curves({"flat": flat, "wavy": wavy})
    np.testing.assert_allclose(figure.data[1].y, [0, 500, 1000, 500, 0])
    assert figure.layout.yaxis.range is None
