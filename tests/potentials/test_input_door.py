"""Nonsense is refused before a network can answer it with a number.

The cases are those that the packages behind the pretrained potentials let through.
"""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.lj import LennardJones as ASELennardJones

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError, UnsupportedElementError
from gnndesign.neighbors import VerletList, find_neighbors
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.input_checks import could_overlap, overlapping
from gnndesign.potentials.lennard_jones import LennardJones


@pytest.fixture
def ase_lennard_jones():
    return ASEPotential(ASELennardJones(sigma=3.4, epsilon=0.0103, rc=8.5))


PRETRAINED = ["sevennet_0", "sevennet_l3i5", "chgnet"]


@pytest.fixture(params=["lennard_jones", *PRETRAINED, "ase_lennard_jones"])
def potential(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=PRETRAINED)
def pretrained(request):
    return request.getfixturevalue(request.param)


def silicon(**changes):
    atoms = bulk("Si", cubic=True)
    for name, value in changes.items():
        getattr(atoms, name)[1, 2] = value
    return atoms


def pair(symbols, distance, **more):
    return ase.Atoms(symbols, [[0, 0, 0], [0, 0, distance]], **more)


NONSENSE = {
    "a position that is no number": (silicon(positions=np.nan), "position 1 is"),
    "an infinite position": (silicon(positions=np.inf), "position 1 is"),
    "an astronomic position": (silicon(positions=1e9), "position 1 is"),
    "a cell that is no number": (silicon(cell=np.nan), "cell 1 is"),
    "two atoms at one point": (pair("Si2", 0.0), "are 0.000 Å apart"),
    "silicon at 0.1 Å": (pair("Si2", 0.1), "wanted at least 1.11 Å"),
    "hydrogen at 0.3 Å": (pair("H2", 0.3), "wanted at least 0.31 Å"),
    "an atom on an image of another": (
        pair("Si2", 4.9, cell=[5, 5, 5], pbc=True),
        "and a periodic image of atom 1 \\(Si\\) are 0.100 Å apart",
    ),
    "an atom on its own image": (
        ase.Atoms("Si", cell=[0.5, 5, 5], pbc=True),
        "a periodic image of atom 0 .* choose a larger cell",
    ),
    "a cell without volume": (
        ase.Atoms("Si", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True),
        "lie in a plane",
    ),
    "no cell where one is needed": (ase.Atoms("Si", pbc=True), "Set a cell"),
}
nonsense = pytest.mark.parametrize(
    ("atoms", "message"), NONSENSE.values(), ids=NONSENSE.keys()
)


@nonsense
def test_nonsense_is_refused_by_every_potential(potential, atoms, message):
    with pytest.raises(StructureError, match=message):
        potential.compute([bulk("Si"), atoms])


@nonsense
def test_nonsense_is_refused_by_every_calculator(potential, atoms, message):
    atoms = atoms.copy()
    atoms.calc = potential.as_calculator()
    with pytest.raises(StructureError, match=message):
        atoms.get_forces()


def test_the_structure_and_its_atoms_are_named(lennard_jones):
    bad = ase.Atoms("OCH", [[0, 0, 0], [3, 0, 0], [3, 0.2, 0]])
    with pytest.raises(StructureError, match=r"Structure 1: atom 1 \(C\) and atom 2 "):
        lennard_jones.compute([molecule("H2O"), bad])


def test_unknown_elements_are_refused_by_pretrained_potentials(pretrained):
    with pytest.raises(UnsupportedElementError, match=r"not Po \(atoms 0\)"):
        pretrained.compute(bulk("Po", "sc", 3.35))


@pytest.mark.parametrize("number", [0, 119, 150])
def test_atoms_of_no_element_are_refused(potential, number):
    with pytest.raises(UnsupportedElementError, match=f"the atomic number {number} "):
        potential.compute(ase.Atoms(numbers=[18, number], positions=np.eye(3)[:2] * 3))


def hp4_sodium():
    """At 320 GPa: Y. Ma et al., Nature 458, 182 (2009)."""
    places = [[0, 0, 0], [0, 0, 0.5], [2 / 3, 1 / 3, 0.25], [1 / 3, 2 / 3, 0.75]]
    cell = [2.784, 2.784, 3.873, 90, 90, 120]
    return ase.Atoms("Na4", scaled_positions=places, cell=cell, pbc=True)


@pytest.mark.parametrize(
    "atoms",
    [
        hp4_sodium(),
        # V. Bondybey and J. English, Chem. Phys. Lett. 94, 443 (1983).
        pair("Cr2", 1.68),
        bulk("C", "diamond", 3.2),
        pair("H2", 0.5),
    ],
    ids=["sodium", "dichromium", "diamond", "squeezed hydrogen"],
)
def test_what_exists_under_pressure_is_let_in(potential, atoms):
    prediction = potential.compute(atoms)
    assert torch.isfinite(prediction.energy).all()
    assert torch.isfinite(prediction.forces).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_pairs_that_overlap_are_found(dtype):
    close = bulk("Si", cubic=True)
    close.positions[3] = close.positions[0] + [0.0, 0.0, 1.0]
    tight = pair("NaH", 0.98 + 4.0, cell=[[4, 1, 0], [0, 4, 1], [0, 0, 4]], pbc=True)
    for structures, expected in (
        ([close], {(0, 3), (3, 0)}),
        ([bulk("Si"), close], {(2, 5), (5, 2)}),
        # Na and H may come as near as 0.985 Å; here through the boundary.
        ([tight, close], {(0, 1), (1, 0), (2, 5), (5, 2)}),
    ):
        batch = AtomicBatch.from_atoms(structures, dtype=dtype)
        edges = find_neighbors(batch, 5.0)
        found = overlapping(batch, edges).nonzero()[:, 0].tolist()
        pairs = {(int(edges.centers[k]), int(edges.neighbors[k])) for k in found}
        assert pairs == expected


@pytest.mark.parametrize("stretch", [0.94, 1.0, 1.06])
def test_no_overlap_is_overlooked_until_the_list_is_searched_anew(stretch):
    rng = np.random.default_rng(5)
    mixed = bulk("NaCl", "rocksalt", 4.4, cubic=True) * 2
    mixed.numbers[rng.permutation(64)[:16]] = 55
    start = AtomicBatch.from_atoms([mixed, bulk("Si")])
    neighbors = VerletList.build(start, 5.0, 1.2)
    n_overlaps = 0
    for _ in range(40):
        cell = start.cell * (1.0 + (stretch - 1.0) * rng.random())
        moves = torch.from_numpy(rng.normal(size=(66, 3)) * 0.6).clamp(-0.34, 0.34)
        carried = start.positions @ (start.cell[0].inverse() @ cell[0])
        moved = start.with_geometry(positions=carried + moves, cell=cell)
        if neighbors.update(moved) is not neighbors:
            continue
        every = int(overlapping(moved, neighbors.edges).sum())
        assert int(overlapping(moved, could_overlap(neighbors)).sum()) == every
        n_overlaps += every
    assert could_overlap(neighbors).n_edges < neighbors.edges.n_edges / 3
    assert n_overlaps > 10


@pytest.mark.gpu
def test_a_gpu_finds_the_pairs_that_the_host_finds():
    structures = [pair("Si2", 1.0), silicon(), pair("H2", 0.3, cell=[9] * 3, pbc=True)]
    batch = AtomicBatch.from_atoms(structures)
    edges = find_neighbors(batch, 5.0)
    there = AtomicBatch.from_atoms(structures, device="cuda")
    found = overlapping(there, find_neighbors(there, 5.0))
    assert torch.equal(found.cpu(), overlapping(batch, edges))
    assert found.sum() == 4


def test_a_molecule_has_no_stress_in_any_potential(potential):
    ethanol = molecule("CH3CH2OH")
    slab = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    slab.center(vacuum=4.0, axis=2)
    slab.pbc = [True, True, False]
    prediction = potential.compute([ethanol, slab])
    assert not prediction.stress.any()
    assert prediction.forces.any()
    ethanol.calc = potential.as_calculator()
    with pytest.raises(PropertyNotImplementedError):
        ethanol.get_stress()


@pytest.mark.parametrize("name", ["lennard_jones", *PRETRAINED])
def test_in_a_batch_nonsense_stays_where_it_is(request, name):
    potential = request.getfixturevalue(name)
    good = bulk("NaCl", "rocksalt", 5.6)
    good.rattle(0.05, seed=1)
    batch = AtomicBatch.from_atoms([good, pair("Si2", 0.0), good])
    edges = potential.cutoff and find_neighbors(batch, potential.cutoff)
    together, alone = potential.predict(batch, edges), potential.compute(good)
    assert torch.isfinite(together.energy).tolist() == [True, False, True]
    for place in (slice(0, 2), slice(4, 6)):
        torch.testing.assert_close(
            together.forces[place], alone.forces, rtol=0, atol=2e-5
        )


class Spoiled(Potential):
    """A Lennard-Jones whose answer for krypton is not finite, by name."""

    def __init__(self, what, value):
        self.inner = LennardJones()
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff
        self.what, self.value = what, value

    def predict(self, batch, edges):
        answer = self.inner.predict(batch, edges)
        krypton = batch.atomic_numbers == 36
        values = {
            name: getattr(answer, name).clone()
            for name in ("energy", "forces", "stress")
        }
        place = krypton if self.what == "forces" else batch.system_index[krypton]
        values[self.what][place] = self.value
        return Prediction(atomic_energies=None, **values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["energy", "forces", "stress"])
def test_an_answer_that_is_not_finite_never_comes_out(what, value):
    structures = [bulk("Ar", "fcc", 5.3), bulk("Kr", "fcc", 5.7)]
    spoiled = Spoiled(what, value)
    with pytest.raises(StructureError, match=r"gives structure 1 an .* not finite"):
        spoiled.compute(structures)
    assert torch.isfinite(spoiled.compute(structures[0]).energy).all()
    structures[1].calc = spoiled.as_calculator()
    with pytest.raises(StructureError, match=r"gives structure 0 an .* not finite"):
        structures[1].get_potential_energy()
