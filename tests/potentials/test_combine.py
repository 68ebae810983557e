"""Sums of potentials: their numbers, their card, what they refuse, where they run."""

import ase
import pytest
import torch
from ase.build import bulk, molecule

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError, UnsupportedElementError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.combine import SumPotential, combine
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.dispersion import D3Dispersion
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.potentials.zbl import ZBL
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.relaxation import relax


def network(elements=("H", "C", "O"), name="invariant", **shape):
    potential = new_potential(name, elements, **shape)
    potential.network.double()
    return potential


def rattled(atoms, seed=1):
    atoms.rattle(0.05, seed=seed)
    return atoms


STRUCTURES = [rattled(bulk("C")), rattled(molecule("CH3CH2OH"))]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_network_with_repulsion_conforms(check):
    check(network() + ZBL(reach=1.2), STRUCTURES)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sum_lacks_what_one_of_its_terms_lacks(check):
    check(network(name="unconstrained") + network(name="direct-force"), STRUCTURES)


def test_energy_forces_and_stress_are_sums():
    terms = [network(), ZBL(reach=1.2), D3Dispersion("pbe")]
    found = combine(*terms).compute(STRUCTURES)
    for quantity in ("energy", "forces", "stress"):
        expected = sum(getattr(t.compute(STRUCTURES), quantity) for t in terms)
        torch.testing.assert_close(getattr(found, quantity), expected)
    assert found.atomic_energies is None  # D3 has none.
    atomic = combine(*terms[:2]).compute(STRUCTURES).atomic_energies
    assert float(atomic.sum()) == pytest.approx(
        sum(float(t.compute(STRUCTURES).energy.sum()) for t in terms[:2])
    )


def test_each_term_is_given_the_neighbors_within_its_own_cutoff():
    class Counting(LennardJones):
        def atomic_energies(self, batch, edges):
            self.counted = edges.n_edges
            return super().atomic_energies(batch, edges)

    near, far = Counting(cutoff=4.0), Counting(cutoff=8.0)
    potential = near + far
    argon = bulk("Ar", "fcc", 5.2)
    batch = AtomicBatch.from_atoms(argon)
    assert potential.cutoff == 8.0
    potential.predict(batch, find_neighbors(batch, potential.cutoff))
    assert near.counted == find_neighbors(batch, 4.0).n_edges == 12
    assert far.counted == find_neighbors(batch, 8.0).n_edges


def test_the_card_says_what_is_in_it():
    first, second = network(["Si", "O"]), ZBL()
    card = (first + second).card
    assert card.name == "untrained + zbl"
    assert "Invariant message passing" in card.title
    assert "Ziegler" in card.title
    assert card.elements == (8, 14)
    assert card.cutoff == second.cutoff
    assert card.checksum == (second + first).card.checksum
    assert card.checksum != (first + second + second).card.checksum
    assert any(note.startswith("zbl: ") for note in card.notes)


def test_a_sum_in_a_sum_is_one_sum():
    a, b, c = network(), ZBL(), LennardJones()
    assert (a + (b + c)).terms == ((a + b) + c).terms == (a, b, c)


def test_a_sum_refuses_what_a_term_refuses():
    naive = new_potential("naive", ["H", "O"], atomic_numbers=(8, 1, 1))
    potential = naive + ZBL()
    assert not potential.is_extensive
    potential.compute(molecule("H2O"))
    with pytest.raises(StructureError, match="got O2"):
        potential.compute(molecule("O2"))
    with pytest.raises(UnsupportedElementError, match="Si"):
        potential.compute(ase.Atoms("Si"))


def test_a_sum_computes_as_coarsely_as_its_coarsest_term():
    coarse = new_potential("invariant", ["C"])
    assert (coarse + ZBL()).dtype == torch.float32
    assert (network() + ZBL()).dtype == torch.float64


def test_dispersion_alone_and_with_another_like_it_wants_no_neighbors():
    potential = D3Dispersion("pbe") + D3Dispersion("rpbe")
    assert potential.cutoff is None
    assert float(potential.compute(molecule("C6H6")).energy) < -0.2


def test_a_sum_relaxes_and_moves_like_any_potential():
    argon = bulk("Ar", "fcc", 5.2, cubic=True)
    potential = LennardJones() + D3Dispersion("pbe") + ZBL(reach=1.5)
    relaxed = relax(rattled(argon), potential, max_force=0.005, max_steps=200)
    assert relaxed.status == Status.CONVERGED
    history = molecular_dynamics(
        argon, potential, ensemble="nve", temperature_K=60.0, steps=40, seed=1
    ).history
    total = history.energy + history.kinetic_energy
    assert total.std() < 1e-4 * len(argon)
    assert history.energy.std() > 10 * total.std()


def test_argon_binds_more_strongly_with_dispersion():
    argon = bulk("Ar", "fcc", 5.2)
    alone = LennardJones()
    with_dispersion = alone + D3Dispersion("pbe")
    assert float(with_dispersion.compute(argon).energy) < float(
        alone.compute(argon).energy
    )


def test_one_term_is_no_sum():
    with pytest.raises(
        ParameterError, match="two or more potentials to add, got 'zbl'"
    ):
        SumPotential([ZBL()])


def test_terms_without_a_common_element_are_refused():
    with pytest.raises(ParameterError, match="common element"):
        network(["Si"]) + network(["C"])


def test_terms_on_different_devices_are_refused():
    with pytest.raises(ParameterError, match="on cpu and meta"):
        ZBL() + LennardJones(device="meta")
