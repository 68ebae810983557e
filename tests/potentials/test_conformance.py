"""Every potential keeps the promises of `gnndesign.potentials.conformance`."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as ASELennardJones

from gnndesign.potentials import conformance
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.base import EnergyModel
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.lennard_jones import LennardJones

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)


def distorted(atoms, seed=1):
    """No symmetry left, and a cell with all six strains."""
    atoms = atoms.copy()
    atoms.rattle(0.08, seed=seed)
    if atoms.pbc.all():
        strain = [[0.01, 0.02, 0.0], [0.0, -0.01, 0.015], [0.005, 0.0, 0.02]]
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


ARGON = [
    distorted(bulk("Ar", "fcc", 5.2, cubic=True)),
    ase.Atoms("Ar3", [[0, 0, 0], [3.5, 0.3, 0], [0.2, 4.0, 1]]),
]
COPPER = [
    distorted(bulk("Cu", "fcc", 3.6, cubic=True)),
    ase.Atoms("Cu3", [[0, 0, 0], [2.5, 0.3, 0], [0.2, 2.4, 1]]),
]
MATTER = [
    distorted(bulk("Si")),
    distorted(molecule("CH3CH2OH"), seed=2),
    distorted(bulk("NaCl", "rocksalt", 5.6)),
]
SLAB = distorted(bulk("NaCl", "rocksalt", 5.6, cubic=True)[:4])
SLAB.pbc = [True, True, False]


@every_check
def test_lennard_jones_conforms(check, lennard_jones):
    check(lennard_jones, ARGON)


@every_check
def test_lennard_jones_with_a_short_cutoff_conforms(check):
    check(LennardJones(cutoff=5.0), ARGON)


@every_check
def test_sevennet_0_conforms(check, sevennet_0):
    check(sevennet_0, [*MATTER, SLAB])


@every_check
def test_sevennet_0_in_float64_conforms(check, sevennet_0_float64):
    check(sevennet_0_float64, MATTER[:2])


@every_check
def test_sevennet_l3i5_conforms(check, sevennet_l3i5):
    check(sevennet_l3i5, MATTER[:2])


@pytest.mark.slow
@every_check
def test_sevennet_l3i5_in_float64_conforms(check, sevennet_l3i5_float64):
    check(sevennet_l3i5_float64, MATTER[:2])


@every_check
def test_chgnet_conforms(check, chgnet):
    check(chgnet, MATTER[:2])


@every_check
def test_ase_emt_conforms(check):
    check(ASEPotential(EMT()), COPPER)


@every_check
def test_ase_lennard_jones_conforms(check):
    calculator = ASELennardJones(sigma=3.4, epsilon=0.0103, rc=8.5, smooth=True)
    check(ASEPotential(calculator), ARGON)


FLATTENED = {"atomic_numbers": (6, 6, 8, 1, 1, 1, 1, 1, 1)}
NETWORKS = {
    "invariant": {},
    "unconstrained": {},
    "direct-force": {},
    "naive": FLATTENED,
}


@every_check
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_with_random_weights_conform(check, name, dtype):
    ethanol = [distorted(molecule("CH3CH2OH"), seed=k) for k in (2, 3)]
    structures = ethanol if name == "naive" else [*MATTER, SLAB]
    numbers = sorted({int(n) for atoms in structures for n in atoms.numbers})
    potential = new_potential(name, numbers, **NETWORKS[name])
    potential.network.to(dtype)
    check(potential, structures)


class Broken(EnergyModel):
    """A Lennard-Jones that breaks one promise, by name, or says it does ("is_...")."""

    def __init__(self, defect):
        self.defect = defect
        self.inner = LennardJones()
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff
        if defect.startswith("is_"):
            setattr(self, defect, False)  # which it does not lack

    def atomic_energies(self, batch, edges):
        vectors = edges.vectors(batch)
        i = edges.centers
        energy = self.inner.atomic_energies(batch, edges)
        extra = 0.0
        match self.defect:
            case "order of atoms":
                extra = 1e-4 * torch.ones_like(energy).cumsum(0)
            case "place in space":
                extra = 1e-4 * batch.positions[:, 0]
            case "direction in space":
                pair = vectors[:, 0] ** 2 / vectors.norm(dim=-1) ** 6
                extra = torch.zeros_like(energy).index_add(0, i, pair)
            case "gradient":
                pair = vectors.detach().norm(dim=-1) ** -6
                extra = torch.zeros_like(energy).index_add(0, i, pair)
            case "cutoff":
                ratio6 = (3.4 / vectors.norm(dim=-1)) ** 6
                near = vectors.norm(dim=-1) < self.cutoff
                pair = 0.01 * (ratio6**2 - ratio6) * near
                extra = torch.zeros_like(energy).index_add(0, i, pair)
            case "edges":
                pair = vectors.norm(dim=-1) ** -6
                extra = torch.zeros_like(energy).index_add(0, i, pair)
            case "size":
                extra = 1e-4 * batch.atoms_per_system[batch.system_index]
            case "batch":
                extra = (energy.sum() - energy.detach()) * 1e-3
            case "input":
                with torch.no_grad():
                    batch.pbc.zero_()
        return energy + extra


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        ("order of atoms", conformance.check_permutation),
        ("order of atoms", conformance.check_batch_equals_singles),
        ("place in space", conformance.check_translation),
        ("direction in space", conformance.check_rotation),
        ("gradient", conformance.check_forces_are_the_gradient),
        ("gradient", conformance.check_stress_is_the_strain_derivative),
        ("cutoff", conformance.check_smooth),
        ("edges", conformance.check_edges_beyond_the_cutoff),
        ("batch", conformance.check_no_pull_between_structures),
        ("batch", conformance.check_batch_equals_singles),
        ("input", conformance.check_input_is_kept),
        ("size", conformance.check_extensivity),
        ("is_mirror_symmetric", conformance.check_inversion),
        ("is_equivariant", conformance.check_rotation),
        ("is_translation_invariant", conformance.check_translation),
        ("is_permutation_invariant", conformance.check_permutation),
        ("is_extensive", conformance.check_extensivity),
        ("is_extensive", conformance.check_one_atom),
        ("is_conservative", conformance.check_forces_are_the_gradient),
        ("is_conservative", conformance.check_stress_is_the_strain_derivative),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_broken_promise_is_noticed(defect, check):
    with pytest.raises(AssertionError, match="lennard-jones"):
        check(Broken(defect), ARGON)


def test_a_failed_check_says_which_number_is_wrong_and_by_how_much():
    with pytest.raises(AssertionError, match=r"got .* wanted .* differ by .* allowed"):
        conformance.check_rotation(Broken("direction in space"), ARGON)


def test_a_sound_model_passes_where_the_broken_ones_fail():
    for check in CHECKS:
        check(Broken("nothing"), ARGON)
