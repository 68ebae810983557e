"""The loss is what its equation says, and batches of any make have the same."""

import numpy as np
import pytest
import torch

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Slopes
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.training.batches import LabeledBatch, TrainingSet
from gnndesign.training.loss import Loss
from gnndesign.training.rotations import random_rotations
from gnndesign.units import EV_PER_A3_TO_GPA


@pytest.fixture(scope="module")
def structures(argon):
    return TrainingSet(argon[0], LennardJones(cutoff=6.0))


def wrong_by(part, *, energy=0.0, force=0.0, stress_GPa=0.0):
    """Slopes with an error of so much an atom and component."""
    batch, labels = part.batch, part.labels
    atomic = labels.energy / batch.atoms_per_system + energy
    stress = labels.stress + stress_GPa / EV_PER_A3_TO_GPA
    return Slopes(
        atomic_energies=atomic[batch.system_index],
        positions=-(labels.forces + force),
        strain=stress * batch.volume[:, None, None],
    )


@pytest.mark.parametrize(
    ("kind", "f"), [("mse", 9.0), ("mae", 3.0), ("huber", 3.0 - 0.5)]
)
def test_an_error_of_three_units_counts_as_the_equation_says(kind, f, structures):
    part = structures.batch([0, 1, 2])
    for name, wrong in (
        ("energy", {"energy": 0.03}),
        ("forces", {"force": 0.3}),
        ("stress", {"stress_GPa": 3.0}),
    ):
        only = {"energy": 0.0, "forces": 0.0, "stress": 0.0} | {name: 2.0}
        loss = Loss(kind=kind, **only)
        value = loss(part.batch, wrong_by(part, **wrong), part.labels, 0.3)
        assert float(value) == pytest.approx(2.0 * f, rel=1e-6)
        others = {"energy": 0.03, "force": 0.3, "stress_GPa": 3.0}
        for key in wrong:
            del others[key]
        value = loss(part.batch, wrong_by(part, **others), part.labels, 0.3)
        assert float(value) == pytest.approx(0.0, abs=1e-12)


def test_weights_go_geometrically_from_start_to_end():
    loss = Loss(energy=(0.01, 1.0), forces=2.0, stress=0.0)
    assert loss.weights(0.0) == (0.01, 2.0, 0.0)
    assert loss.weights(0.5) == pytest.approx((0.1, 2.0, 0.0))
    assert loss.weights(1.0) == pytest.approx((1.0, 2.0, 0.0))
    assert not loss.wants_stress


@pytest.mark.parametrize(
    "wrong",
    [
        {"energy": -1.0},
        {"forces": (0.0, 1.0)},
        {"stress": (1.0, 2.0, 3.0)},
        {"kind": "square"},
        {"huber_delta": 0.0},
        {"energy": 0.0, "forces": 0.0, "stress": 0.0},
    ],
    ids=str,
)
def test_a_loss_that_means_nothing_is_refused(wrong):
    with pytest.raises(ParameterError, match="Wanted"):
        Loss(**wrong)


def test_batches_are_filled_by_edges_and_hold_every_structure_once(structures):
    order = np.random.default_rng(1).permutation(len(structures)).tolist()
    bound = 2.5 * structures.n_edges.mean()
    batches = structures.batches_of(order, bound)
    assert [place for places in batches for place in places] == order
    assert len(batches) > 3
    for places in batches:
        assert len(places) == 1 or structures.n_edges[places].sum() <= bound


def test_turned_structures_have_turned_labels(structures):
    part = structures.batch([0, 3, 5])
    turned = part.turned(random_rotations(3, torch.Generator().manual_seed(2)))
    teacher = LennardJones(cutoff=6.0)
    found = teacher.predict(turned.batch, turned.edges)
    assert (turned.batch.positions - part.batch.positions).abs().max() > 0.5
    torch.testing.assert_close(found.forces, turned.labels.forces)
    torch.testing.assert_close(found.stress, turned.labels.stress)


def test_one_batch_is_the_same_as_its_parts(structures):
    together = structures.batch([2, 4, 7])
    teacher = LennardJones(cutoff=6.0)
    forces = [
        teacher.predict(part.batch, part.edges).forces
        for part in (structures.parts[k] for k in (2, 4, 7))
    ]
    found = teacher.predict(together.batch, together.edges).forces
    torch.testing.assert_close(found, torch.cat(forces), rtol=0.0, atol=1e-12)
    assert isinstance(LabeledBatch.concatenate([together]), LabeledBatch)
