"""Whether long waves of a crystal's ions would make an electric field.

In a polar insulator longitudinal optical phonons near the zone's center polarize the
crystal, and the field lifts them above the transverse ones (R. H. Lyddane, R. G. Sachs
and E. Teller, Phys. Rev. 59, 673 (1941)). A potential of short reach has no such field.
"""

from __future__ import annotations

import warnings
from itertools import combinations

import ase
from pymatgen.core import Element

_POLAR = 0.2
"""Pauling; GaAs has 0.4, SiGe 0.1."""

NO_SPLITTING_NOTE = (
    "LO-TO splitting is not included: a potential of short reach has no macroscopic "
    "electric field. If this crystal is an insulator, its longitudinal optical modes near "
    "q = 0 are too low."
)


def is_polar(atoms: ase.Atoms) -> bool:
    """Whether elements of different electronegativity, not all metals, share electrons.

    It goes by the elements alone and does not know insulators from metals.
    """
    elements = [Element(symbol) for symbol in sorted(set(atoms.get_chemical_symbols()))]
    with warnings.catch_warnings():
        # It has none of the light noble gases: NaN, which differs from nothing.
        warnings.filterwarnings("ignore", "No Pauling electronegativity")
        values = {element: element.X for element in elements}
    return any(
        abs(values[one] - values[other]) >= _POLAR
        and not (one.is_metal and other.is_metal)
        for one, other in combinations(elements, 2)
    )
