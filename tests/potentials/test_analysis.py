"""Features of atoms turn as their irreps say, and reach as far as the layers do."""

import ase
import pytest
import torch
from ase.build import bulk
from scipy.spatial.transform import Rotation

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, UnsupportedElementError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.algebra import SCALAR, Irrep
from gnndesign.potentials.analysis import (
    node_features,
    norms_by_l,
    receptive_field,
    receptive_radius,
)
from gnndesign.potentials.catalog import load_potential

TURN = Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()


@pytest.fixture(scope="module")
def double():
    """SevenNet-0 in torch and float64."""
    potential = load_potential("sevennet-0", "cpu")
    potential.kernel = "plain"
    potential.network.double()
    return potential


def rattled_salt():
    atoms = bulk("NaCl", "rocksalt", 5.6)
    atoms.rattle(0.1, seed=4)
    return atoms


def turned(atoms):
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ TURN.T)
    copy.positions = atoms.positions @ TURN.T
    return copy


def chain(n_atoms, spacing):
    positions = [[k * spacing, 0.3 * (k % 2), 0] for k in range(n_atoms)]
    return ase.Atoms(f"Si{n_atoms}", positions=positions)


def test_there_is_one_set_of_features_a_layer_by_irrep(sevennet_0):
    layers = node_features(sevennet_0, [rattled_salt(), chain(3, 2.4)])
    assert len(layers) == 6
    shapes = {str(ir): tuple(x.shape) for ir, x in layers[2].items()}
    assert shapes == {"0e": (5, 1, 128), "1e": (5, 3, 64), "2e": (5, 5, 32)}
    assert set(layers[0]) == set(layers[-1]) == {SCALAR}


def test_the_last_features_are_what_the_energy_is_read_from(double):
    atoms = rattled_salt()
    network = double.network
    last = node_features(double, atoms)[-1]
    with torch.no_grad():
        raw = network.readout(last)[SCALAR][:, 0, 0]
    places = [double.parameters.elements.index(n) for n in atoms.numbers]
    energies = raw * network.scale[places] + network.shift[places]
    expected = double.compute(atoms).atomic_energies
    torch.testing.assert_close(energies, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_vectors_turn_with_the_structure_and_scalars_stay(double, layer):
    before = node_features(double, rattled_salt())[layer]
    after = node_features(double, turned(rattled_salt()))[layer]
    vector = Irrep(1, 1)
    turn = torch.as_tensor(TURN)
    assert float(before[vector].abs().max()) > 0.01
    expected = torch.einsum("ij,njc->nic", turn, before[vector])
    torch.testing.assert_close(after[vector], expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(after[SCALAR], before[SCALAR], rtol=0, atol=1e-11)


def test_lengths_of_features_do_not_turn(double):
    before = norms_by_l(node_features(double, rattled_salt())[2])
    after = norms_by_l(node_features(double, turned(rattled_salt()))[2])
    assert {l: tuple(x.shape) for l, x in before.items()} == {
        0: (2, 128),
        1: (2, 64),
        2: (2, 32),
    }
    for l, lengths in before.items():
        torch.testing.assert_close(after[l], lengths, rtol=0, atol=1e-11)


def test_an_unknown_element_has_no_features(sevennet_0):
    with pytest.raises(UnsupportedElementError, match="not Po"):
        node_features(sevennet_0, ase.Atoms("Po"))


def test_the_radius_is_layers_times_cutoff(sevennet_0):
    assert receptive_radius(sevennet_0) == 25.0


def slopes_of_the_first_energy(potential, atoms):
    batch = AtomicBatch.from_atoms(atoms)
    positions = batch.positions.requires_grad_()
    batch = batch.with_geometry(positions=positions, cell=batch.cell)
    energies = potential.atomic_energies(batch, find_neighbors(batch, potential.cutoff))
    (slope,) = torch.autograd.grad(energies[0], positions)
    return slope.norm(dim=1)


def test_an_energy_depends_on_the_atoms_of_its_field_and_on_no_other(
    double,
):
    # Steps of 3.1 Å: one neighbor on each side, five layers, so atoms 0 to 5.
    atoms = chain(9, 3.1)
    field = receptive_field(double, atoms, 0)
    assert field.tolist() == [True] * 6 + [False] * 3
    slope = slopes_of_the_first_energy(double, atoms)
    assert bool((slope[field] > 0).all())
    assert bool((slope[~field] == 0).all())


def test_two_molecules_out_of_reach_are_no_field_of_each_other(sevennet_0):
    pair = chain(2, 2.4)
    far = chain(2, 2.4)
    far.positions += [0, 0, 5.2]
    field = receptive_field(sevennet_0, pair + far, 3)
    assert field.tolist() == [False, False, True, True]


def test_the_field_of_a_crystal_is_all_of_it(sevennet_0):
    field = receptive_field(sevennet_0, bulk("Si") * 2, 0)
    assert bool(field.all())


def test_an_atom_that_is_not_there_is_refused(sevennet_0):
    with pytest.raises(ParameterError, match="Wanted an atom of 0 to 1, got 2"):
        receptive_field(sevennet_0, bulk("Si"), 2)
