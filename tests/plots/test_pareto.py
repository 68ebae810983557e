"""The figure of a Pareto search says which points are best, and what each one is."""

from pathlib import Path

import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.pareto import pareto_front
from gnndesign.training.evaluation import Errors
from gnndesign.training.model_cost import ModelCost
from gnndesign.training.pareto_results import ParetoResult, ParetoStatus, ParetoTrial

NOTHING = {"energy_rmse_meV": 0.0, "forces_rmse_meV_per_A": 0.0, "stress_rmse_GPa": 0.0}


def trial(number, energy, forces, stress=float("nan"), **changes):
    fields = {
        "number": number,
        "weights": {"energy": 0.25, "forces": 0.75, "stress": 0.0},
        "shape": {},
        "errors": Errors(
            energy_mae_meV=energy,
            forces_mae_meV_per_A=forces,
            stress_mae_GPa=stress,
            n_structures=3,
            n_atoms=12,
            **NOTHING,
        ),
        "cost": ModelCost(traffic_kB=10.0 * (number + 1), time_us=4.0),
        "file": Path(f"/study.db.trials/trial_{number:04d}.safetensors"),
        "status": ParetoStatus.FINISHED,
        "message": "",
    }
    return ParetoTrial(**(fields | changes))


def result(*trials, more=()):
    return ParetoResult(
        study_name="pareto",
        objectives=("energy_mae_meV", "forces_mae_meV_per_A", *more),
        trials=trials,
        message="",
    )


FAILED = trial(3, 0, 0, errors=None, cost=None, file=None, status=ParetoStatus.FAILED)


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_the_best_are_told_from_the_beaten_and_each_point_says_its_file():
    figure = pareto_front(
        result(trial(0, 1.0, 50.0), trial(1, 2.0, 20.0), trial(2, 3.0, 30.0), FAILED)
    )
    front, beaten = named(figure, "Pareto front"), named(figure, "beaten by another")
    assert list(zip(front.x, front.y, strict=True)) == [(1.0, 50.0), (2.0, 20.0)]
    assert [list(row) for row in front.customdata] == [
        [0, "/study.db.trials/trial_0000.safetensors"],
        [1, "/study.db.trials/trial_0001.safetensors"],
    ]
    assert [row[0] for row in beaten.customdata] == [2]
    assert beaten.marker.opacity < front.marker.opacity
    assert beaten.marker.size < front.marker.size
    assert list(figure.data[0].x) == [1.0, 2.0], "the line joins the front"
    assert figure.layout.clickmode == "event"


def test_the_text_at_a_point_has_weights_shape_errors_and_cost():
    text = named(
        pareto_front(result(trial(0, 1.0, 50.0, shape={"channels": 8}))), "Pareto front"
    ).text[0]
    for part in ("Trial 0", "energy 0.25, forces 0.75", "channels: 8", "50", "10"):
        assert part in text
    assert "Stress" not in text, "what has no label has no error"
    assert "stress" not in text


def test_the_color_is_what_the_axes_do_not_show():
    points = trial(0, 1.0, 50.0, 0.2), trial(1, 2.0, 60.0, 0.1)
    both = named(
        pareto_front(result(*points, more=("stress_mae_GPa",))), "Pareto front"
    )
    assert list(both.marker.color) == [0.2, 0.1]
    costly = pareto_front(result(*points), color="traffic_kB")
    assert list(named(costly, "Pareto front").marker.color) == [10.0]
    assert "kB" in costly.layout.coloraxis.colorbar.title.text
    with pytest.raises(ParameterError, match="Wanted one of energy_mae_meV"):
        pareto_front(result(*points), x="beauty")


def test_a_search_without_a_result_yet_has_empty_axes():
    figure = pareto_front(result(FAILED))
    assert all(len(trace.x or ()) == 0 for trace in figure.data)
