"""Fine-tuning: the new is learned, the old is kept by replay, and both are said."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.errors import ParameterError
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import evaluate
from gnndesign.training.fine_tune import (
    FineTuner,
    fine_tune,
    fine_tuning_of,
    fit_offset,
    with_offset,
)
from gnndesign.training.options import Training
from gnndesign.training.replay import make_replay, replay_crystals
from gnndesign.training.results import train

OFFSET = {18: -0.7, 36: 0.4}
"""eV an atom, between the two levels of theory."""


def crystals(n, symbol, scale, seed):
    """Rattled fcc crystals as one of two levels of theory sees them.

    The second has a well that is `scale` times as deep, and other energies of atoms.
    """
    rng = np.random.default_rng(seed)
    teacher = LennardJones(cutoff=6.0)
    frames = []
    for _ in range(n):
        atoms = bulk("Ar", "fcc", 5.3, cubic=True)
        strain = 0.03 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += 0.15 * rng.normal(size=(len(atoms), 3))
        found = teacher.compute(atoms)
        shift = 0.0 if scale == 1.0 else OFFSET[18 if symbol == "Ar" else 36]
        atoms.info["energy"] = scale * float(found.energy[0]) + shift * len(atoms)
        atoms.info["stress"] = scale * found.stress[0].numpy()
        atoms.arrays["forces"] = scale * found.forces.numpy()
        atoms.symbols[:] = symbol
        frames.append(atoms)
    return frames


def data(*frames, source):
    return Dataset.from_atoms(
        [atoms for some in frames for atoms in some], source=source
    )


@pytest.fixture(scope="module")
def old():
    """Argon and krypton at the old level, to learn from and to test on."""
    return [
        data(
            crystals(n, "Ar", 1.0, seed), crystals(n, "Kr", 1.0, seed + 1), source="old"
        )
        for n, seed in ((10, 0), (5, 2))
    ]


@pytest.fixture(scope="module")
def new():
    """Argon alone, at the new level."""
    return [
        data(crystals(n, "Ar", 2.0, seed), source="new")
        for n, seed in ((10, 4), (6, 6))
    ]


@pytest.fixture(scope="module")
def trained(old):
    start = new_potential(
        "invariant", ["Ar", "Kr"], seed=1, cutoff=5.0, n_channels=8, n_rounds=2
    )
    how = Training(epochs=12, batch_size=2, learning_rate=1e-2, ema=0.9)
    potential = train(start, *old, how).potential
    potential.card = replace(potential.card, name="old", title="Old argon")
    return potential


def krypton_of(dataset):
    """Of which the new data say nothing."""
    places = [k for k, a in enumerate(dataset.structures) if 36 in a.numbers]
    return dataset.select(places)


@pytest.fixture(scope="module")
def krypton(old):
    return krypton_of(old[0])


HOW = Training(epochs=8, batch_size=2, learning_rate=5e-3, ema=0.9)


@pytest.fixture(scope="module")
def tuned(trained, krypton, new):
    """Fine-tuned with old labels mixed in, and without."""
    return {
        ratio: fine_tune(trained, *new, HOW, replay=krypton, replay_ratio=ratio)
        for ratio in (0.0, 2.0)
    }


def test_the_new_is_learned_and_replay_keeps_the_old(tuned, old):
    without, with_replay = tuned[0.0], tuned[2.0]
    assert without.replay_before == with_replay.replay_before
    for one in tuned.values():
        assert one.new_after.energy_mae_meV < 0.02 * one.new_before.energy_mae_meV
        assert one.new_after.forces_mae_meV_per_A < 0.6 * (
            one.new_before.forces_mae_meV_per_A
        )
    fresh = krypton_of(old[1])
    forgotten, kept = (
        evaluate(one.potential, fresh).errors for one in (without, with_replay)
    )
    assert kept.forces_mae_meV_per_A < 0.7 * forgotten.forces_mae_meV_per_A
    assert kept.energy_mae_meV < 0.7 * forgotten.energy_mae_meV
    assert with_replay.replay_after.energy_mae_meV < 0.7 * (
        without.replay_after.energy_mae_meV
    )


def test_the_errors_are_those_of_the_potentials(tuned, trained, new):
    one = tuned[2.0]
    assert one.new_before == evaluate(trained, new[1]).errors
    assert one.new_after == evaluate(one.potential, new[1]).errors
    shifted = with_offset(trained, one.offset)
    assert one.new_shifted == evaluate(shifted, new[1]).errors


def test_the_card_says_both_errors_and_what_came_before(tuned, tmp_path):
    one = tuned[2.0]
    save_potential(one.potential, tmp_path / "a.safetensors")
    card = load_potential(tmp_path / "a.safetensors", "cpu").card
    for errors in (one.new_before, one.new_after, one.replay_after):
        assert f"{errors.forces_mae_meV_per_A:.3g} meV/Å" in card.notes[-1]
    assert card.title == "Old argon, fine-tuned"
    told = card.training["fine_tuning"]
    assert told["errors"]["replay_after"] == one.replay_after.to_dict()
    assert told["n_replay"] == 20
    assert told["offset_eV"] == pytest.approx({"Ar": one.offset[18]})


def test_energies_of_elements_move_to_the_new_level_of_theory(trained, old):
    moved = replace(
        old[1],
        energy=evaluate(trained, old[1]).energy[:, 0] * old[1].atoms_per_structure
        + np.array([OFFSET[int(a.numbers[0])] * len(a) for a in old[1].structures]),
    )
    assert fit_offset(trained, moved) == pytest.approx(OFFSET, abs=1e-6)
    errors = evaluate(with_offset(trained, OFFSET), moved).errors
    assert errors.energy_mae_meV == pytest.approx(0.0, abs=1e-3)
    assert evaluate(trained, moved).errors.energy_mae_meV > 400


def test_what_the_potential_labels_itself_it_has_not_forgotten_before(trained, new):
    tuner = FineTuner(trained, *new, replace(HOW, epochs=1), replay_ratio=0.5)
    assert len(tuner.replay) == 5
    assert len(tuner.held) == 6
    list(tuner.trainer)
    result = tuner.result()
    assert result.replay_before.energy_mae_meV == pytest.approx(0.0, abs=1e-3)
    assert result.replay_before.forces_mae_meV_per_A == pytest.approx(0.0, abs=1e-2)
    assert result.replay_after.energy_mae_meV > 0.1
    seen = {tuple(a.positions.ravel()) for a in tuner.replay.structures}
    assert not seen & {tuple(a.positions.ravel()) for a in tuner.held.structures}


def test_a_fine_tuning_cut_short_goes_on_with_the_same_replay(trained, new, tmp_path):
    how = replace(HOW, epochs=2)

    def tuner(name):
        return FineTuner(
            trained, *new, how, replay_ratio=1.0, checkpoint=tmp_path / name
        )

    whole = tuner("whole.pt")
    list(whole.trainer)
    cut = tuner("cut.pt")
    for count, _ in enumerate(cut.trainer):
        if count == 3:
            cut.trainer.stop()
    resumed = tuner("cut.pt")
    list(resumed.trainer)
    assert resumed.result().new_after == whole.result().new_after
    assert resumed.result().replay_after == whole.result().replay_after


def test_frozen_weights_and_the_given_potential_stay_as_they_are(new):
    potential = new_potential(
        "equivariant", ["Ar", "Kr"], cutoff=6.0, channels=4, lmax=1, n_interactions=2
    )
    assert fine_tuning_of(potential).frozen == ("embedding",)
    invariant = new_potential("behler-parrinello", ["Ar"])
    assert fine_tuning_of(invariant).frozen == ()
    before = {k: v.clone() for k, v in potential.network.state_dict().items()}
    frozen = ("embedding", "interactions.0")
    how = replace(HOW, epochs=1, frozen=frozen)
    result = fine_tune(potential, *new, how, replay_ratio=0.5, refit_shift=False)
    after = result.potential.network.state_dict()
    changed = {
        name for name, old in before.items() if not torch.equal(old, after[name])
    }
    assert changed
    assert not any(name.startswith((*frozen, "shift", "scale")) for name in changed)
    assert result.offset == {}
    now = potential.network.state_dict()
    assert all(torch.equal(old, now[name]) for name, old in before.items())


def test_replay_crystals_are_of_known_elements_old_and_new():
    known = {8, 11, 14, 17, 22, 38}
    crystals = replay_crystals([14], sorted(known), seed=3)
    found = [next(crystals) for _ in range(30)]
    for place, atoms in enumerate(found):
        assert set(atoms.numbers) != {14}
        assert set(atoms.numbers) <= known
        assert 4 <= len(atoms) <= 16
        assert (14 in atoms.numbers) == (place % 2 == 0)
    assert len({atoms.get_chemical_formula() for atoms in found}) > 8
    again = replay_crystals([14], sorted(known), seed=3)
    assert all(atoms == next(again) for atoms in found)


def test_a_replay_set_is_what_the_potential_says(trained, tmp_path):
    made = make_replay(trained, [18], 4, file=tmp_path / "replay.traj")
    first = trained.compute(made.structures[0])
    assert made.energy[0] == pytest.approx(float(first.energy[0]), abs=1e-5)
    assert made.forces[0] == pytest.approx(first.forces.numpy(), abs=1e-5)
    assert made.stress[0] == pytest.approx(first.stress[0].numpy(), abs=1e-6)
    again = make_replay(trained, [18], 4, file=tmp_path / "replay.traj")
    assert again.checksum == made.checksum
    assert again.source == "crystals labelled by Old argon"


def test_impossible_replay_is_refused(trained, new, old):
    with pytest.raises(ParameterError, match="replay_ratio >= 0"):
        FineTuner(trained, *new, replay_ratio=-1.0)
    with pytest.raises(ParameterError, match="two replay structures or more"):
        FineTuner(trained, *new, replay=old[0].select([0]))
    assert set(next(replay_crystals([14], [14])).numbers) == {14}, "nothing else"
    with pytest.raises(ParameterError, match="Give a replay set"):
        next(replay_crystals([85], [85]))
