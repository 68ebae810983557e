"""Symmetry functions as they are defined, and networks of them."""

import itertools
from math import cos, exp, pi

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from salt import SALT

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.behler_parrinello import BehlerParrinelloParameters
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.files import save_potential


def batch_of(potential, structures):
    batch = AtomicBatch.from_atoms(structures)
    return batch, find_neighbors(batch, potential.cutoff)


def trained(dtype=torch.float64, **shape):
    """Random weights, standardised on the structures of the tests."""
    potential = new_potential("behler-parrinello", ["Na", "Cl"], seed=4, **shape)
    potential.network.to(dtype)
    potential.calibrate([batch_of(potential, SALT)])
    return potential


def functions_of(potential, structures):
    batch, edges = batch_of(potential, structures)
    with torch.no_grad():
        return potential.network.symmetry_functions(
            potential.species(batch), batch, edges
        ).numpy()


def by_definition(atoms, shape):
    """(n_atoms, n_features) with a loop over every triplet."""
    edges = find_neighbors(AtomicBatch.from_atoms(atoms), shape.cutoff)
    vectors = edges.vectors(AtomicBatch.from_atoms(atoms)).numpy()
    eta, center = shape.gaussians()
    n, rows = shape.n_radial, []

    def gaussian(k, r):
        x = r / shape.cutoff
        return exp(-eta[k] * (r - center[k]) ** 2) * (
            1 - x**3 * (10 - 15 * x + 6 * x**2)
        )

    def counts(j, channel):
        number = atoms.numbers[j]
        if shape.resolved == "weighted":
            return number / max(shape.elements)
        return float(number == shape.elements[channel])

    for i in range(len(atoms)):
        mine = [
            (int(j), v, np.linalg.norm(v))
            for j, v in zip(
                edges.neighbors[edges.centers == i],
                vectors[edges.centers.numpy() == i],
                strict=True,
            )
        ]
        row = [
            sum(counts(j, a) * gaussian(k, r) for j, _, r in mine)
            for a in range(shape.n_channels)
            for k in range(n)
        ]
        for a, b in shape.channel_pairs:
            for k in range(n, n + shape.n_angular):
                for zeta, sign in shape.angles:
                    total = 0.0
                    for (j, u, r), (m, v, s) in itertools.combinations(mine, 2):
                        both = counts(j, a) * counts(m, b)
                        if a != b:
                            both += counts(j, b) * counts(m, a)
                        bend = (1 + sign * (u @ v) / (r * s)) ** zeta
                        total += both * bend * gaussian(k, r) * gaussian(k, s)
                    row.append(2.0 ** (1 - zeta) * total)
        rows.append(row)
    return np.array(rows)


SMALL = {
    "cutoff": 4.0,
    "n_centered": 2,
    "n_shifted": 2,
    "n_angular_centered": 1,
    "n_angular_shifted": 2,
    "zeta": (1, 2, 3, 7),
}


@pytest.mark.parametrize("resolved", ["elements", "weighted"])
@pytest.mark.parametrize("atoms", SALT, ids=lambda atoms: str(atoms.symbols))
def test_symmetry_functions_are_the_sums_over_pairs_and_triplets(atoms, resolved):
    potential = new_potential(
        "behler-parrinello", ["Cl", "Na"], resolved=resolved, **SMALL
    )
    potential.network.double()
    expected = by_definition(atoms, potential.parameters)
    assert expected.std() > 0.05
    np.testing.assert_allclose(functions_of(potential, atoms), expected, atol=1e-12)


def test_an_angular_function_tells_a_bent_molecule_from_a_straight_one():
    shape = {"n_angular_centered": 1, "n_angular_shifted": 0, "zeta": (2,)}
    potential = new_potential("behler-parrinello", ["O", "H"], **shape)
    potential.network.double()

    def water(angle):
        away = [0.96 * cos(angle), 0.96 * (1 - cos(angle) ** 2) ** 0.5, 0]
        atoms = ase.Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], away])
        features = functions_of(potential, atoms)[0]
        pairs = potential.parameters.channel_pairs
        # Of two hydrogen, which come first among the elements; λ = -1, 1.
        start = 2 * potential.parameters.n_radial + 2 * pairs.index((0, 0))
        return features[start : start + 2]

    straight, square = water(pi), water(pi / 2)
    assert straight[1] == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_allclose(straight[0], 4 * square[0], rtol=1e-12)
    np.testing.assert_allclose(square[0], square[1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("resolved", ["elements", "weighted"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_behler_parrinello_network_conforms(check, resolved, dtype):
    check(trained(dtype, resolved=resolved), SALT)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_network_that_has_seen_no_data_conforms(check):
    check(new_potential("behler-parrinello", ["Na", "Cl"], seed=1), SALT)


def test_calibration_standardises_the_functions_of_each_element():
    potential = trained(least_spread=1e-3)
    batch, edges = batch_of(potential, SALT)
    species = potential.species(batch)
    network = potential.network
    with torch.no_grad():
        features = network.symmetry_functions(species, batch, edges)
        scaled = network.standardization(features, species)
    for element in range(2):
        mine = scaled[species == element]
        torch.testing.assert_close(mine.mean(0), torch.zeros_like(mine[0]))
        spread = mine.std(0, correction=0)
        assert spread.max() == pytest.approx(1.0)
        assert (spread > 0.99).sum() > 0.5 * len(spread)
        assert spread.max() < 1.0 + 1e-9


def test_calibration_in_parts_is_calibration_at_once():
    at_once, in_parts = trained(), trained()
    in_parts.calibrate([batch_of(in_parts, atoms) for atoms in SALT])
    for name, values in at_once.network.standardization.state_dict().items():
        other = in_parts.network.standardization.state_dict()[name]
        torch.testing.assert_close(other, values, rtol=1e-10, atol=1e-12)


def test_functions_that_never_vary_do_not_blow_up_the_energy():
    potential = new_potential("behler-parrinello", ["Si", "Ge"], seed=2)
    potential.calibrate([batch_of(potential, bulk("Si"))])
    rattled = bulk("Si", cubic=True)
    rattled.rattle(0.05, seed=1)
    found = potential.compute([rattled, bulk("Ge")])
    assert found.energy.abs().max() < 100
    assert found.forces.abs().max() < 100


def test_a_saved_network_comes_back_with_its_standardisation(tmp_path):
    potential = trained(torch.float32)
    path = tmp_path / "salt.safetensors"
    save_potential(potential, path)
    again = load_potential(path, "cpu")
    before, after = potential.compute(SALT), again.compute(SALT)
    assert torch.equal(before.energy, after.energy)
    assert torch.equal(before.forces, after.forces)
    untouched = new_potential("behler-parrinello", ["Na", "Cl"], seed=4)
    assert not torch.allclose(untouched.compute(SALT).energy, after.energy)


def test_forces_can_be_trained():
    potential = trained()
    batch, edges = batch_of(potential, SALT)
    network = potential.network.requires_grad_()
    labels = potential.labels(batch, edges, with_strain=True)
    loss = labels.positions.square().sum() + labels.strain.square().sum()
    gradients = torch.autograd.grad(loss, list(network.networks.weights))
    weight, step = network.networks.weights[0], 1e-5
    with torch.no_grad():
        direction = gradients[0] / gradients[0].norm()
        values = []
        for sign in (1, -1):
            weight += sign * step * direction
            moved = potential.labels(batch, edges, with_strain=True)
            values.append(moved.positions.square().sum() + moved.strain.square().sum())
            weight -= sign * step * direction
    slope = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(slope, gradients[0].norm(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elements": ()}, "elements"),
        ({"elements": (14, 14)}, "different"),
        ({"cutoff": 0.0}, "cutoff above zero"),
        ({"innermost": 5.0}, "innermost"),
        ({"n_centered": 0, "n_shifted": 0}, "radial"),
        ({"zeta": ()}, "zeta"),
        ({"zeta": (0, 1)}, "zeta"),
        ({"zeta": (12,)}, "zeta"),
        ({"hidden": (0,)}, "hidden"),
        ({"least_spread": 0.0}, "least spread"),
    ],
)
def test_a_shape_that_is_none_is_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        BehlerParrinelloParameters(**({"elements": (14,)} | changes))
