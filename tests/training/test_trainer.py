"""Training: it learns, it stops where it should, and it goes on as if never cut."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnndesign.errors import CheckpointError, FitError, ParameterError
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import evaluate
from gnndesign.training.loss import Loss
from gnndesign.training.options import Training
from gnndesign.training.results import train
from gnndesign.training.trainer import Trainer

SHORT = Training(epochs=3, batch_size=4, learning_rate=5e-3, warmup_epochs=0.5, seed=3)


def small(**changes):
    shape = {"channels": 4, "lmax": 1, "n_interactions": 2, "cutoff": 6.0}
    return new_potential("equivariant", ["Ar"], seed=1, **(shape | changes))


def weights(potential):
    return {k: v.clone() for k, v in potential.network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[k], other[k]) for k in one)


def test_training_brings_the_errors_down_and_the_card_says_to_where(argon):
    data, validation = argon
    start = small()
    before = weights(start)
    result = train(start, data, validation, replace(SHORT, epochs=25, batch_size=2))
    errors = evaluate(result.potential, validation).errors
    spread = 1e3 * np.sqrt(np.mean(np.concatenate(validation.forces) ** 2))
    assert errors.forces_rmse_meV_per_A < 0.5 * spread
    assert errors.energy_rmse_meV < 2.0
    assert errors.stress_rmse_GPa < 0.1
    assert errors == result.parity.errors == result.best.validation
    card = result.potential.card
    assert card.training["validation_errors"] == errors.to_dict()
    assert card.training["data"]["n_structures"] == len(data)
    assert f"{errors.energy_mae_meV:.3g} meV an atom" in card.notes[0]
    assert result.reason == "all 25 epochs are through"
    assert same(weights(start), before), "the given potential is not modified"


def test_a_trained_potential_is_the_same_from_its_file(argon, tmp_path):
    result = train(small(), *argon, SHORT)
    save_potential(result.potential, tmp_path / "argon.safetensors")
    loaded = load_potential(tmp_path / "argon.safetensors", "cpu")
    assert evaluate(loaded, argon[1]).errors == result.best.validation
    assert loaded.card.training == json.loads(
        json.dumps(result.potential.card.training)
    )


@pytest.mark.parametrize("cut", [1, 4, 6, 11])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment_rotations": True, "optimizer": "adamw", "weight_decay": 1e-3},
        {"dtype": "float64", "ema": 0.0, "decay": "exponential"},
    ],
    ids=["plain", "rotations", "float64"],
)
def test_a_training_cut_anywhere_goes_on_as_if_never_cut(cut, changes, argon, tmp_path):
    training = replace(SHORT, **changes)
    whole = Trainer(small(), *argon, training)
    moments = list(whole)
    trainer = Trainer(small(), *argon, training, checkpoint=tmp_path / "a.pt")
    for count, _ in enumerate(trainer, 1):
        if count == cut:
            trainer.save(tmp_path / "a.pt")
            break
    resumed = Trainer(small(), *argon, training, checkpoint=tmp_path / "a.pt")
    assert len(list(resumed)) == len(moments) - cut
    assert same(weights(whole.potential("last")), weights(resumed.potential("last")))
    assert same(weights(whole.potential()), weights(resumed.potential()))
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert (one.loss, one.score, one.validation) == (
            other.loss,
            other.score,
            other.validation,
        )


def test_a_training_that_was_stopped_is_extended(argon, tmp_path):
    training = replace(SHORT, decay="none", epochs=2)
    first = train(small(), *argon, training, checkpoint=tmp_path / "a.pt")
    more = replace(training, epochs=4)
    second = train(small(), *argon, more, checkpoint=tmp_path / "a.pt")
    assert len(first.history) == 2
    assert second.history[:2] == first.history
    assert [report.epoch for report in second.history] == [1, 2, 3, 4]


def test_the_checkpoint_of_another_training_is_refused(argon, tmp_path):
    train(small(), *argon, SHORT, checkpoint=tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="of another training"):
        Trainer(small(), *argon, replace(SHORT, seed=4), checkpoint=tmp_path / "a.pt")
    (tmp_path / "a.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        Trainer(small(), *argon, SHORT, checkpoint=tmp_path / "a.pt")


def test_training_ends_without_a_better_validation(argon):
    data, validation = argon
    training = replace(SHORT, epochs=30, patience=3, learning_rate=1e-9, ema=0.0)
    trainer = Trainer(small(), data, validation, training)
    list(trainer)
    assert trainer.reason == "no better validation for 3 epochs"
    assert trainer.history[-1].epoch == trainer.best.epoch + 3


def test_frozen_weights_stay(argon):
    start = small()
    training = replace(SHORT, frozen=("interactions.0", "embedding"), calibrate=False)
    trained = train(start, *argon, training).potential
    before, after = weights(start), weights(trained)
    for name, weight in before.items():
        kept = name.startswith(training.frozen) or name.endswith(
            ("scale", "shift", "denominator")
        )
        assert torch.equal(weight, after[name]) == kept, name
    with pytest.raises(ParameterError, match="they begin with"):
        train(start, *argon, replace(SHORT, frozen=("embeding",)))
    every = tuple({name.split(".")[0] for name in before})
    with pytest.raises(ParameterError, match="nothing to train"):
        train(start, *argon, replace(SHORT, frozen=every))


def test_a_learning_rate_beyond_all_bounds_is_an_error_not_a_potential(argon):
    training = replace(SHORT, learning_rate=9.0, loss=Loss(forces=1e308))
    with pytest.raises(FitError, match="smaller learning rate"):
        train(small(), *argon, training)


def test_a_weight_for_labels_that_are_not_there_is_refused(argon):
    data, validation = argon
    bare = replace(data, forces=(None,) * len(data))
    with pytest.raises(ParameterError, match=r"weight of 1\.0 for forces"):
        train(small(), bare, validation, SHORT)
    energies = replace(SHORT, loss=Loss(forces=0.0, stress=0.0))
    assert train(small(), bare, validation, energies).history


def test_missing_labels_are_left_out_of_loss_and_errors(argon):
    data, validation = argon
    holes = replace(
        validation,
        energy=np.where(np.arange(len(validation)) < 4, np.nan, validation.energy),
        forces=tuple(f if k % 2 else None for k, f in enumerate(validation.forces)),
        stress=np.where(
            np.arange(len(validation))[:, None, None] < 6, np.nan, validation.stress
        ),
    )
    potential = train(small(), data, validation, SHORT).potential
    errors = evaluate(potential, holes).errors
    kept = evaluate(potential, Dataset.select(validation, [4, 5, 6, 7])).errors
    assert errors.energy_mae_meV == pytest.approx(kept.energy_mae_meV)
    kept = evaluate(potential, Dataset.select(validation, [6, 7])).errors
    assert errors.stress_mae_GPa == pytest.approx(kept.stress_mae_GPa)
    assert np.isfinite(train(small(), holes, validation, SHORT).best.score)


def test_an_untrained_network_starts_at_the_mean_energy_of_its_data(argon):
    trainer = Trainer(small(), *argon, SHORT)
    found = trainer.validate().energy
    assert found[:, 0].mean() == pytest.approx(found[:, 1].mean(), abs=0.1)


def test_the_learning_rate_rises_and_falls():
    training = Training(epochs=10, warmup_epochs=2.0, learning_rate=0.1)
    assert training.rate(0.0) == 0.0
    assert training.rate(1.0) == pytest.approx(0.05)
    assert training.rate(2.0) == pytest.approx(0.1)
    assert training.rate(6.0) == pytest.approx(0.1 * (0.01 + 0.99 * 0.5))
    assert training.rate(10.0) == pytest.approx(0.001)
    falling = replace(training, decay="exponential")
    assert falling.rate(6.0) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"ema": 1.0},
        {"optimizer": "sgd"},
        {"dtype": "float16"},
        {"patience": 0},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Training(**wrong)
