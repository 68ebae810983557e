"""Supercells with one point defect, one for every kind of site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ase
import spglib
from ase.data import atomic_numbers

from gnndesign.errors import StructureError
from gnndesign.structures.symmetry import call_spglib, spglib_cell
from gnndesign.structures.voids import find_voids

DefectKind = Literal["vacancy", "substitution", "interstitial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectCell:
    """A supercell with a defect, not relaxed.

    Attributes:
        name: "v_Cu", "Al_Cu" or "i_C", and the site where there are several.
        kind: "vacancy", "substitution" or "interstitial".
        site: what is known of the place.
        multiplicity: number of such sites in the conventional cell.
        added: number of atoms of each element added, negative for those taken away.
        atoms: the supercell.
    """

    name: str
    kind: DefectKind
    site: str
    multiplicity: int
    added: Mapping[str, int]
    atoms: ase.Atoms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """A kind of site, by one atom of it."""

    index: int
    symbol: str
    name: str
    site: str
    multiplicity: int


def defect_cells(
    cell: ase.Atoms,
    supercell: ase.Atoms,
    *,
    vacancies: bool,
    substitutions: Sequence[str],
    interstitials: Sequence[str],
    min_radius: float,
    symprec: float,
) -> list[DefectCell]:
    """One supercell for every defect that symmetry does not turn into another.

    Args:
        cell: the conventional cell.
        supercell: a repetition of it, whose first atoms are those of the cell.
        vacancies: whether there are vacancies.
        substitutions: elements that take the place of atoms of the crystal.
        interstitials: elements that go into voids.
        min_radius: Å from a void to the nearest atom at least.
        symprec: Å, within which sites are equivalent.

    Raises:
        StructureError: not an element, or nothing to be made of these.
    """
    for symbol in (*substitutions, *interstitials):
        if symbol not in atomic_numbers or symbol == "X":
            raise StructureError(f"Wanted an element such as C, got {symbol!r}.")
    found: list[DefectCell] = []
    for site in _sites(cell, symprec):
        if vacancies and len(supercell) > 1:
            found.append(_vacancy(supercell, site))
        found += [
            _substitution(supercell, site, guest)
            for guest in substitutions
            if guest != site.symbol
        ]
    voids = find_voids(cell, min_radius=min_radius, symprec=symprec)
    for place, void in enumerate(voids if interstitials else (), 1):
        for guest in interstitials:
            name = f"i_{guest}" if len(voids) == 1 else f"i_{guest} {place}"
            found.append(
                DefectCell(
                    name=name,
                    kind="interstitial",
                    site=f"{void.n_neighbors} neighbors at {void.radius:.2f} Å",
                    multiplicity=void.multiplicity,
                    added={guest: 1},
                    atoms=supercell + ase.Atoms(guest, positions=[void.position]),
                )
            )
    if not found:
        raise StructureError(
            f"No such defect in {cell.get_chemical_formula('metal')}: wanted another "
            "element than its own, voids wide enough, or more than one atom."
        )
    return found


def _sites(cell: ase.Atoms, symprec: float) -> list[_Site]:
    spglib_input, _ = spglib_cell(cell, symprec)
    dataset: Any = call_spglib(
        spglib.get_symmetry_dataset, spglib_input, cell, symprec=symprec
    )
    orbits = dataset.crystallographic_orbits.tolist()
    symbols = cell.get_chemical_symbols()
    firsts = sorted(set(orbits))
    return [
        _Site(
            index=index,
            symbol=symbols[index],
            name=_called(symbols[index], index, firsts, symbols),
            site=f"Wyckoff {orbits.count(index)}{dataset.wyckoffs[index]}",
            multiplicity=orbits.count(index),
        )
        for index in firsts
    ]


def _called(symbol: str, index: int, firsts: list[int], symbols: list[str]) -> str:
    """The element, numbered where it has several kinds of sites."""
    alike = [other for other in firsts if symbols[other] == symbol]
    return symbol if len(alike) == 1 else f"{symbol}{alike.index(index) + 1}"


def _vacancy(supercell: ase.Atoms, site: _Site) -> DefectCell:
    atoms = supercell.copy()
    del atoms[site.index]
    return DefectCell(
        name=f"v_{site.name}",
        kind="vacancy",
        site=site.site,
        multiplicity=site.multiplicity,
        added={site.symbol: -1},
        atoms=atoms,
    )


def _substitution(supercell: ase.Atoms, site: _Site, guest: str) -> DefectCell:
    atoms = supercell.copy()
    atoms.symbols[site.index] = guest
    return DefectCell(
        name=f"{guest}_{site.name}",
        kind="substitution",
        site=site.site,
        multiplicity=site.multiplicity,
        added={guest: 1, site.symbol: -1},
        atoms=atoms,
    )
