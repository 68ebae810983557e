"""What physical_validation wants to know of any run of argon, in eV, Å and K."""

import numpy as np
import physical_validation

from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA

UNITS = physical_validation.data.UnitData(
    kb=BOLTZMANN_EV_PER_K,
    energy_conversion=96.48533,
    length_conversion=0.1,
    volume_conversion=1e-3,
    temperature_conversion=1.0,
    pressure_conversion=EV_PER_A3_TO_GPA * 1e4,
    time_conversion=1e-3,
)


def argon_atoms(n_atoms, *, mass, rests):
    """Atoms of a mass in amu; `rests` of their translations are no motion."""
    return physical_validation.data.SystemData(
        natoms=n_atoms,
        nconstraints=0.0,
        ndof_reduction_tra=float(rests),
        ndof_reduction_rot=0.0,
        mass=np.full(n_atoms, mass),
        molecule_idx=np.arange(n_atoms),
        nconstraints_per_molecule=np.zeros(n_atoms),
    )
