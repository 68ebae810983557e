"""Invariant message passing: how far it sees, what it cannot see, and that it learns."""

import ase
import pytest
import torch
from ase.build import bulk, molecule
from learning import learned_copper

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.analysis import receptive_field, receptive_radius
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.potentials.invariant import InvariantParameters

ROUNDS = (1, 2, 4)


def double(elements, name="invariant", **shape):
    potential = new_potential(name, elements, seed=3, **shape)
    potential.network.double()
    return potential


def energies(potential, atoms):
    return potential.compute(atoms).atomic_energies


def chain(n_atoms):
    """Atoms 2.5 Å apart: with a cutoff of 4 Å only the next one is a neighbor."""
    positions = [[2.5 * k, 0.4 * (k % 2), 0] for k in range(n_atoms)]
    return ase.Atoms(f"Si{n_atoms}", positions=positions)


@pytest.mark.parametrize("name", ["invariant", "unconstrained", "direct-force"])
@pytest.mark.parametrize("n_rounds", ROUNDS)
def test_an_atom_within_reach_changes_an_energy_and_one_beyond_changes_nothing(
    name, n_rounds
):
    potential = double(["Si"], name, cutoff=4.0, n_rounds=n_rounds, n_channels=16)
    potential.network.mean_neighbors.fill_(2.0)
    assert receptive_radius(potential) == 4.0 * n_rounds
    atoms = chain(7)
    before = energies(potential, atoms)[0]
    field = receptive_field(potential, atoms, 0)
    assert field.tolist() == [k <= n_rounds for k in range(7)]
    for k in range(1, 7):
        moved = atoms.copy()
        moved.positions[k, 2] += 0.2
        change = abs(float(energies(potential, moved)[0] - before))
        if k <= n_rounds:
            # Random weights pass on a small part of what they hear.
            assert change > 1e-11
        else:
            assert change == 0.0


def test_the_radius_is_sharp():
    potential = double(["Ar"], cutoff=4.0, n_rounds=2)
    inside = ase.Atoms("Ar3", [[0, 0, 0], [3, 0, 0], [6, 0, 0]])
    outside = inside.copy()
    outside.positions[2, 0] = 7.01
    gone = outside[:2]
    pair = energies(potential, gone)[0]
    assert energies(potential, outside)[0] == pair
    assert abs(float(energies(potential, inside)[0] - pair)) > 1e-8


def test_distances_alone_are_seen_by_one_round():
    # Two neighbors at 90 and at 180 degrees: the angle is a distance of theirs, which
    # the atom between them hears of in the second round.
    bent = ase.Atoms("Si3", [[2.5, 0, 0], [0, 0, 0], [0, 2.5, 0]])
    straight = ase.Atoms("Si3", [[2.5, 0, 0], [0, 0, 0], [-2.5, 0, 0]])
    difference = []
    for n_rounds in (1, 2):
        potential = double(["Si"], cutoff=4.5, n_rounds=n_rounds)
        pair = energies(potential, [bent, straight]).reshape(2, 3)[:, 1]
        difference.append(abs(float(pair[0] - pair[1])))
    assert difference[0] < 1e-14
    assert difference[1] > 1e-8


def relabelled_benzene():
    """Each carbon takes the place of the next in the ring, with its hydrogen."""
    benzene = molecule("C6H6")
    benzene.rattle(0.05, seed=1)
    order = [1, 2, 3, 4, 5, 0, 7, 8, 9, 10, 11, 6]
    assert (benzene.numbers[order] == benzene.numbers).all()
    return benzene, benzene[order]


def test_relabelling_the_carbons_of_benzene_changes_nothing():
    benzene, relabelled = relabelled_benzene()
    potential = double(["H", "C"])
    difference = potential.compute([benzene, relabelled]).energy.diff()
    assert abs(float(difference)) < 1e-12


@pytest.mark.parametrize("name", ["invariant", "unconstrained", "direct-force"])
def test_mean_number_of_neighbors_is_counted_within_the_cutoff(name):
    potential = new_potential(name, ["Si"], cutoff=4.0)
    batch = AtomicBatch.from_atoms(bulk("Si"))
    # Diamond: 4 neighbors at 2.35 and 12 at 3.84 Å.
    potential.calibrate([(batch, find_neighbors(batch, 6.0))])
    assert float(potential.network.mean_neighbors) == 16.0


def test_it_learns_copper():
    _, losses = learned_copper("invariant", n_channels=32, steps=40)
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("name", ["invariant", "unconstrained", "direct-force"])
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"n_rounds": 0}, "n_rounds of one or more, got 0"),
        ({"cutoff": -1.0}, "cutoff above 0 .* got -1.0"),
        ({"n_channels": 0}, "n_channels of one or more"),
        ({"n_radial": 0}, "n_radial of one or more"),
    ],
)
def test_a_shape_without_a_network_is_refused(name, shape, words):
    with pytest.raises(ParameterError, match=words):
        new_potential(name, ["Si"], **shape)


def test_an_element_given_twice_is_refused():
    with pytest.raises(ParameterError, match="different atomic numbers"):
        InvariantParameters(elements=(14, 14))


def test_forces_can_be_trained_where_an_atom_has_no_neighbors():
    potential = new_potential("invariant", ["Si"])
    potential.network.requires_grad_(requires_grad=True)
    batch = AtomicBatch.from_atoms([ase.Atoms("Si"), chain(2)])
    labels = potential.labels(batch, find_neighbors(batch, 5.0), with_strain=True)
    (labels.positions**2).sum().backward()
    for weight in potential.network.parameters():
        assert weight.grad is None or bool(torch.isfinite(weight.grad).all())


@pytest.mark.parametrize("name", ["invariant", "unconstrained", "direct-force"])
def test_what_a_neighbor_does_ends_as_the_third_power_or_more_of_the_way_left(
    name,
):
    # So the energy is smooth at the cutoff, up to its second derivative.
    potential = double(["Si"], name, cutoff=5.0)
    pairs = [ase.Atoms("Si2", [[0, 0, 0], [5.0 - h, 0, 0]]) for h in (0.2, 0.1, -1)]
    energy = potential.compute(pairs).energy
    far, near = abs(float(energy[0] - energy[2])), abs(float(energy[1] - energy[2]))
    assert far > 1e-9
    assert far > 6.5 * near


@pytest.mark.parametrize("name", ["invariant", "unconstrained", "direct-force"])
def test_a_saved_network_predicts_the_same_to_the_last_bit(name, tmp_path):
    potential = new_potential(name, ["H", "C"], n_channels=8, n_rounds=2, cutoff=4)
    potential.network.mean_neighbors.fill_(7.0)
    save_potential(potential, tmp_path / "network.safetensors")
    loaded = load_potential(tmp_path / "network.safetensors", "cpu")
    benzene, _ = relabelled_benzene()
    assert type(loaded) is type(potential)
    assert loaded.parameters == potential.parameters
    assert torch.equal(
        loaded.compute(benzene).forces, potential.compute(benzene).forces
    )
