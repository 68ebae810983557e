"""The symmetry laboratory tells who notices a change that means nothing."""

import html

import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.files import save_potential
from gnndesign.structures.library import molecule
from gnndesign.training.violations import Violation
from gnndesign_widgets.symmetry import AUDIT, NOW, TURN, SymmetryModel
from gnndesign_widgets.symmetry_panel import SymmetryPanel

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    numbers = tuple(molecule("C6H6").numbers.tolist())
    options = {"unconstrained": {}, "naive": {"atomic_numbers": numbers}}
    found = {}
    for name in ("invariant", "unconstrained", "naive"):
        shape = {"n_channels": 8} | options.get(name, {})
        potential = new_potential(name, ["H", "C"], seed=1, **shape)
        found[name] = str(folder / f"{name}.safetensors")
        save_potential(potential, found[name])
    return found


@pytest.fixture
def lab(desk, files):
    model = SymmetryModel(desk)
    model.names = tuple(files.values())
    return model


def energy_changes(lab, files):
    return [lab.found[path].energy_change for path in files.values()]


def test_nothing_is_computed_before_somebody_looks(lab):
    lab.angle = 30.0
    assert lab.found == {}
    assert not lab._background.is_busy


def test_each_architecture_notices_what_it_does_not_know_to_mean_nothing(
    lab, files, wait_for
):
    lab.wake()
    for trait, value, noticed in (
        ("angle", 40.0, [False, True, True]),
        ("shift", 1.0, [False, False, True]),
        ("cyclic", 1, [False, False, True]),
        ("mirrored", True, [False, True, True]),
        ("second", 2, [False, False, True]),
    ):
        lab.reset()
        before = lab.found
        setattr(lab, trait, value)
        wait_for(lambda old=before: lab.found is not old)
        wait_for(lambda: not lab._background.is_busy)
        found = [change > 1e-6 for change in energy_changes(lab, files)]
        assert found == noticed, trait


def test_the_viewer_shows_the_changed_structure(lab):
    lab.wake()
    before = lab.figures.atoms
    lab.axis, lab.angle = "z", 90.0
    after = lab.figures.atoms
    np.testing.assert_allclose(after.positions[:, 1], before.positions[:, 0])
    lab.reset()
    np.testing.assert_allclose(lab.figures.atoms.positions, before.positions)


def test_numbers_bars_and_the_full_turn_are_shown_side_by_side(lab, files, wait_for):
    panel = SymmetryPanel(lab)
    lab.wake()
    lab.angle = 60.0
    wait_for(lambda: len(lab.curves) == 3 and not lab._background.is_busy)
    assert list(lab.figures.builds) == [NOW, TURN]
    assert len(lab.figures.builds[NOW]().data) == 6
    turn = lab.figures.builds[TURN]()
    waves = [np.ptp(trace.y) for trace in turn.data]
    assert waves[0] < 1e-3 < min(waves[1:])
    assert turn.layout.shapes[0].x0 == 60.0
    for path in files.values():
        assert path.rsplit("/", 1)[-1] in panel.numbers.value
    assert "meV/Å" in panel.numbers.value


def test_who_cannot_take_the_structure_says_why_and_the_others_go_on(
    lab, files, wait_for
):
    panel = SymmetryPanel(lab)
    lab.names = (files["invariant"], "lennard-jones", files["naive"])
    lab.subject = ""  # argon, on the desk
    lab.wake()
    wait_for(lambda: len(lab.found) == 3 and not lab._background.is_busy)
    assert isinstance(lab.found["lennard-jones"], Violation)
    assert "not Ar" in lab.found[files["invariant"]]
    said = html.unescape(panel.numbers.value)
    assert "not Ar" in said
    assert "lennard-jones" in said
    lab.second = 99
    wait_for(lambda: "0 to 3" in lab.said)
    assert "0 to 3" in panel.said.value


def test_an_audit_shows_its_progress_and_its_verdicts(lab, files, wait_for):
    panel = SymmetryPanel(lab)
    lab.names = (files["unconstrained"],)
    seen = []
    lab.observe(lambda change: seen.append(change["new"]), "progress")
    panel.audit.click()
    assert panel.audit.disabled
    assert not panel.stop.disabled
    wait_for(lambda: not lab.auditing, within_s=120)
    assert any("rotation: energy" in said for said in seen)
    assert "failed rotation: energy" in panel.progress.value
    row = lab.audits[0]["worst rotation: energy"]
    assert row.passed is False
    assert lab.audits[0]["permutation: energy"].passed
    assert lab.figures.shown == AUDIT
    assert lab.figures.builds[AUDIT]().data


def test_an_audit_is_stopped_and_without_a_potential_refused(lab, wait_for):
    panel = SymmetryPanel(lab)
    lab.start_audit()
    lab.stop_audit()
    wait_for(lambda: not lab.auditing)
    assert lab.progress == "Stopped."
    assert lab.audits == ()
    lab.names = ()
    with pytest.raises(ParameterError, match="choose some"):
        lab.start_audit()
    panel.audit.click()
    assert "choose some" in panel.progress.value


def test_a_potential_is_added_by_its_file(lab, files, tmp_path):
    lab.names = ("lennard-jones",)
    panel = SymmetryPanel(lab)
    panel.file.value = files["naive"]
    assert lab.names == ("lennard-jones", files["naive"])
    assert files["naive"] in panel.names.value
    panel.file.value = str(tmp_path / "none.safetensors")
    assert "none.safetensors" in panel.message.value
    panel.names.value = (files["naive"],)
    assert lab.names == (files["naive"],)
