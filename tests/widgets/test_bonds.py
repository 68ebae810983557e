"""Which atoms the viewer draws as bonded."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list

from gnndesign_widgets.bonds import find_bonds


def test_rocksalt_has_six_bonds_an_atom_through_the_faces_too() -> None:
    bonds = find_bonds(bulk("NaCl", "rocksalt", 5.64, cubic=True))
    ends = np.concatenate([bonds.first, bonds.second])
    assert np.bincount(ends).tolist() == [6] * 8
    assert np.linalg.norm(bonds.vector, axis=1) == pytest.approx(2.82)
    assert 0 < bonds.crosses_face.sum() < len(bonds.first)


@pytest.mark.parametrize(
    "pbc", [True, False, (True, False, True), (False, True, False)]
)
def test_bonds_of_a_slanted_cell_agree_with_ase(pbc: object) -> None:
    atoms = bulk("Cu") * (2, 3, 2)
    atoms.rattle(0.1, seed=1)
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    atoms.positions += 4 * atoms.cell[0] - 2 * atoms.cell[2]  # far outside the cell
    atoms.pbc = pbc
    bonds = find_bonds(atoms)
    wanted = neighbor_list("d", atoms, 1.15 * 2 * 1.32)
    lengths = np.linalg.norm(bonds.vector, axis=1)
    assert np.sort(np.tile(lengths, 2)) == pytest.approx(np.sort(wanted))
    image = atoms.positions[bonds.second] - atoms.positions[bonds.first] - bonds.vector
    shift = np.linalg.solve(atoms.cell.array.T, image.T)
    assert shift == pytest.approx(np.round(shift), abs=1e-8)
    assert (np.abs(shift).max(axis=0) > 0.5).tolist() == bonds.crosses_face.tolist()


def test_cations_are_not_bonded_to_each_other_but_metals_are() -> None:
    perovskite = Atoms(
        "SrTiO3",
        scaled_positions=[(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
        cell=[3.905] * 3,
        pbc=True,
    )  # fmt: skip
    bonds = find_bonds(perovskite)
    pairs = {
        tuple(sorted((perovskite.symbols[a], perovskite.symbols[b])))
        for a, b in zip(bonds.first, bonds.second, strict=True)
    }
    assert pairs == {("O", "Sr"), ("O", "Ti")}
    assert len(find_bonds(bulk("Cu")).first) == 6


def test_benzene_has_twelve_bonds_and_empty_structures_none() -> None:
    assert len(find_bonds(molecule("C6H6")).first) == 12
    assert len(find_bonds(Atoms()).first) == 0
    assert len(find_bonds(Atoms("H2", positions=np.zeros((2, 3)))).first) == 0
