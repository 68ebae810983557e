"""The network on flattened coordinates: what it cannot do, and that it says so."""

import ase
import pytest
import torch
from ase.build import molecule

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.analysis import receptive_field, receptive_radius
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.relaxation import relax

NUMBERS = (6,) * 6 + (1,) * 6


def benzene(seed=1):
    atoms = molecule("C6H6")
    atoms.rattle(0.05, seed=seed)
    return atoms


def of_benzene(dtype=torch.float64):
    potential = new_potential("naive", ["C", "H"], atomic_numbers=NUMBERS)
    potential.network.to(dtype)
    return potential


def test_relabelling_the_carbons_of_benzene_changes_its_energy():
    # Each carbon takes the place of the next in the ring, with its hydrogen.
    order = [1, 2, 3, 4, 5, 0, 7, 8, 9, 10, 11, 6]
    relabelled = benzene()[order]
    naive = of_benzene().compute([benzene(), relabelled]).energy.diff()
    invariant = new_potential("invariant", ["C", "H"])
    invariant.network.double()
    same = invariant.compute([benzene(), relabelled]).energy.diff()
    assert abs(float(naive)) > 0.01
    assert abs(float(same)) < 1e-12


def test_moving_benzene_changes_its_energy():
    moved = benzene()
    moved.positions += [1.0, 0, 0]
    assert abs(float(of_benzene().compute([benzene(), moved]).energy.diff())) > 0.01


def test_its_flags_say_what_it_lacks():
    potential = of_benzene()
    assert not potential.is_equivariant
    assert not potential.is_translation_invariant
    assert not potential.is_permutation_invariant
    assert not potential.is_extensive
    assert potential.is_conservative


def test_every_atom_sees_every_other():
    potential = of_benzene()
    assert receptive_radius(potential) == float("inf")
    assert bool(receptive_field(potential, benzene(), 3).all())


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (benzene()[[6, *range(6), *range(7, 12)]], "C6H6, .* got HC6H5"),
        (benzene()[:11], "got C6H5"),
        (benzene() + benzene(), "got C6H6C6H6"),
        (molecule("CH4"), "got CH4"),
        (molecule("H2O"), "got OH2"),
        (ase.Atoms(benzene(), cell=[9] * 3, pbc=True), "got a periodic structure"),
    ],
)
def test_any_other_structure_is_refused_and_it_is_said_why(structure, words):
    with pytest.raises(StructureError, match=words):
        of_benzene().compute(structure)


def test_the_place_of_another_molecule_in_a_list_is_said():
    with pytest.raises(StructureError, match=r"Structure 1: .* got CH4"):
        of_benzene().compute([benzene(), molecule("CH4")])


def test_relaxation_refuses_another_molecule_and_relaxes_its_own():
    ours, other = relax([benzene(), molecule("CH4")], of_benzene(), max_steps=3)
    assert ours.status != Status.REFUSED
    assert other.status == Status.REFUSED
    assert "flattened coordinates of C6H6" in other.message


def test_dynamics_refuses_another_molecule_and_keeps_the_energy_of_its_own():
    with pytest.raises(StructureError, match="flattened coordinates of C6H6"):
        molecular_dynamics(molecule("CH4"), of_benzene(), ensemble="nve", steps=2)
    history = molecular_dynamics(
        benzene(), of_benzene(), ensemble="nve", timestep_fs=0.2, steps=50
    ).history
    total = history.energy + history.kinetic_energy
    assert history.energy.std() > 1e-3
    assert total.std() < 0.02 * history.energy.std()


def test_it_is_loaded_with_the_molecule_that_it_was_saved_for(tmp_path):
    potential = of_benzene(torch.float32)
    batch = AtomicBatch.from_atoms([benzene(k) for k in range(4)])
    potential.calibrate([(batch, find_neighbors(batch, 5.0))])
    save_potential(potential, tmp_path / "benzene.safetensors")
    loaded = load_potential(tmp_path / "benzene.safetensors", "cpu")
    assert torch.equal(
        loaded.compute(benzene()).forces, potential.compute(benzene()).forces
    )
    with pytest.raises(StructureError, match="C6H6"):
        loaded.compute(molecule("CH4"))


def test_coordinates_are_centered_on_their_mean_by_calibration():
    frames = [benzene(k) for k in range(30)]
    batch = AtomicBatch.from_atoms(frames)
    potential = of_benzene()
    potential.calibrate([(batch, find_neighbors(batch, 5.0))])
    network = potential.network
    mean = sum(atoms.positions for atoms in frames) / len(frames)
    torch.testing.assert_close(network.mean.reshape(-1, 3), torch.from_numpy(mean))
    # The rattle's, less what its mean over 30 takes.
    assert float(network.spread) == pytest.approx(0.05, rel=0.05)


def test_it_learns_the_frames_that_it_is_shown():
    frames = [benzene(k) for k in range(20)]
    batch = AtomicBatch.from_atoms(frames)
    edges = find_neighbors(batch, 5.0)
    teacher = new_potential("invariant", ["C", "H"], seed=5)
    wanted = teacher.predict(batch, edges)
    potential = of_benzene(torch.float32)
    network = potential.network
    network.scale.fill_(float(wanted.energy.std()) / 12)
    network.shift.fill_(float(wanted.energy.mean()) / 12)
    potential.calibrate([(batch, edges)])
    network.layers.requires_grad_(requires_grad=True)
    optimizer = torch.optim.Adam(network.layers.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        found = potential.labels(batch, edges, with_strain=False)
        energy = batch.sum_over_atoms(found.atomic_energies)
        loss = (energy - wanted.energy).pow(2).mean()
        loss = loss + (found.positions + wanted.forces).pow(2).mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("numbers", [(), (6, 6), (6, 1, 8)])
def test_a_molecule_that_does_not_fit_the_elements_is_refused(numbers):
    with pytest.raises(ParameterError, match="Give atomic_numbers="):
        new_potential("naive", ["C", "H"], atomic_numbers=numbers)
