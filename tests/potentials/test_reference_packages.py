"""Our potentials against the packages that their weights come from.

sevenn 0.13.0 (SevenNetCalculator) and chgnet 0.4.2 (CHGNetCalculator).
"""

import warnings

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.stress import voigt_6_to_full_3x3_stress

ENERGY = 1e-6  # eV an atom
FORCE = 1e-5  # eV/Å
STRESS = 2e-6  # eV/Å³; the package itself is 1.8e-6 from float64 for strained iron


def rattled(atoms, seed=3):
    atoms = atoms.copy()
    atoms.rattle(0.06, seed=seed)
    return atoms


def mixed_structures():
    perovskite = ase.Atoms(
        "SrTiO3",
        scaled_positions=[
            [0, 0, 0],
            [0.5] * 3,
            [0.5, 0.5, 0],
            [0.5, 0, 0.5],
            [0, 0.5, 0.5],
        ],
        cell=[3.95] * 3,
        pbc=True,
    )
    skewed = bulk("Si")
    skewed.set_cell(
        skewed.cell.array @ (np.eye(3) + 0.05 * np.tri(3)), scale_atoms=True
    )
    slab = bulk("Cu", "fcc", 3.65, cubic=True)
    slab.center(vacuum=8.0, axis=2)
    slab.pbc = [True, True, False]
    one_atom = bulk("Fe", "bcc", 2.8)
    one_atom.set_cell(one_atom.cell.array * [1.0, 1.02, 0.97], scale_atoms=True)
    left_handed = rattled(bulk("NaCl", "rocksalt", 5.7))
    left_handed.set_cell(left_handed.cell.array[[1, 0, 2]])
    return [
        rattled(perovskite),
        rattled(skewed),
        rattled(molecule("CH3CH2OH")),
        rattled(slab),
        one_atom,
        left_handed,
    ]


STRUCTURES = mixed_structures()


def assert_same(potential, calculator, structures, *, energy, force, stress):
    ours = potential.compute(structures)
    starts = np.cumsum([0, *map(len, structures)])
    for k, atoms in enumerate(structures):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            calculator.calculate(
                atoms.copy(), properties=["energy", "forces", "stress"]
            )
        theirs = calculator.results
        # The packages add up their total energies in float32.
        last_digit = float(np.spacing(np.float32(abs(theirs["energy"]))))
        assert float(ours.energy[k]) == pytest.approx(
            float(theirs["energy"]), abs=energy * len(atoms) + last_digit
        )
        np.testing.assert_allclose(
            ours.forces[starts[k] : starts[k + 1]].numpy(),
            theirs["forces"],
            rtol=0,
            atol=force,
        )
        if atoms.pbc.all():
            expected = theirs["stress"]
            if np.shape(expected) == (6,):
                expected = voigt_6_to_full_3x3_stress(expected)
            # chgnet loses the sign of the volume in left-handed cells.
            if type(calculator).__name__ == "CHGNetCalculator":
                expected = np.sign(np.linalg.det(atoms.cell.array)) * np.array(expected)
            np.testing.assert_allclose(
                ours.stress[k].numpy(), expected, rtol=0, atol=stress
            )


@pytest.mark.parametrize("name", ["sevennet-0", "sevennet-l3i5"])
def test_sevennet_agrees_with_the_package_on_a_mixed_batch(
    name, sevenn_calculator, request
):
    potential = request.getfixturevalue(name.replace("-", "_"))
    assert_same(
        potential,
        sevenn_calculator[name],
        STRUCTURES,
        energy=ENERGY,
        force=FORCE,
        stress=STRESS,
    )


def test_chgnet_agrees_with_the_package(chgnet):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chgnet.model.dynamics import CHGNetCalculator

        calculator = CHGNetCalculator(use_device="cpu", verbose=False)
    crystals = [atoms for atoms in STRUCTURES if atoms.pbc.all()]
    assert_same(chgnet, calculator, crystals, energy=2e-6, force=1e-4, stress=1e-5)


def test_chgnet_does_not_see_the_vacuum_it_puts_around_a_molecule(chgnet):
    ethanol = rattled(molecule("CH3CH2OH"))
    boxed = ethanol.copy()
    boxed.center(vacuum=15.0)
    boxed.pbc = True
    free, wide = chgnet.compute(ethanol), chgnet.compute(boxed)
    assert float(free.energy) == pytest.approx(float(wide.energy), abs=2e-5)
    assert torch.allclose(free.forces, wide.forces, rtol=0, atol=5e-4)


def test_lennard_jones_agrees_with_ase_inside_the_switch(lennard_jones):
    from ase.calculators.lj import LennardJones as ASELennardJones

    # Closer than the onset of the switch: ASE's smooth form differs from there on.
    cluster = ase.Atoms("Ar4", [[0, 0, 0], [3.7, 0, 0], [0.2, 3.9, 0], [1.5, 1.4, 3.3]])
    calculator = ASELennardJones(sigma=3.4, epsilon=0.01034, rc=60.0, smooth=False)
    calculator.calculate(cluster, ["energy", "forces"])
    ours = lennard_jones.compute(cluster)
    shift = 6 * 4 * 0.01034 * ((3.4 / 60.0) ** 12 - (3.4 / 60.0) ** 6)
    assert float(ours.energy) == pytest.approx(
        calculator.results["energy"] + shift, abs=1e-12
    )
    np.testing.assert_allclose(
        ours.forces.numpy(), calculator.results["forces"], rtol=0, atol=1e-12
    )
