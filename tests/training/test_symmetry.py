"""The audit finds what is broken, by how much, and nothing else."""

import json

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from training.test_rotations import InAField, argon

from gnndesign.errors import ParameterError, StructureError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.base import EnergyModel, Potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.training.symmetry import AuditSettings, audit

QUICK = AuditSettings(
    n_random=2, ascent_steps=4, ascent_starts=2, loop_points=16, nve_steps=100
)


def failed(found):
    return {row.name for row in found.rows if row.passed is False}


def test_lennard_jones_passes_all_of_it():
    found = audit(LennardJones(), argon(), settings=QUICK)
    assert found.passed
    assert all(row.value is not None and row.passed for row in found.rows)
    assert found["rotation: forces"].value < 1e-12
    assert "100 steps of 1 fs" in found["NVE drift"].note


class Broken(EnergyModel):
    """A Lennard-Jones that breaks one promise, by name."""

    def __init__(self, defect):
        self.defect = defect
        self.inner = LennardJones(cutoff=6.0)
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff

    def atomic_energies(self, batch, edges):
        energy = self.inner.atomic_energies(batch, edges)
        vectors = edges.vectors(batch)
        distance = vectors.norm(dim=-1)
        near = torch.relu(1 - distance / self.cutoff) ** 3
        match self.defect:
            case "order":
                place = torch.arange(batch.n_atoms) - torch.searchsorted(
                    batch.system_index, batch.system_index
                )
                return energy * (1.0 + 0.01 * place)
            case "place":
                return energy + 1e-3 * torch.sin(batch.positions[:, 0])
            case "hand":
                # A product of three vectors changes sign in a mirror.
                n = vectors.new_zeros(batch.n_atoms, 3)
                sums = [
                    n.index_add(
                        0, edges.centers, vectors * (near * distance**k)[:, None]
                    )
                    for k in range(3)
                ]
                return energy + 1e-4 * torch.linalg.det(torch.stack(sums, 1))
            case "size":
                count = batch.atoms_per_system[batch.system_index]
                return energy + 1e-3 * count
            case "cutoff":
                pair = 0.01 * (distance < self.cutoff) / distance**2
                return energy.index_add(0, edges.centers, pair)
        return energy


@pytest.mark.parametrize(
    ("defect", "names"),
    [
        ("order", {"permutation: energy", "permutation: forces"}),
        ("place", {"translation: energy", "translation: forces"}),
        ("hand", {"inversion: energy", "inversion: forces"}),
        ("size", {"extensivity"}),
        ("cutoff", {"cutoff: energy", "cutoff: forces"}),
        ("nothing", set()),
    ],
)
def test_each_defect_is_found_under_its_name(defect, names):
    structures = [
        ase.Atoms("Ar4", [[0, 0, 0], [3.7, 0.3, 0], [0.2, 4.0, 1], [1.4, 1.7, 3.9]])
    ]
    found = audit(Broken(defect), structures, settings=QUICK)
    assert names <= failed(found)
    if defect in {"hand", "size", "nothing"}:
        assert failed(found) == names


def test_the_broken_rotation_is_measured_and_the_worst_is_worse_than_random():
    found = audit(InAField(strength=0.01), argon(), settings=QUICK)
    assert failed(found) == {
        f"{how}: {what}"
        for how in ("rotation", "worst rotation")
        for what in ("energy", "forces")
    }
    assert 1e-5 < found["rotation: energy"].value < 0.01
    worst = found["worst rotation: energy"].value
    assert worst >= found["rotation: energy"].value * 0.999


class Swirl(Potential):
    """A Lennard-Jones and a force that is no gradient: it drives atoms in circles."""

    is_conservative = False

    def __init__(self, strength):
        self.inner = LennardJones(cutoff=6.0)
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff
        self.strength = strength

    def predict(self, batch, edges):
        found = self.inner.predict(batch, edges)
        vectors = edges.vectors(batch)
        near = torch.relu(1 - vectors.norm(dim=-1) / self.cutoff) ** 3
        axis = torch.tensor([0.0, 0.0, 1.0], dtype=vectors.dtype).expand_as(vectors)
        push = self.strength * near[:, None] * torch.linalg.cross(axis, vectors)
        found.forces.index_add_(0, edges.centers, push)
        return found


def test_forces_that_are_no_gradient_do_work_around_a_loop_and_drift():
    found = audit(Swirl(0.3), argon(), settings=QUICK)
    names = failed(found)
    assert {"closed loop", "work and energy", "NVE drift"} <= names
    assert not any(name.startswith(("permut", "transl", "cutoff")) for name in names)
    half = audit(Swirl(0.15), argon(), settings=QUICK)
    ratio = found["closed loop"].value / half["closed loop"].value
    assert ratio == pytest.approx(2.0, rel=1e-3)


def test_the_work_around_a_loop_is_that_of_the_curl():
    """In a force field of constant curl it is the curl times the area (Stokes)."""

    class Curl(Swirl):
        def predict(self, batch, edges):
            found = self.inner.predict(batch, edges)
            x, y, _ = batch.positions.unbind(1)
            swirl = torch.stack([-y, x, torch.zeros_like(x)], 1)
            found.forces.zero_().add_(self.strength * swirl)
            return found

    settings = AuditSettings(nve_steps=40, ascent_steps=0, ascent_starts=1, n_random=1)
    atoms = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    found = audit(Curl(0.2), [atoms], seed=3, settings=settings)["closed loop"]
    # ∮ F·dr = 2 s π a² n_z an atom; the planes are those that the seed draws.
    drawn = _planes(seed=3)
    expected = abs(2 * 0.2 * np.pi * 0.1**2 * drawn.sum()) / (2 * np.pi * 0.1 * 2)
    assert found.value == pytest.approx(expected, rel=1e-6)


def _planes(seed):
    """(2,) z components of the normals of the circles of an audit's only structure."""
    from gnndesign.training.audit_subject import Subject
    from gnndesign.training.symmetry_checks import permutation, translation

    atoms = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    settings = AuditSettings(nve_steps=40, ascent_steps=0, ascent_starts=1, n_random=1)
    subject = Subject(LennardJones(), [atoms], settings, seed)
    permutation(subject)
    translation(subject)
    frames = np.linalg.qr(subject.rng.normal(size=(2, 3, 3)))[0]
    return np.cross(frames[:, 0], frames[:, 1])[:, 2]


class OneSize(Potential):
    """Takes structures of three atoms only, as a network on flat coordinates does."""

    is_extensive = False

    def __init__(self):
        self.inner = LennardJones()
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff

    def check_elements(self, batch):
        if (batch.atoms_per_system != 3).any():
            raise StructureError("Wanted three atoms.")

    def predict(self, batch, edges):
        return self.inner.predict(batch, edges)


def test_a_potential_of_one_size_is_not_extensive_and_the_rest_is_measured():
    found = audit(OneSize(), [argon()[1]], settings=QUICK)
    assert failed(found) == {"extensivity"}
    assert found["extensivity"].value is None
    assert found["extensivity"].note == "Wanted three atoms."
    assert found["cutoff: energy"].passed is None
    assert found["rotation: energy"].passed


def test_a_potential_without_a_cutoff_has_no_jump_to_look_for():
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05)
    found = audit(ASEPotential(EMT()), [copper], settings=QUICK)
    assert found["cutoff: forces"].passed is None
    assert "does not say" in found["cutoff: forces"].note
    assert found["rotation: forces"].passed


def test_a_network_that_falls_apart_is_measured_until_it_does():
    network = new_potential("equivariant", ["C", "H", "O"])
    ethanol = molecule("CH3CH2OH")
    ethanol.rattle(0.05)
    heard = []
    found = audit(network, [ethanol], settings=QUICK, say=heard.append)
    assert found.dtype == "float32"
    assert not failed(found) - {"NVE drift"}
    assert len(heard) == 9
    assert "worst rotation: forces" in heard[3]


def test_an_audit_is_the_same_again_and_goes_into_json():
    found = audit(InAField(), argon()[1:], seed=4, settings=QUICK)
    again = audit(InAField(), argon()[1:], seed=4, settings=QUICK)
    assert json.dumps(found.to_dict()) == json.dumps(again.to_dict())
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["passed"] is False
    assert stored["structures"] == ["Ar3"]
    assert {"name", "measures", "value", "unit", "bound", "passed", "note"} == set(
        stored["rows"][0]
    )
    with pytest.raises(KeyError):
        found["beauty"]


def test_structures_are_left_as_they_were():
    structures = argon()
    before = [atoms.copy() for atoms in structures]
    audit(LennardJones(), structures, settings=QUICK)
    assert structures == before


def test_nothing_to_audit_with_and_useless_settings_are_refused():
    with pytest.raises(StructureError, match="at least one structure"):
        audit(LennardJones(), [])
    with pytest.raises(ParameterError, match="nve_steps"):
        AuditSettings(nve_steps=3)
    with pytest.raises(ParameterError, match="n_random"):
        AuditSettings(n_random=0)


def test_edges_of_a_broken_potential_are_those_of_its_batch():
    """The fixtures above are sound: without a defect they are Lennard-Jones."""
    from gnndesign.batch import AtomicBatch

    batch = AtomicBatch.from_atoms(argon())
    edges = find_neighbors(batch, 6.0)
    torch.testing.assert_close(
        Broken("nothing").predict(batch, edges).forces,
        LennardJones(cutoff=6.0).predict(batch, edges).forces,
    )
