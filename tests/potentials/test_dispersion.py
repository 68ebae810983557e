"""D3(BJ): published energies, and derivatives where the library has cutoffs."""

import pickle
import sys

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.data.s22 import create_s22_system
from ase.units import Bohr, Hartree

from gnndesign.errors import (
    MissingDependencyError,
    ParameterError,
    UnsupportedElementError,
)
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.dispersion import D3Dispersion

pytest.importorskip("dftd3")


def graphite():
    places = [[0, 0, 0.25], [0, 0, 0.75], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]
    atoms = ase.Atoms(
        "C4", scaled_positions=places, cell=[2.46, 2.46, 6.7, 90, 90, 120], pbc=True
    )
    atoms.rattle(0.05, seed=2)
    return atoms


def test_energy_of_stacked_adenine_and_thymine_is_that_of_the_authors_program():
    # ASE's tests of Grimme's program dftd3, PBE with the damping "bj".
    energy = (
        D3Dispersion("pbe")
        .compute(create_s22_system("Adenine-thymine_complex_stack"))
        .energy
    )
    assert float(energy) == pytest.approx(-1.211193213979179, rel=1e-6)


def test_energy_far_apart_is_minus_c6_over_the_sixth_power():
    # The C6 of two free argon atoms in D3 is 64.646 Hartree Bohr^6, with PBE's s6 = 1.
    distance = 35.0
    pair = ase.Atoms("Ar2", [[0, 0, 0], [distance, 0, 0]])
    energy = float(D3Dispersion("pbe").compute(pair).energy)
    c6 = -energy / Hartree * (distance / Bohr) ** 6
    # What C8 adds at this distance is less than a hundredth.
    assert 64.646 < c6 < 1.01 * 64.646


def test_another_functional_has_other_parameters():
    benzene = molecule("C6H6")
    energies = [
        float(D3Dispersion(name).compute(benzene).energy)
        for name in ("pbe", "PBE", "rpbe", "pbesol", "r2scan")
    ]
    assert energies[0] == energies[1]
    assert len(set(energies)) == 4


# Between cutoffs the energy of a crystal has steps of 1e-8 eV, which the finest
# derivatives see; `test_forces_of_crystals...` asks for as much as there is.
ON_CRYSTALS = [check for check in CHECKS if "derivative" not in check.__module__]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms_on_molecules(check):
    ethanol = molecule("CH3CH2OH")
    ethanol.rattle(0.05, seed=1)
    check(D3Dispersion("pbe"), [ethanol, ase.Atoms("C3", np.eye(3) * 1.5)])


@pytest.mark.parametrize("check", ON_CRYSTALS, ids=lambda check: check.__name__)
def test_it_conforms_on_crystals(check):
    check(D3Dispersion("pbe"), [graphite(), molecule("CH4")])


@pytest.mark.parametrize(("step", "error"), [(1e-3, 1e-4), (1e-5, 1e-8)])
def test_forces_of_crystals_are_the_slope_of_the_energy_but_for_tiny_steps(step, error):
    # eV/Å an atom: along the shorter way no pair crosses the end of a range.
    atoms = graphite()
    potential = D3Dispersion("pbe")
    direction = np.random.default_rng(1).normal(size=atoms.positions.shape)
    moved = [atoms.copy(), atoms.copy()]
    for copy, sign in zip(moved, (1, -1), strict=True):
        copy.positions += sign * step * direction
    energy = potential.compute(moved).energy
    slope = float(energy[0] - energy[1]) / (2.0 * step)
    pull = -float((potential.compute(atoms).forces.numpy() * direction).sum())
    assert abs(slope) > 1e-2
    assert slope / len(atoms) == pytest.approx(pull / len(atoms), abs=error)


@pytest.mark.parametrize("atoms", [graphite(), bulk("NaCl", "rocksalt", 5.6)], ids=str)
def test_stress_is_the_slope_of_the_energy_to_a_hundredth(atoms):
    potential = D3Dispersion("pbe")
    strain = np.random.default_rng(3).normal(size=(3, 3))
    strain = 0.5 * (strain + strain.T)
    strained = [atoms.copy(), atoms.copy()]
    for copy, sign in zip(strained, (1, -1), strict=True):
        copy.set_cell(
            atoms.cell.array @ (np.eye(3) + sign * 1e-3 * strain), scale_atoms=True
        )
    energy = potential.compute(strained).energy
    slope = float(energy[0] - energy[1]) / 2e-3
    virial = potential.compute(atoms).stress[0].numpy() * atoms.cell.volume
    assert slope == pytest.approx(float((virial * strain).sum()), rel=0.01)


def test_a_layer_without_a_lattice_vector_along_its_normal_is_known():
    layer = graphite()[[0, 2]]
    layer.pbc = [True, True, False]
    bare = layer.copy()
    bare.cell[2] = 0.0
    energy = D3Dispersion("pbe").compute([layer, bare]).energy
    assert float(energy[0]) < -0.05
    assert float(energy.diff()) == pytest.approx(0.0, abs=1e-9)


def test_an_element_beyond_plutonium_is_refused():
    with pytest.raises(UnsupportedElementError, match="Am"):
        D3Dispersion("pbe").compute(ase.Atoms("Am"))


def test_a_functional_without_parameters_is_refused():
    with pytest.raises(ParameterError, match="got 'lda-of-mine'"):
        D3Dispersion("lda-of-mine")


def test_without_the_library_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dftd3", None)
    with pytest.raises(MissingDependencyError, match=r"gnndesign\[dispersion\]"):
        D3Dispersion("pbe")


def test_it_can_be_sent_to_another_process():
    potential = D3Dispersion("pbe")
    copy = pickle.loads(pickle.dumps(potential))  # noqa: S301 - our own
    water = molecule("H2O")
    assert torch.equal(copy.compute(water).forces, potential.compute(water).forces)
