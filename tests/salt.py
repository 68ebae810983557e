"""Two elements without any symmetry left: a crystal, a molecule, a slab."""

import ase
import numpy as np
from ase.build import bulk

STRAIN = np.array([[0.01, 0.02, 0.0], [0.0, -0.01, 0.015], [0.005, 0.0, 0.02]])

CRYSTAL = bulk("NaCl", "rocksalt", 5.0, cubic=True)
CRYSTAL.rattle(0.15, seed=3)
CRYSTAL.set_cell(CRYSTAL.cell.array @ (np.eye(3) + STRAIN), scale_atoms=True)

MOLECULE = ase.Atoms(
    "ClNa2Cl", [[0, 0, 0], [2.3, 0.3, 0], [0.2, 2.5, 0.6], [2.0, 2.2, -1.3]]
)

SLAB = CRYSTAL[:5]
SLAB.pbc = [True, True, False]

SALT = [CRYSTAL, MOLECULE, SLAB]
