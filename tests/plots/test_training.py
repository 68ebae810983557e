"""Figures of training show the numbers they are given."""

import ase
import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.training import (
    calibration_curve,
    label_distributions,
    symmetry_audit,
)
from gnndesign.potentials.calibration import calibrate
from gnndesign.training.dataset import Dataset
from gnndesign.training.symmetry import Audit, AuditRow


def dataset(groups, *, with_stress=True):
    rng = np.random.default_rng(0)
    n = len(groups)
    stress = (
        0.01 * rng.normal(size=(n, 3, 3)) if with_stress else np.full((n, 3, 3), np.nan)
    )
    return Dataset(
        structures=tuple(
            ase.Atoms("ArNe", [[0, 0, 0], [3, 0, 0]], cell=[9] * 3, pbc=True)
            for _ in groups
        ),
        energy=rng.normal(-3.0, 0.1, size=n),
        forces=tuple(rng.normal(size=(2, 3)) for _ in groups),
        stress=stress,
        groups=tuple(groups),
    )


def area(trace):
    x, y = np.asarray(trace.x), np.asarray(trace.y)
    return float((np.diff(x) * y[:-1]).sum())


def test_each_group_has_a_density_of_area_one_in_each_panel():
    figure = label_distributions(dataset(["hot"] * 30 + ["cold"] * 10))
    assert len(figure.data) == 6
    assert [trace.name for trace in figure.data[:2]] == ["hot (30)", "cold (10)"]
    assert [trace.showlegend for trace in figure.data] == [True] * 2 + [False] * 4
    for trace in figure.data:
        assert area(trace) == pytest.approx(1.0)
    assert "eV/Å" in figure.layout.xaxis2.title.text


def test_what_has_no_labels_has_no_panel_and_small_groups_are_one():
    groups = [f"run {k}" for k in range(9)] + ["run 0"] * 5
    figure = label_distributions(dataset(groups, with_stress=False), max_groups=3)
    assert len(figure.data) == 2 * 3
    names = {trace.name for trace in figure.data}
    assert {"run 0 (6)", "others (7)"} < names
    with pytest.raises(ParameterError, match="max_groups"):
        label_distributions(dataset(groups), max_groups=0)


def test_an_outlier_does_not_squeeze_the_others_into_one_bin():
    data = dataset(["a"] * 4000)
    data.energy[7] = 1e6
    figure = label_distributions(data)
    assert figure.data[0].x[-1] < 1e3
    assert area(figure.data[0]) == pytest.approx(1.0)


def row(name, value, *, unit="eV/Å", bound=1e-7, passed=None):
    if value is not None:
        passed = value <= bound
    return AuditRow(
        name=name,
        measures="a number",
        value=value,
        unit=unit,
        bound=bound,
        passed=passed,
        note="why not",
    )


def an_audit(name, rows):
    return Audit(
        potential=name,
        title=name,
        dtype="float64",
        structures=("Ar",),
        seed=0,
        rows=tuple(rows),
    )


def test_an_audit_marks_what_passed_what_failed_and_the_bound():
    rows = [
        row("rotation: energy", 0.0, unit="eV/atom", bound=1e-8),
        row("rotation: forces", 0.3),
        row("cutoff: forces", None),
        row("closed loop", 2e-9),
    ]
    figure = symmetry_audit(an_audit("mine", rows))
    energies, bound, forces, _ = figure.data
    assert list(energies.y) == [1e-18]  # A logarithmic axis has no zero.
    assert list(bound.y) == [1e-8]
    assert list(forces.x) == [0, 2]
    assert list(figure.layout.xaxis2.ticktext) == ["rotation", "cutoff", "closed loop"]
    assert list(forces.y) == [0.3, 2e-9]
    assert list(forces.marker.symbol) == ["x", "circle"]
    assert figure.layout.yaxis.type == figure.layout.yaxis2.type == "log"
    assert figure.layout.yaxis2.title.text == "eV/Å"
    assert "why not" in forces.text[0]


def test_several_potentials_stand_side_by_side_and_a_failure_without_number_on_top():
    one = an_audit("one", [row("extensivity", 1e-9)])
    other = an_audit("other", [row("extensivity", None, passed=False)])
    figure = symmetry_audit([one, other])
    assert [trace.name for trace in figure.data[::2]] == [
        "one (float64)",
        "other (float64)",
    ]
    assert figure.data[2].y[0] > figure.data[0].y[0]
    assert list(figure.data[2].marker.symbol) == ["x"]
    assert figure.data[0].x[0] < figure.data[2].x[0]
    assert figure.data[0].marker.color != figure.data[2].marker.color
    with pytest.raises(ParameterError, match="at least one"):
        symmetry_audit([])


def test_the_curve_of_a_calibration_is_its_coverage_beside_the_diagonal():
    rng = np.random.default_rng(0)
    spreads = [np.exp(rng.normal(size=20)) for _ in range(40)]
    errors = [2.0 * spread * rng.normal(size=20) for spread in spreads]
    found = calibrate(errors, spreads, quantity="force component", unit="eV/Å")
    figure = calibration_curve(found)
    diagonal, _, curve, raw, bins, _ = figure.data
    assert list(diagonal.x) == list(diagonal.y)
    np.testing.assert_array_equal(curve.y, found.coverage)
    np.testing.assert_array_equal(raw.y, found.raw_coverage)
    np.testing.assert_array_equal(bins.x, found.factor * found.bin_spread)
    assert curve.name == f"force component: spread × {found.factor:.3g}"
    assert len(calibration_curve({"a": found, "b": found}).data) == 11
    with pytest.raises(ParameterError):
        calibration_curve({})
