"""Distillation: a student learns its teacher, and says how well."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.errors import (
    CheckpointError,
    FitError,
    ParameterError,
    UnsupportedElementError,
)
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.training.distill import Distillation, Distiller, distill
from gnndesign.training.distill_folder import load_frames, save_frames
from gnndesign.training.distill_results import DistillationRound
from gnndesign.training.evaluation import evaluate
from gnndesign.training.frames import (
    Sampling,
    deformed_frames,
    dynamics_frames,
    label,
    most_disputed,
)
from gnndesign.training.options import Training
from gnndesign.training.student_checks import run_long

TEACHER = LennardJones(cutoff=6.0)
QUICK = Distillation(
    temperature_K=40.0,
    temperatures_K=(20.0, 60.0),
    force_error_meV_per_A=1e-3,
    rounds=2,
    n_dynamics=8,
    n_deformed=6,
    n_candidates=8,
    n_added=4,
    n_fresh=2,
    rattle=0.1,
    sampling=Sampling(timestep_fs=5.0, equilibration_steps=4, steps_between=4),
    training=Training(epochs=2, batch_size=4, learning_rate=1e-2, ema=0.5),
    more_epochs=1,
    timings=0,
    stability_ps=0.0,
)


def crystal():
    return bulk("Ar", "fcc", 5.3, cubic=True)


def student():
    return new_potential(
        "behler-parrinello",
        ["Ar"],
        cutoff=6.0,
        n_centered=1,
        n_shifted=6,
        n_angular_centered=0,
        n_angular_shifted=2,
        innermost=2.5,
        zeta=(1, 2),
        hidden=(8,),
    )


@pytest.fixture(scope="module")
def whole():
    """A distillation that was never cut."""
    return distill(TEACHER, [crystal()], student(), QUICK)


def weights(result):
    return [
        {k: v.clone() for k, v in member.network.state_dict().items()}
        for member in result.committee
    ]


def same(one, other):
    return all(
        torch.equal(a[k], b[k]) for a, b in zip(one, other, strict=True) for k in a
    )


def test_a_student_comes_near_its_teacher_and_its_card_says_how_near():
    options = replace(
        QUICK,
        force_error_meV_per_A=4.0,
        n_dynamics=16,
        sampling=Sampling(timestep_fs=5.0, equilibration_steps=20, steps_between=5),
        training=Training(epochs=20, batch_size=2, learning_rate=2e-2, ema=0.9),
        more_epochs=10,
        timings=1,
        stability_ps=0.1,
    )
    moments = []
    result = distill(TEACHER, [crystal()], student(), options, on_moment=moments.append)
    last = result.history[-1]
    assert result.reached
    assert last.largest_error < 4.0
    moved = dynamics_frames(
        TEACHER, [crystal()], [40.0], 10, sampling=options.sampling, seed=77
    )
    unseen = label(TEACHER, moved.structures, group="unseen")
    spread = 1e3 * np.sqrt(np.mean(np.concatenate(unseen.forces) ** 2))
    errors = evaluate(result.potential, unseen).errors
    assert errors.forces_rmse_meV_per_A < 5.0 < 0.3 * spread
    card = result.potential.card
    assert TEACHER.card.title in card.title
    assert card.level_of_theory.startswith(f"that of {TEACHER.card.title}")
    wanted = f"{last.on_own_dynamics.forces_rmse_meV_per_A:.3g} meV/Å"
    assert any(wanted in note for note in card.notes)
    assert card.training["teacher"]["checksum"] == TEACHER.card.checksum
    stages = list(dict.fromkeys(moment.stage for moment in moments))
    assert stages == ["frames", "train", "test", "round", "speed", "stability", "end"]
    assert result.stability.finished
    assert result.stability.time_ps == pytest.approx(0.1)
    assert result.speed.n_atoms == 4
    assert result.speed.student.potential_us < result.speed.student.step_us


def test_rounds_go_on_to_the_last_and_the_later_ones_learn_what_is_disputed(whole):
    first, second = whole.history
    assert not whole.reached
    assert np.isnan(first.disagreement_eV_per_A)
    assert second.disagreement_eV_per_A > 0.0
    assert first.n_frames + first.n_validation == QUICK.n_dynamics + QUICK.n_deformed
    more = second.n_frames + second.n_validation - first.n_frames - first.n_validation
    assert more == QUICK.n_added


def test_fresh_frames_are_never_learned(monkeypatch):
    from gnndesign.training import distill_steps

    fresh = []
    labelled = distill_steps.label

    def remember(*arguments, **options):
        found = labelled(*arguments, **options)
        fresh.extend(atoms.positions.tobytes() for atoms in found.structures)
        return found

    monkeypatch.setattr(distill_steps, "label", remember)
    distiller = Distiller(TEACHER, [crystal()], student(), QUICK)
    list(distiller)
    learned = {
        atoms.positions.tobytes()
        for part in (*distiller._learned, *distiller._validation)
        for atoms in part.structures
    }
    assert len(fresh) == len(set(fresh)) == 2 * 2 * QUICK.n_fresh
    assert not learned & set(fresh)


@pytest.mark.parametrize("cut", ["frames", "train", "test", "round"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_distillation_killed_anywhere_goes_on_as_if_never_cut(
    cut, number, whole, tmp_path
):
    start = TEACHER, [crystal()], student(), QUICK
    for moment in Distiller(*start, folder=tmp_path):
        if (moment.stage, moment.number) == (cut, number):
            break
    resumed = Distiller(*start, folder=tmp_path)
    assert len(resumed.history) == (number if cut == "round" else number - 1)
    moments = list(resumed)
    assert same(weights(resumed.result), weights(whole))
    assert [r.to_dict() for r in resumed.history] == [
        r.to_dict() for r in whole.history
    ]
    begun = {moment.number for moment in moments if moment.stage == "frames"}
    assert begun == set(range(len(whole.history) + 1)) - set(
        range(number + (cut == "round"))
    )


def test_a_stopped_distillation_has_no_result_and_can_go_on(whole, tmp_path):
    asked = []

    def after_some_batches():
        return len(asked) > 3

    start = TEACHER, [crystal()], student(), QUICK
    stopped = distill(
        *start,
        folder=tmp_path,
        on_moment=lambda m: asked.append(m) if m.stage == "train" else None,
        should_stop=after_some_batches,
    )
    assert stopped is None
    assert len(asked) == 4
    resumed = distill(*start, folder=tmp_path)
    assert same(weights(resumed), weights(whole))


def test_the_folder_of_another_distillation_is_refused(tmp_path):
    next(iter(Distiller(TEACHER, [crystal()], student(), QUICK, folder=tmp_path)))
    other = replace(QUICK, seed=1)
    with pytest.raises(CheckpointError, match="of another distillation"):
        Distiller(TEACHER, [crystal()], student(), other, folder=tmp_path)
    Distiller(
        TEACHER, [crystal()], student(), replace(QUICK, rounds=9), folder=tmp_path
    )
    (tmp_path / "distillation.json").write_text("nothing")
    with pytest.raises(CheckpointError, match="no readable state"):
        Distiller(TEACHER, [crystal()], student(), QUICK, folder=tmp_path)


def test_an_element_that_student_or_teacher_do_not_know_is_refused():
    with pytest.raises(UnsupportedElementError, match="Si"):
        Distiller(TEACHER, [bulk("Si")], student(), QUICK)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"n_members": 1}, "two or more members"),
        ({"n_added": 9}, "no more added frames"),
        ({"temperature_K": 0.0}, "temperatures above zero"),
        ({"rounds": 0}, "at least one round"),
    ],
)
def test_impossible_options_are_refused(changes, wanted):
    with pytest.raises(ParameterError, match=wanted):
        replace(QUICK, **changes)


def test_forces_beyond_all_bounds_are_not_learned():
    options = replace(QUICK, largest_force=1e-6)
    with pytest.raises(FitError, match="hardly one can be learned"):
        distill(TEACHER, [crystal()], student(), options)


@pytest.mark.physics
def test_frames_have_the_temperature_they_were_asked_for():
    sampling = Sampling(timestep_fs=5.0, equilibration_steps=200, steps_between=20)
    found = dynamics_frames(
        TEACHER, [crystal().repeat(2)], [20.0, 60.0], 40, sampling=sampling, seed=3
    )
    assert (found.n_runs, found.n_diverged) == (2, 0)
    assert len(found.structures) == 40
    for part, wanted in ((found.structures[:20], 20.0), (found.structures[20:], 60.0)):
        heat = np.mean([atoms.get_temperature() for atoms in part])
        assert heat == pytest.approx(wanted, rel=0.15)


def test_deformed_frames_are_strained_and_rattled_within_bounds():
    frames = deformed_frames([crystal()], 40, strain=0.04, rattle=0.1, seed=1)
    start = crystal()
    strains = [
        np.linalg.solve(start.cell.array, a.cell.array) - np.eye(3) for a in frames
    ]
    assert 0.03 < np.abs(strains).max() < 0.04
    for atoms in frames:
        moved = atoms.get_scaled_positions(wrap=False) - start.get_scaled_positions()
        assert 0.0 < np.abs(moved @ atoms.cell.array).max() < 0.5


def test_the_most_disputed_frames_are_chosen():
    spread = np.array([0.1, 0.5, np.nan, 0.4, 0.2])
    assert most_disputed(spread, 2) == [1, 3]
    assert most_disputed(spread, 9) == [0, 1, 3, 4]


def test_frames_on_disk_are_the_same_to_the_last_bit(tmp_path):
    frames = deformed_frames(
        [crystal(), bulk("Ar")], 5, strain=0.02, rattle=0.1, seed=1
    )
    frames[1].pbc = (True, True, False)
    data = label(TEACHER, frames, group="some")
    save_frames(data, 0.25, tmp_path / "a.npz")
    again, disagreement = load_frames(tmp_path / "a.npz")
    assert again.checksum == data.checksum
    assert disagreement == 0.25
    assert np.isnan(again.stress[1]).all()
    assert again.level_of_theory == data.level_of_theory


def test_a_report_survives_json(whole):
    report = whole.history[0]
    again = DistillationRound.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again.to_dict() == report.to_dict()
    assert again.largest_error == report.largest_error
    assert replace(report, n_diverged=1).largest_error == np.inf


def test_a_structure_that_does_not_hold_is_told():
    class Repulsive(LennardJones):
        """Its atoms push each other away."""

        def atomic_energies(self, batch, edges):
            return -40.0 * super().atomic_energies(batch, edges)

    found = run_long(Repulsive(cutoff=6.0), crystal(), temperature_K=40.0, time_ps=2.0)
    assert not found.finished
    assert found.message
