"""CHGNet: many structures in one pass, with their magnetic moments."""

import warnings

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError

from gnndesign.potentials.adapters import chgnet as adapter


def rattled(atoms, seed=4):
    atoms = atoms.copy()
    atoms.rattle(0.05, seed=seed)
    return atoms


IRON = rattled(bulk("Fe", "bcc", 2.87, cubic=True))
NICKEL_OXIDE = rattled(bulk("NiO", "rocksalt", 4.18, cubic=True))
SALT = rattled(bulk("NaCl", "rocksalt", 5.6))
STRUCTURES = [IRON, SALT, NICKEL_OXIDE, rattled(molecule("H2O"))]


@pytest.fixture
def passes(chgnet, monkeypatch):
    """Numbers of graphs in each pass through the network, as they happen."""
    sizes = []
    forward = chgnet._model.forward

    def counted(graphs, **options):
        sizes.append(len(graphs))
        return forward(graphs, **options)

    monkeypatch.setattr(chgnet._model, "forward", counted)
    return sizes


def test_a_batch_is_one_pass(chgnet, passes):
    chgnet.compute(STRUCTURES)
    assert passes == [4]


def test_passes_are_bounded_by_atoms_and_change_nothing(chgnet, passes, monkeypatch):
    together = chgnet.compute(STRUCTURES)
    passes.clear()
    monkeypatch.setattr(adapter, "_MOST_ATOMS_CPU", 4)
    apart = chgnet.compute(STRUCTURES)
    # 2 + 2 atoms, 8 which is more than allowed but cannot be parted, 3.
    assert passes == [2, 1, 1]
    for name in ("energy", "forces", "stress", "magnetic_moments_muB"):
        torch.testing.assert_close(
            getattr(apart, name), getattr(together, name), rtol=0, atol=2e-4
        )


def test_magnetic_moments_are_those_of_the_package(chgnet):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chgnet.model.dynamics import CHGNetCalculator

        calculator = CHGNetCalculator(use_device="cpu", verbose=False)
        crystals = STRUCTURES[:3]
        ours = chgnet.compute(crystals).magnetic_moments_muB
        theirs = []
        for atoms in crystals:
            calculator.calculate(atoms.copy())
            theirs.append(calculator.results["magmoms"])
    np.testing.assert_allclose(ours, np.concatenate(theirs), rtol=0, atol=2e-5)


def test_iron_and_nickel_are_magnetic_and_salt_is_not(chgnet):
    iron, salt, oxide, water = np.split(
        chgnet.compute(STRUCTURES).magnetic_moments_muB.numpy(), [2, 4, 12]
    )
    # Measured: iron 2.2, nickel in its oxide 1.6 to 1.9.
    assert ((iron > 2.0) & (iron < 2.8)).all()
    nickel = NICKEL_OXIDE.numbers == 28
    assert ((oxide[nickel] > 1.2) & (oxide[nickel] < 2.0)).all()
    assert (oxide[~nickel] < 0.3).all()
    assert (salt < 0.05).all()
    assert (water < 0.05).all()


def test_the_calculator_carries_magnetic_moments(chgnet):
    expected = chgnet.compute(IRON).magnetic_moments_muB.numpy()
    atoms = IRON.copy()
    atoms.calc = chgnet.as_calculator()
    np.testing.assert_array_equal(atoms.get_magnetic_moments(), expected)
    assert "magmoms" in atoms.calc.implemented_properties


def test_a_potential_without_magnetic_moments_gives_none(lennard_jones):
    argon = ase.Atoms("Ar2", [[0, 0, 0], [4, 0, 0]])
    assert lennard_jones.compute(argon).magnetic_moments_muB is None
    argon.calc = lennard_jones.as_calculator()
    assert "magmoms" not in argon.calc.implemented_properties
    with pytest.raises(PropertyNotImplementedError):
        argon.get_magnetic_moments()
