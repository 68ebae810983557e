import json
import math

import pytest

from gnndesign.cli import main
from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.plots.validation import parity
from gnndesign.potentials.catalog import potential_card
from gnndesign.properties import compute, measured_errors, validation
from gnndesign.properties.catalog import PROPERTIES
from gnndesign.properties.measured_errors import (
    known_error,
    measured,
    validations_of,
)
from gnndesign.properties.reference_sets import REFERENCE_SETS, reference_set
from gnndesign.properties.reference_structures import APART
from gnndesign.properties.validation import validate
from gnndesign.properties.validation_result import Validation


@pytest.fixture(scope="module")
def found(sevennet_0):
    return validate("delta", sevennet_0, n=6, seed=5)


@pytest.mark.parametrize("known", REFERENCE_SETS, ids=lambda known: known.name)
def test_every_set_has_structures_with_all_its_targets(known):
    references = known.load()
    keys = {target.key for target in known.targets}
    assert len(references) > 4
    assert known.how.kind in PROPERTIES
    for reference in references:
        assert set(reference.values) <= keys
        assert all(map(math.isfinite, reference.values.values()))
        (reference.how or known.how).refuse(reference.atoms)
    assert keys == {key for reference in references for key in reference.values}
    assert len({reference.name for reference in references}) == len(references)


def test_iron_is_counted_apart():
    groups = {ref.name: ref.group for ref in reference_set("delta").load()}
    assert groups["Fe"] == groups["Lu"] == APART
    assert groups["Si"] == ""


def test_errors_are_those_of_the_rows(found):
    assert found.n == 6
    assert found.of == 71
    assert found.seed == 5
    for errors in found.errors:
        rows = [
            row
            for row in found.rows
            if (row.key, row.group) == (errors.key, errors.group)
        ]
        known = [row for row in rows if row.predicted is not None]
        assert (errors.n, errors.failed) == (len(known), len(rows) - len(known))
        scale = [100 / row.reference if errors.unit == "%" else 1 for row in known]
        missed = [
            (row.predicted - row.reference) * factor
            for row, factor in zip(known, scale, strict=True)
        ]
        if missed:
            mean = sum(map(abs, missed)) / len(missed)
            assert errors.mean_absolute == pytest.approx(mean)
            assert errors.bias == pytest.approx(sum(missed) / len(missed))
    # In the study that the potentials were chosen by, 11 % on 12 elements.
    moduli = [e for e in found.errors if e.key == "bulk_modulus_GPa" and not e.group]
    assert moduli[0].mean_absolute < 30


def test_a_validation_survives_its_file(found, tmp_path):
    path = tmp_path / "found.json"
    found.save(path)
    assert Validation.load(path) == found
    assert "NaN" not in path.read_text()
    path.write_text(json.dumps({"format": 1, "potential": "x"}))
    with pytest.raises(CheckpointError, match="is no validation"):
        Validation.load(path)


def test_a_stopped_validation_goes_on_where_it_was(
    found, sevennet_0, tmp_path, monkeypatch
):
    monkeypatch.setattr(compute, "TOGETHER", 2)
    monkeypatch.setattr(validation, "SAVED_EVERY_S", 0.0)
    path = tmp_path / "delta.json.part"
    asked = {"n": 6, "seed": 5, "checkpoint": path}
    done = []
    part = validate(
        "delta",
        sevennet_0,
        on_progress=lambda progress: done.append(progress.done),
        should_stop=lambda: done[-1] >= 2,
        **asked,
    )
    assert 2 <= part.n < 6
    # What a killed run would have left is what a stopped one returns.
    assert Validation.load(path) == part
    begun = []
    whole = validate(
        "delta",
        sevennet_0,
        on_progress=lambda progress: begun.append((progress.done, progress.total)),
        **asked,
    )
    assert begun[0] == (part.n, 6)
    assert whole.seconds > part.seconds
    assert [row.name for row in whole.rows] == [row.name for row in found.rows]
    for one, other in zip(whole.rows, found.rows, strict=True):
        assert one.predicted == pytest.approx(other.predicted, rel=1e-4)
    assert set(part.rows) <= set(whole.rows)


def test_a_checkpoint_of_something_else_is_refused(found, sevennet_0, tmp_path):
    path = tmp_path / "found.json"
    found.save(path)
    with pytest.raises(CheckpointError, match=r"reference_set 'delta'; wanted 'unar"):
        validate("unaries", sevennet_0, checkpoint=path)
    text = path.read_text()
    assert found.checksum in text
    path.write_text(text.replace(found.checksum, "other weights"))
    with pytest.raises(CheckpointError, match="begun with checksum 'other weights'"):
        validate("delta", sevennet_0, checkpoint=path)


def test_the_plot_has_every_structure(found):
    figure = parity(found)
    names = [name for trace in figure.data for name in (trace.text or ())]
    assert {name.split(":")[0] for name in names} == {row.name for row in found.rows}
    assert "MAE" in figure.layout.annotations[0].text


def test_what_ships_is_read_for_the_card(found, monkeypatch):
    monkeypatch.setattr(measured_errors, "_shipped", lambda: (found,))
    assert validations_of("sevennet-0", found.checksum) == (found,)
    assert validations_of("sevennet-0", "other weights") == ()
    said = measured("sevennet-0", found.checksum)
    assert any(line.startswith("Bulk modulus: MAE") for line in said)
    beside = known_error(
        "sevennet-0", found.checksum, "equation_of_state", "bulk_modulus_GPa"
    )
    assert "GPa on" in beside
    assert not known_error("sevennet-0", found.checksum, "phonons", "x")


def test_shipped_validations_belong_to_the_weights_that_ship():
    for one in measured_errors._shipped():
        assert one.checksum == potential_card(one.potential).checksum
        assert one.reference_set in {known.name for known in REFERENCE_SETS}


def test_the_command_prints_and_writes(tmp_path, capsys):
    assert main(["validate", "--list"]) == 0
    assert "diatomics" in capsys.readouterr().out
    folder = tmp_path / "found"
    arguments = ["validate", "delta", "-n", "2", "-o", str(folder), "--no-progress"]
    assert main(arguments) in (0, 1)
    said = capsys.readouterr().out
    assert "2 of 71 structures, a sample (seed 0)" in said
    assert Validation.load(folder / "sevennet-0.delta.json").n == 2
    assert (folder / "sevennet-0.delta.html").stat().st_size > 10**5
    assert len(list(folder.iterdir())) == 2
    assert main(["validate", "none"]) == 2
    assert "Wanted a reference set" in capsys.readouterr().err


def test_a_count_below_one_is_refused(sevennet_0):
    with pytest.raises(ParameterError, match="n >= 1"):
        validate("delta", sevennet_0, n=0)
