"""Relaxations that keep the space group."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.constraints import FixAtoms, FixSymmetry

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError
from gnndesign.simulation.base import Status
from gnndesign.simulation.constraints import Constraints
from gnndesign.simulation.freedom import with_its_symmetry
from gnndesign.simulation.relaxation import METHODS, relax
from gnndesign.structures.build import build_crystal
from gnndesign.structures.symmetry import space_group

CRYSTALS = {
    14: ("ZrO2", "baddeleyite"),
    82: ("BPO4", "H0_7"),
    122: ("FeCuS2", "chalcopyrite"),
    136: ("TiO2", "rutile"),
    141: ("TiO2", "anatase"),
    148: ("FeTiO3", "ilmenite"),
    152: ("SiO2", "quartz (alpha)"),
    164: ("CdI2", "C6"),
    186: ("ZnO", "wurtzite"),
    198: ("NiSbS", "F0_1"),
    205: ("FeS2", "pyrite"),
    221: ("SrTiO3", "perovskite"),
}
"""By the number of the space group, formula and prototype."""


def moved_within_its_symmetry(atoms, seed, amount=0.1):
    """Atoms displaced and cell strained at random, but as the space group allows."""
    start = with_its_symmetry(atoms, 1e-3)
    constraints = Constraints.from_atoms([start])
    rng = np.random.default_rng(seed)
    batch = AtomicBatch.from_atoms(start)
    shifts = torch.as_tensor(rng.normal(size=(len(atoms), 3)) * amount)
    strain = rng.normal(size=(3, 3)) * 0.03
    strain = constraints.strains[0].numpy() @ (strain + strain.T).ravel()
    start.set_constraint()
    start.positions += constraints.on_atoms(batch, shifts).numpy()
    start.set_cell(
        start.cell.array @ (np.eye(3) + strain.reshape(3, 3)), scale_atoms=True
    )
    return start


@pytest.fixture(scope="module")
def symmetric_starts():
    """Twelve crystals, each of another space group, away from their minima."""
    return [
        moved_within_its_symmetry(build_crystal(*CRYSTALS[number]), number)
        for number in CRYSTALS
    ]


def test_displacements_within_a_symmetry_keep_it(symmetric_starts):
    for number, start in zip(CRYSTALS, symmetric_starts, strict=True):
        perfect = build_crystal(*CRYSTALS[number])
        assert space_group(perfect, 1e-3).number == number
        assert space_group(start, 1e-6).number == number
        assert np.abs(start.cell.array - perfect.cell.array).max() > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_the_space_group_at_the_end_is_the_one_at_the_start(
    method, symmetric_starts, sevennet_0
):
    results = relax(
        symmetric_starts,
        sevennet_0,
        cell="full",
        method=method,
        max_force=0.02,
        max_steps=300,
        fix_symmetry=True,
        symprec=1e-4,
    )
    for number, start, result in zip(CRYSTALS, symmetric_starts, results, strict=True):
        assert result.converged, number
        assert result.steps > 1, number
        assert result.symmetrized < 1e-6
        assert space_group(result.atoms, 1e-6).number == number
        assert result.energy < float(sevennet_0.compute(start).energy) - 1e-3
        # What is left out is small: this network tells left from right, a little.
        every = sevennet_0.compute(result.atoms).forces
        assert np.abs(every.numpy() - result.atoms.get_forces()).max() < 5e-3


def test_a_fixed_symmetry_holds_where_the_crystal_wants_to_leave_it(sevennet_0):
    # Cubic perovskites are unstable against a shift of the atom in the middle.
    cubic = build_crystal("BaTiO3", "perovskite")
    start = cubic.copy()
    start.rattle(2e-3, seed=1)
    kept = relax(
        start, sevennet_0, cell="full", max_force=1e-3, fix_symmetry=True, symprec=0.02
    )
    free = relax(start, sevennet_0, cell="full", max_force=1e-3, max_steps=1000)
    assert kept.converged
    assert free.converged
    assert 1e-3 < kept.symmetrized < 0.02
    assert space_group(kept.atoms, 1e-6).number == 221
    assert space_group(free.atoms, 1e-2).number != 221
    assert free.energy < kept.energy - 1e-3


def test_a_supercell_keeps_the_symmetry_of_its_crystal(lennard_jones):
    # The lattice of this supercell alone is orthorhombic.
    start = bulk("Ar", "fcc", 5.0) * (2, 2, 1)
    start.rattle(1e-3, seed=0)
    result = relax(start, lennard_jones, cell="full", max_force=1e-5, fix_symmetry=True)
    assert result.converged
    assert space_group(result.atoms, 1e-7).number == 225
    assert abs(result.atoms.cell.volume / start.cell.volume - 1.0) > 0.05


def test_the_constraint_of_ase_fixes_the_symmetry_too(lennard_jones):
    start = bulk("Ar", "hcp", a=3.6, c=6.4)
    start.set_constraint(FixSymmetry(start, symprec=1e-3))
    result = relax(start, lennard_jones, cell="full", max_force=1e-5)
    assert result.converged
    assert result.steps > 2
    assert space_group(result.atoms, 1e-7).number == 194
    assert isinstance(result.atoms.constraints[0], FixSymmetry)


def test_a_symmetry_that_is_farther_than_symprec_is_not_made(lennard_jones):
    start = bulk("Ar", "fcc", 5.2, cubic=True)
    start.rattle(0.05, seed=1)
    result = relax(start, lennard_jones, fix_symmetry=True, symprec=1e-3, max_steps=3)
    # Found is what it has: no symmetry but the identity.
    assert result.symmetrized < 1e-12
    assert space_group(result.atoms, 1e-3).number == 1
    molecule = start[:3]
    molecule.pbc = False
    with pytest.raises(StructureError, match=r"0 \(Ar3\): .* needs a crystal"):
        relax(molecule, lennard_jones, fix_symmetry=True)
    with pytest.raises(ParameterError, match="symprec > 0"):
        relax(start, lennard_jones, symprec=0.0)


def test_one_structure_that_cannot_keep_its_symmetry_does_not_stop_the_others(
    argon, trimer, lennard_jones
):
    good, bad = relax(
        [argon(amount=0.0), trimer], lennard_jones, max_force=1e-3, fix_symmetry=True
    )
    assert good.status is Status.CONVERGED
    assert bad.status is Status.REFUSED
    assert "needs a crystal" in bad.message


def test_fixed_atoms_go_with_a_symmetry_only_when_their_images_are_fixed(sevennet_0):
    rutile = build_crystal("TiO2", "rutile")
    titanium = [atom.index for atom in rutile if atom.symbol == "Ti"]
    rutile.set_constraint(FixAtoms(titanium))
    result = relax(rutile, sevennet_0, fix_symmetry=True, max_force=1e-3)
    assert result.converged
    scaled = result.atoms.get_scaled_positions()[titanium]
    np.testing.assert_allclose(scaled, rutile.get_scaled_positions()[titanium])
    rutile.set_constraint(FixAtoms(titanium[:1]))
    with pytest.raises(
        StructureError, match=r"fixed atoms \(\d\) to ones that are not"
    ):
        relax(rutile, sevennet_0, fix_symmetry=True)


def test_fixed_axes_go_with_a_symmetry_only_when_it_keeps_them(sevennet_0):
    rutile = build_crystal("TiO2", "rutile")
    result = relax(
        rutile,
        sevennet_0,
        cell="full",
        fixed_axes="a",  # the tetragonal axis in this setting
        fix_symmetry=True,
        max_force=0.01,
    )
    assert result.converged
    assert space_group(result.atoms, 1e-6).number == 136
    np.testing.assert_allclose(result.atoms.cell[0], rutile.cell[0], atol=1e-10)
    with pytest.raises(StructureError, match="takes fixed_axes='b' to axes"):
        relax(rutile, sevennet_0, cell="full", fixed_axes="b", fix_symmetry=True)
