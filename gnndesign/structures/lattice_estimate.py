"""How large a crystal is likely to be, from its elements and its bonds."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass

import ase
import numpy as np
import vesin
from ase.data import atomic_numbers, covalent_radii
from ase.data.vdw import vdw_radii
from pymatgen.core import Composition, Element, Species

from gnndesign.errors import StructureError
from gnndesign.structures.library import elemental_ground_state

_IONIC_FROM = 1.0
"""Difference of Pauling electronegativities from which a bond is taken as ionic."""

_ROMAN = {2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 12: "XII"}


def estimate_volume(atoms: ase.Atoms) -> float:
    """Likely volume of a cell in Å³, its shape and fractional coordinates given.

    Metals and alloys: the sum of the atomic volumes of the elements (Vegard's rule;
    ground states of the Materials Project, PBE). Everything else: the shortest bonds
    get the sum of two radii. Between atoms of opposite charge, in the likeliest
    oxidation states, these are Shannon's crystal radii (Acta Cryst. A32, 751 (1976),
    as in pymatgen) for the coordination number, if electronegativities differ by 1.0
    or more or there are six neighbors or more; between noble gases van der Waals radii
    (Bondi, J. Phys. Chem. 68, 441 (1964), as in ASE); elsewhere covalent radii
    (Cordero et al., Dalton Trans. 2832 (2008), as in ASE). Atoms of like charge do not count as
    bonded.
    """
    elements = {symbol: Element(symbol) for symbol in set(atoms.symbols)}
    if all(element.is_metal for element in elements.values()):
        try:
            return sum(_atomic_volume(symbol) for symbol in atoms.symbols)
        except StructureError:
            pass  # an element without a reference crystal: its radius has to do
    charges = _oxidation_states(atoms, elements)
    bonds = _shortest_bonds(atoms, elements)
    ionic = [b for b in bonds if charges.get(b.center, 0) * charges.get(b.other, 0) < 0]
    scale = max(
        _bond_length(bond, elements, charges) / bond.distance for bond in ionic or bonds
    )
    return float(atoms.cell.volume) * scale**3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bond:
    """The shortest distance in Å from a center to another element, and how often."""

    center: str
    other: str
    distance: float
    coordination: int


def _atomic_volume(symbol: str) -> float:
    reference = elemental_ground_state(symbol)
    return float(reference.cell.volume) / len(reference)


def _oxidation_states(
    atoms: ase.Atoms, elements: dict[str, Element]
) -> dict[str, float]:
    """The likeliest neutral assignment; empty where there is none."""
    if len(elements) == 1 or math.inf in map(_electronegativity, elements.values()):
        return {}
    composition = Composition(atoms.get_chemical_formula()).reduced_composition
    guesses = composition.oxi_state_guesses()
    return dict(guesses[0]) if guesses else {}


def _shortest_bonds(atoms: ase.Atoms, elements: dict[str, Element]) -> list[_Bond]:
    """Bonds between each pair of elements, the less electronegative as the center."""
    reach = 2.0 * (atoms.cell.volume / len(atoms)) ** (1 / 3)
    i, j, d = vesin.ase_neighbor_list("ijd", atoms, reach)
    symbols = np.array(atoms.symbols)
    order = sorted(elements, key=lambda symbol: _electronegativity(elements[symbol]))
    bonds: list[_Bond] = []
    for a, b in itertools.combinations_with_replacement(order, 2):
        between = d[(symbols[i] == a) & (symbols[j] == b)]
        if len(between):
            shortest = float(between.min())
            # Neighbors up to 15 % farther belong to the same, distorted, shell.
            shell = np.count_nonzero(between < 1.15 * shortest)
            number = round(shell / np.count_nonzero(symbols == a))
            bonds.append(
                _Bond(center=a, other=b, distance=shortest, coordination=number)
            )
    return bonds


def _electronegativity(element: Element) -> float:
    """Pauling's; of helium, neon and argon, which have none, larger than any."""
    return element.data.get("X") or math.inf


def _bond_length(
    bond: _Bond, elements: dict[str, Element], charges: dict[str, float]
) -> float:
    a, b = bond.center, bond.other
    difference = _electronegativity(elements[a]) - _electronegativity(elements[b])
    is_polar = abs(difference) >= _IONIC_FROM
    if charges.get(a, 0.0) * charges.get(b, 0.0) < 0.0 and (
        is_polar or bond.coordination >= 6
    ):
        center = _ionic_radius(a, charges[a], bond.coordination)
        other = _ionic_radius(b, charges[b], 6)
        if center is not None and other is not None:
            return center + other
    if all(elements[symbol].is_noble_gas for symbol in (a, b)):
        return float(vdw_radii[atomic_numbers[a]] + vdw_radii[atomic_numbers[b]])
    return float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


def _ionic_radius(symbol: str, charge: float, coordination: int) -> float | None:
    """Shannon's crystal radius in Å; that of six neighbors if there is no other."""
    if not float(charge).is_integer():
        return None
    species = Species(symbol, charge)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(
                species.get_shannon_radius(
                    _ROMAN.get(coordination, "VI"), "", radius_type="crystal"
                )
            )
        except KeyError:
            radius = species.ionic_radius
    return None if radius is None else float(radius)
