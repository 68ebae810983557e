"""Phonons in the panel: a mode is chosen and played, the worst is followed down."""

import ase.build
import numpy as np
import pytest

from gnndesign.errors import JobError
from gnndesign.jobs.properties import OutcomesWriter, properties_parameters
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState, JobStatus
from gnndesign.jobs.store import JobStore
from gnndesign.plots.properties import draw
from gnndesign.properties.compute import compute
from gnndesign.properties.follow_mode import FollowMode
from gnndesign.properties.phonons import Phonons
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.properties import PropertiesModel
from gnndesign_widgets.properties_panel import PropertiesPanel
from gnndesign_widgets.stage import Stage
from gnndesign_widgets.structure import StructureModel

QUICK = Phonons(
    min_length=7.0,
    even_supercell=True,
    mesh_length=20.0,
    n_band_points=60,
    temperature_step_K=100.0,
)
UNSTABLE, STABLE = ase.build.bulk("Ar", "bcc", a=4.2), ase.build.bulk("Ar", a=5.4)


@pytest.fixture(scope="module")
def outcomes(lennard_jones):
    """Phonons of an unstable and of a stable crystal."""
    return compute([QUICK], [UNSTABLE, STABLE], lennard_jones)


@pytest.fixture
def finished(home, desk, argon_potential, outcomes):
    """The model of a job whose outcomes are there."""
    spec = JobSpec.create(
        "properties",
        potential="lennard-jones",
        structures=[UNSTABLE, STABLE],
        parameters=properties_parameters([QUICK], ["bcc", "fcc"]),
    )
    store = JobStore.create(spec, home)
    OutcomesWriter(store).take({(k, 0): each for k, each in enumerate(outcomes)})
    store.write_status(JobStatus(state=JobState.FINISHED, done=2, total=2))
    model = PropertiesModel(desk, argon_potential)
    model.job.attach_latest()
    return model


def test_the_worst_mode_is_chosen_and_played_when_the_button_is_pressed(
    finished, desk, outcomes
):
    panel = PropertiesPanel(finished).modes
    stage = Stage(desk)
    finished.figures.observe(lambda _: stage.refresh_figures(finished.figures))
    stage.show_figures(finished.figures)
    worst = outcomes[0].result.worst_mode
    assert finished.modes.chosen[1] == worst.band == panel.mode.value
    assert panel.q_point.value.startswith("Worst (")
    assert panel.mode.label == f"1: {worst.frequency_THz:.2f} THz"
    assert (stage.viewer.view.max_frame, stage.viewer.play.playing) == (0, False)

    panel.animate.value = True
    played = stage.viewer.view._frames
    assert stage.viewer.view.max_frame == len(played) - 1 == 23
    assert stage.viewer.play.playing
    assert stage.viewer.play.repeat
    moved = np.array([frame.positions for frame in played])
    # The atom that moves farthest swings by the amplitude to either side of its place.
    swing = np.linalg.norm(moved - moved.mean(axis=0), axis=2).max()
    assert swing == pytest.approx(panel.amplitude.value, rel=1e-6)
    panel.amplitude.value = 0.1
    assert np.abs(stage.viewer.view._frames[0].positions - moved[0]).max() > 0.1

    panel.animate.value = False
    assert stage.viewer.view.max_frame == 0
    assert not stage.viewer.play.playing
    assert not stage.viewer.play.repeat


def test_any_q_point_and_mode_can_be_played(finished, outcomes):
    panel = PropertiesPanel(finished).modes
    panel.animate.value = True
    (zone_boundary,) = [q for q in panel.q_point.options if q.startswith("H ")]
    assert zone_boundary == "H (1/2, -1/2, 1/2)"
    panel.q_point.value = zone_boundary
    panel.mode.value = 2
    assert finished.modes.chosen == (zone_boundary, 2)
    expected = outcomes[0].result.mode((0.5, -0.5, 0.5), 2)
    shown = finished.figures.frames
    assert np.allclose(shown[3].positions, expected[3].positions)
    frequencies, _ = outcomes[0].result.force_constants.modes(
        np.array([[0.5, -0.5, 0.5]])
    )
    assert panel.mode.label == f"3: {frequencies[0, 2]:.2f} THz"


def test_a_click_on_a_band_plays_the_mode_there(finished, outcomes):
    panel = PropertiesPanel(finished).modes
    bands = outcomes[0].result.bands
    ((title, act),) = finished.figures.clicks.items()
    assert title == "Phonons"
    real = next(t for t in draw(outcomes[0].result).data if t.name == "Real")
    place = next(k for k, y in enumerate(real.y) if y == bands.frequencies_THz.max())
    act(real.customdata[place])
    highest = np.unravel_index(
        bands.frequencies_THz.argmax(), bands.frequencies_THz.shape
    )
    assert panel.q_point.value.startswith("Clicked (")
    assert panel.mode.value == highest[1]
    assert panel.animate.value
    assert len(finished.figures.frames) == 24
    # The next click takes the place of the last.
    act(real.customdata[0])
    assert sum(name.startswith("Clicked") for name in panel.q_point.options) == 1


def test_only_what_has_imaginary_modes_can_be_followed(finished, outcomes, monkeypatch):
    panel = PropertiesPanel(finished)
    assert panel.modes.layout.display == ""
    assert not panel.modes.follow.disabled
    panel.modes.animate.value = True
    panel.table.picked = 1
    # Another crystal is at rest; what is stable has no worst mode.
    assert panel.modes.animate.value is False
    assert finished.figures.frames == ()
    assert panel.modes.follow.disabled
    stiffest = outcomes[1].result.bands.frequencies_THz.max()
    assert panel.modes.mode.label == f"3: {stiffest:.2f} THz"
    with pytest.raises(JobError, match="imaginary modes first"):
        finished.follow_worst_mode()
    monkeypatch.setattr(finished.job, "poll", lambda: None)
    finished.job.active = True
    panel.table.picked = 0
    assert panel.modes.follow.disabled
    finished.job.active = False
    assert not panel.modes.follow.disabled
    finished.picked = None
    assert panel.modes.layout.display == "none"


def test_following_the_worst_mode_is_a_job_that_a_restarted_kernel_finds(
    finished, lennard_jones, wait_for_job
):
    panel = PropertiesPanel(finished)
    before = finished.job.job_id
    panel.modes.follow.click()
    assert panel.modes.message.value == ""
    assert finished.job.job_id != before
    wait_for_job(finished.job)
    assert len(panel.table.rows) == 1
    expected = compute(FollowMode(phonons=QUICK), UNSTABLE, lennard_jones)
    name, title, said, _ = panel.table.rows[0]
    assert (name, title) == ("bcc", "Follow imaginary modes")
    gain = expected.energy_gain_meV_per_atom
    assert float(said.split()[2]) == pytest.approx(gain, abs=0.05)
    assert "From Im-3m (229) to P6_3/mmc (194)" in panel.details.value

    later = PropertiesModel(StructureModel(), PotentialModel())
    again = PropertiesPanel(later)
    later.job.attach_latest()
    assert later.figures.title == "bcc: Follow imaginary modes"
    assert len(later.figures.atoms) == 2
    assert "P6_3/mmc (194)" in again.details.value
    # The modes of the stable structure can be played.
    assert again.modes.follow.disabled
    again.modes.animate.value = True
    assert len(later.figures.frames) == 24


def test_what_is_followed_has_an_even_supercell_unless_one_was_given():
    chosen = FollowMode.shown_by(Phonons(displacement=0.02))
    assert chosen.phonons == Phonons(
        displacement=0.02, even_supercell=True, min_length=7.0
    )
    given = Phonons(supercell=(4, 4, 4))
    assert FollowMode.shown_by(given).phonons == given
