"""Conversions into and out of the units of the house (eV, Å, amu).

The constants are CODATA 2018 values. They are our own numbers rather than
`ase.units`, whose default is CODATA 2014, so that a trajectory does not depend on
ASE's choice; the two agree to 1e-6 relative.
"""

from __future__ import annotations

import math

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""Boltzmann constant, eV/K (exact in the SI of 2019, rounded to ten digits)."""

ELEMENTARY_CHARGE_C = 1.602176634e-19
ATOMIC_MASS_KG = 1.66053906660e-27

EV_PER_A3_TO_GPA = ELEMENTARY_CHARGE_C * 1e30 * 1e-9
"""Multiply a pressure in eV/Å³ by this to have GPa (160.2176634)."""

FS = 1e-15 * math.sqrt(ELEMENTARY_CHARGE_C / ATOMIC_MASS_KG) * 1e10
"""One femtosecond in Å sqrt(amu/eV), the time unit in which F = m a holds."""

EV_TO_J_PER_MOL = 96485.33212331
"""Multiply an energy in eV by this to have J/mol (elementary charge times Avogadro)."""

PLANCK_EV_PER_THZ = 4.135667696e-3
"""Planck constant: multiply a frequency in THz by this to have its quantum in eV."""

THZ_TO_PER_CM = 33.3564095198
"""Multiply a frequency in THz by this to have its wavenumber in cm^-1."""
EV_PER_A2_TO_J_PER_M2 = ELEMENTARY_CHARGE_C * 1e20
"""Multiply a surface energy in eV/Å² by this to have J/m² (16.02176634)."""
