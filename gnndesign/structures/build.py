"""Crystals from a formula and a prototype, such as SrTiO3 and perovskite."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import ase
import numpy as np
import spglib
from ase.cell import Cell
from pymatgen.core import Composition, DummySpecies, Element

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures import library
from gnndesign.structures.lattice_estimate import estimate_volume
from gnndesign.structures.library import Prototype

# The order in which chemists write the elements of these prototypes, where it is not
# metals first by electronegativity. TiNiSn: Ti on 4a, Ni on 4c (the tetrahedral
# holes), Sn on 4b.
_WRITTEN_ORDER = {
    "ABC_cF12_216_b_c_a": ("Mg", "As", "Ag"),
    "AB3C_hR10_148_c_f_c": ("Fe", "Ti", "O"),
}


def build_crystal(
    formula: str,
    prototype: str | Prototype,
    *,
    lattice: float | tuple[float, float, float, float, float, float] | None = None,
    volume_per_atom: float | None = None,
    sites: Mapping[str, str] | None = None,
) -> ase.Atoms:
    """Put the elements of a formula on the sites of a prototype.

    Elements go to the sites that occur as often in the prototype. Where several occur
    equally often, an element that is in the prototype keeps its own site, metals come
    before nonmetals, and among these the order of the formula decides: in SrTiO3 and
    PbTiO3 the first element takes the large A site of the perovskite. `sites` says it
    outright.

    Without `lattice` and `volume_per_atom` the volume is estimated
    (`estimate_volume`), to within some 10 % for most compounds: a start for a
    relaxation.

    Args:
        formula: such as "SrTiO3" or "Ni3Al".
        prototype: name for `library.prototype`, such as "perovskite" or "L1_2".
        lattice: a of the conventional cell in Å, which scales the whole cell, or
            (a, b, c, alpha, beta, gamma) of the conventional cell in Å and degrees.
        volume_per_atom: Å³.
        sites: element for each element of the prototype, such as
            {"Ca": "Sr", "Ti": "Ti", "O": "O"}.

    Returns:
        The primitive cell, periodic; `conventional_cell` gives the other.

    Raises:
        StructureError: not a formula, an unknown prototype, or a formula of another
            stoichiometry.
        ParameterError: a lattice or volume that is not positive, or both given.
    """
    if lattice is not None and volume_per_atom is not None:
        raise ParameterError("Give lattice or volume_per_atom, not both.")
    if isinstance(prototype, str):
        prototype = library.prototype(prototype)
    element_of = _assign(_amounts(formula), prototype, formula, sites)
    atoms = prototype.to_atoms()
    atoms.symbols = [element_of[symbol] for symbol in prototype.symbols]
    if lattice is not None:
        _set_lattice(atoms, lattice, prototype)
        return atoms
    if volume_per_atom is None:
        volume_per_atom = estimate_volume(atoms) / len(atoms)
    elif not volume_per_atom > 0.0 or not np.isfinite(volume_per_atom):
        raise ParameterError(
            f"volume_per_atom must be a positive number of Å³, got {volume_per_atom}."
        )
    _scale(atoms, (volume_per_atom * len(atoms) / atoms.cell.volume) ** (1 / 3))
    return atoms


def _amounts(formula: str) -> dict[str, int]:
    """Number of each element in the reduced formula, in the order written."""
    try:
        composition = Composition(formula, strict=True)
    except (ValueError, TypeError, KeyError) as error:
        raise StructureError(
            f"'{formula}' is not a formula; wanted elements and numbers, such as "
            "SrTiO3."
        ) from error
    elements = composition.elements
    whole = all(float(n).is_integer() for n in composition.values())
    if not elements or not whole or any(isinstance(e, DummySpecies) for e in elements):
        raise StructureError(
            f"'{formula}' is not a formula of elements with whole numbers, such as "
            "SrTiO3."
        )
    amounts = {e.symbol: int(n) for e, n in composition.items()}
    divisor = np.gcd.reduce(list(amounts.values()))
    return {symbol: int(n // divisor) for symbol, n in amounts.items()}


def _assign(
    amounts: dict[str, int],
    prototype: Prototype,
    formula: str,
    sites: Mapping[str, str] | None,
) -> dict[str, str]:
    """Element for each element of the prototype."""
    available = _amounts(prototype.formula)
    if sites is not None:
        return _check_sites(sites, amounts, available, prototype, formula)
    if sorted(amounts.values()) != sorted(available.values()):
        raise StructureError(
            f"{formula} has the stoichiometry {Composition(amounts).anonymized_formula}"
            f", but {_called(prototype)} is {prototype.anonymous_formula} (as "
            f"{prototype.formula}). Choose a prototype of the same stoichiometry."
        )
    written = _WRITTEN_ORDER.get(prototype.aflow)
    order = written or prototype.species
    element_of: dict[str, str] = {}
    for amount in set(available.values()):
        slots = [s for s in order if available[s] == amount]
        elements = [e for e, n in amounts.items() if n == amount]
        own = [s for s in slots if s in elements]
        element_of.update({s: s for s in own})
        slots = [s for s in slots if s not in own]
        elements = [e for e in elements if e not in own]
        if written is None:
            elements.sort(key=lambda e: library.is_anion_former(Element(e)))
        element_of.update(zip(slots, elements, strict=True))
    return element_of


def _check_sites(
    sites: Mapping[str, str],
    amounts: dict[str, int],
    available: dict[str, int],
    prototype: Prototype,
    formula: str,
) -> dict[str, str]:
    made: dict[str, int] = {}
    for slot, element in sites.items():
        made[element] = made.get(element, 0) + available.get(slot, 0)
    divisor = int(np.gcd.reduce(list(made.values()))) or 1
    reduced = {element: n // divisor for element, n in made.items()}
    if set(sites) != set(available) or reduced != amounts:
        raise StructureError(
            f"sites={dict(sites)} does not make {formula} on {_called(prototype)}; "
            f"wanted an element for each of {', '.join(available)}, which occur as "
            f"{prototype.formula}."
        )
    return dict(sites)


def _set_lattice(
    atoms: ase.Atoms,
    lattice: float | tuple[float, float, float, float, float, float],
    prototype: Prototype,
) -> None:
    values = np.atleast_1d(np.asarray(lattice, dtype=float))
    if (
        values.shape not in {(1,), (6,)}
        or not (np.isfinite(values) & (values > 0)).all()
    ):
        raise ParameterError(
            "lattice must be a in Å, or (a, b, c, alpha, beta, gamma) in Å and "
            f"degrees, all positive; got {lattice}."
        )
    # The prototype's own elements, since alike elements could raise the symmetry.
    conventional = _conventional_lattice(prototype.to_atoms())
    if len(values) == 1:
        _scale(atoms, float(values[0]) / float(np.linalg.norm(conventional[0])))
        return
    cosines = np.cos(np.radians(values[3:]))
    # Volume of a cell with unit lengths, squared; angles that do not close have none.
    if 1.0 - (cosines**2).sum() + 2.0 * cosines.prod() < 1e-6:
        raise ParameterError(f"No cell has the lengths and angles {lattice}.")
    new = Cell.fromcellpar(values)
    primitive_in_conventional = atoms.cell.array @ np.linalg.inv(conventional)
    atoms.set_cell(primitive_in_conventional @ new.array, scale_atoms=True)


def _conventional_lattice(atoms: ase.Atoms) -> np.ndarray:
    """Vectors of the conventional cell, (3, 3) Å, in the orientation of `atoms`."""
    cell: Any = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = spglib.standardize_cell(cell, no_idealize=True, symprec=1e-3)
    if found is None:
        raise StructureError("spglib finds no conventional cell of this prototype.")
    return np.asarray(found[0], dtype=float)


def _scale(atoms: ase.Atoms, factor: float) -> None:
    atoms.set_cell(atoms.cell.array * factor, scale_atoms=True)


def _called(prototype: Prototype) -> str:
    return f"'{prototype.mineral or prototype.strukturbericht or prototype.aflow}'"
