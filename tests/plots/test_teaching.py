"""Figures of fine-tunings and distillations show the numbers they are given."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.teaching import distillation_rounds, errors_before_and_after
from gnndesign.training.distill_results import DistillationReport, DistillationRound
from gnndesign.training.evaluation import Errors
from gnndesign.training.fine_tune_results import FineTuningReport


def errors(energy, forces, stress=math.nan):
    return Errors(
        energy_mae_meV=energy,
        energy_rmse_meV=2 * energy,
        forces_mae_meV_per_A=forces,
        forces_rmse_meV_per_A=2 * forces,
        stress_mae_GPa=stress,
        stress_rmse_GPa=stress,
        n_structures=3,
        n_atoms=9,
    )


BEFORE = FineTuningReport(
    offset={14: -0.3},
    new_before=errors(9e4, 80.0),
    new_shifted=errors(20.0, 80.0),
    replay_before=errors(8e-19, 0.0),
)


def bars(figure):
    return {
        (bar.name, quantity, place): text
        for bar, quantity in zip(
            figure.data, ["energy"] * 3 + ["forces"] * 3, strict=True
        )
        for place, text in zip(bar.x, bar.text, strict=True)
    }


def test_errors_before_and_after_have_a_bar_and_a_number_each():
    after = replace(BEFORE, new_after=errors(3.0, 30.0), replay_after=errors(5.0, 12.5))
    figure = errors_before_and_after(after)
    found = bars(figure)
    assert found["before", "energy", "new data"] == "90,000"
    assert found["energies of the elements moved", "energy", "new data"] == "20"
    assert found["after", "energy", "new data"] == "3"
    assert found["before", "energy", "replay"] == "0"
    assert found["after", "forces", "replay"] == "12.5"
    assert [a.text for a in figure.layout.annotations] == [
        "Energy (meV/atom)",
        "Forces (meV/Å)",
    ]
    heights = dict(zip(figure.data[0].x, figure.data[0].y, strict=True))
    assert heights["new data"] == 9e4
    # On a logarithmic axis zero stands at its lower end.
    assert math.log10(heights["replay"]) == pytest.approx(figure.layout.yaxis.range[0])


def test_before_the_first_epoch_there_is_no_after_and_nothing_is_no_figure():
    figure = errors_before_and_after(BEFORE)
    assert not [key for key in bars(figure) if key[0] == "after"]
    nothing = errors(math.nan, math.nan)
    with pytest.raises(ParameterError, match="nothing has labels"):
        errors_before_and_after(
            FineTuningReport(
                offset={},
                new_before=nothing,
                new_shifted=nothing,
                replay_before=nothing,
            )
        )


def one_round(number, own, teachers, n_diverged=0):
    return DistillationRound(
        number=number,
        n_frames=10 * number,
        n_validation=1,
        member=0,
        disagreement_eV_per_A=math.nan,
        on_own_dynamics=None if own is None else errors(1.0, own),
        on_teachers_dynamics=errors(1.0, teachers),
        n_diverged=n_diverged,
    )


def test_rounds_are_drawn_beside_the_bound_with_a_cross_where_a_run_diverged():
    rounds = (one_round(1, None, 50.0, 2), one_round(2, 20.0, 25.0))
    report = DistillationReport(bound_meV_per_A=60.0, history=rounds)
    assert report.reached
    figure = distillation_rounds(report)
    lines = {trace.name: trace for trace in figure.data}
    own, teachers = lines["student's own dynamics"], lines["teacher's dynamics"]
    assert own.y == (None, 40.0)
    np.testing.assert_allclose(teachers.y, [100.0, 50.0])
    assert own.marker.symbol == ("x", "circle")
    assert set(lines["bound"].y) == {60.0}
    assert lines[None].y == (10, 20)
    with pytest.raises(ParameterError, match="at least one round"):
        distillation_rounds(replace(report, history=()))


def test_a_report_with_speed_and_a_run_survives_json():
    from gnndesign.training.student_checks import Speed, SpeedUp, Stability

    report = DistillationReport(
        bound_meV_per_A=60.0,
        history=(one_round(1, 20.0, 25.0),),
        speed=SpeedUp(
            n_atoms=8,
            teacher=Speed(step_us=90.0, potential_us=80.0),
            student=Speed(step_us=9.0, potential_us=4.0),
            ratio=10.0,
            potential_ratio=20.0,
        ),
        stability=Stability(
            time_ps=0.1,
            finished=False,
            message="too hot",
            temperature_K=900.0,
            energy_drift_meV_per_atom=math.nan,
            steps_per_s=1e3,
        ),
    )
    again = DistillationReport.from_dict(report.to_dict())
    assert again.speed == report.speed
    assert again.stability.message == "too hot"
    assert math.isnan(again.stability.energy_drift_meV_per_atom)
    assert again.to_dict() == report.to_dict()
