"""The fast form of Behler-Parrinello networks says what the network in torch says."""

import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.fast_sums import MOST_CHANNELS

TOLERANCE = {torch.float32: 1e-5, torch.float64: 2e-6}
"""Relative to the largest number. In float64 it is that of the table, in float32
rounding joins it."""


def structures(elements):
    """A rattled crystal, a smaller one, and a chain of atoms in a box without walls."""
    numbers = np.random.default_rng(2)
    crystal = bulk("Si", cubic=True).repeat((2, 1, 1))
    small = bulk("Si")
    chain = bulk("Si", cubic=True)[:3]
    chain.pbc = False
    for atoms in (crystal, small, chain):
        atoms.positions += 0.1 * numbers.normal(size=atoms.positions.shape)
        atoms.numbers[:] = numbers.choice(elements, len(atoms))
    return [crystal, small, chain]


def prepared(elements=(14,), dtype=torch.float32, **shape):
    potential = new_potential("behler-parrinello", elements, seed=3, **shape)
    potential.network.to(dtype)
    batch = AtomicBatch.from_atoms(structures(elements))
    # More pairs than are in reach: they must not count.
    edges = find_neighbors(batch, potential.cutoff + 0.4)
    potential.calibrate([(batch, edges)])
    with torch.no_grad():
        potential.network.scale.copy_(torch.linspace(0.5, 1.5, len(elements)))
        potential.network.shift.copy_(torch.linspace(-4.0, -5.0, len(elements)))
    return potential, batch, edges


def compare(potential, batch, edges):
    potential.kernel = "fused"
    fast = potential.energy_and_slopes(batch, edges)
    plain = potential.plain_slopes(batch, edges)
    for name in ("atomic_energies", "positions", "strain"):
        found, wanted = getattr(fast, name), getattr(plain, name)
        limit = TOLERANCE[potential.dtype] * float(wanted.abs().max())
        assert float((found - wanted).abs().max()) < limit, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"zeta": (1, 3), "hidden": (5,), "n_angular_shifted": 20, "n_shifted": 17},
        {"n_angular_centered": 0, "n_angular_shifted": 0, "hidden": ()},
    ],
    ids=["usual", "wider than a register", "radial alone"],
)
def test_fast_and_plain_agree(shape, dtype):
    compare(*prepared(dtype=dtype, **shape))


@pytest.mark.parametrize("resolved", ["elements", "weighted"])
def test_fast_and_plain_agree_for_several_elements(resolved):
    shape = {"n_shifted": 4, "n_angular_shifted": 2, "zeta": (1, 2)}
    compare(*prepared((6, 14, 32), resolved=resolved, **shape))


def test_threads_change_nothing_but_the_order_of_sums():
    potential, batch, edges = prepared(n_angular_shifted=2)
    potential.kernel = "fused"
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(potential.energy_and_slopes(batch, edges))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        torch.testing.assert_close(other.positions, found[0].positions)
        torch.testing.assert_close(other.strain, found[0].strain)


def test_new_weights_and_statistics_are_seen():
    potential, batch, edges = prepared(n_angular_shifted=2)
    compare(potential, batch, edges)
    with torch.no_grad():
        potential.network.networks.weights[0].mul_(1.5)
    compare(potential, batch, edges)
    with torch.no_grad():
        potential.network.standardization.mean.add_(0.3)
    compare(potential, batch, edges)


def test_what_is_no_number_stays_none():
    potential, batch, edges = prepared(n_angular_shifted=2)
    potential.kernel = "fused"
    broken = batch.positions.clone()
    broken[0, 1] = torch.nan
    found = potential.predict(
        batch.with_geometry(positions=broken, cell=batch.cell), edges
    )
    assert found.finite_systems(batch).tolist() == [False, True, True]


def test_atoms_without_neighbors_feel_nothing():
    potential, *_ = prepared(n_angular_shifted=2)
    far = bulk("Si", cubic=True)[:2]
    far.pbc = False
    far.positions[1] += 50.0
    near = bulk("Si", cubic=True)[:2]
    near.pbc = False
    batch = AtomicBatch.from_atoms([far, near])
    edges = find_neighbors(batch, potential.cutoff)
    compare(potential, batch, edges)
    assert not potential.predict(batch, edges).forces[:2].any()


def test_too_many_elements_are_left_to_the_plain_network():
    elements = tuple(range(6, 6 + MOST_CHANNELS + 1))
    potential, batch, edges = prepared(elements, n_angular_shifted=1, zeta=(1,))
    potential.kernel = "auto"
    found = potential.energy_and_slopes(batch, edges)
    plain = potential.plain_slopes(batch, edges)
    assert torch.equal(found.positions, plain.positions)
    assert "told apart" in potential.describe_kernel()
    potential.kernel = "fused"
    with pytest.raises(ParameterError, match="no fused form"):
        potential.predict(batch, edges)
