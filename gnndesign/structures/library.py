"""The shipped library: elements, crystal structure prototypes, small molecules.

Origins and licences of the data are in `data/SOURCE.txt`.
"""

from __future__ import annotations

import difflib
import json
import lzma
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import ase
import numpy as np
from ase.collections import g2
from ase.data import atomic_numbers
from pymatgen.core import Composition, Element

from gnndesign.errors import StructureError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prototype:
    """A crystal structure that compounds are named after.

    Attributes:
        mineral: name of the mineral or of the structure, "" if it has none.
        aflow: label of the AFLOW library, such as "AB3C_cP5_221_a_c_b".
        strukturbericht: symbol such as "E2_1", "" if it has none.
        pearson: Pearson symbol such as "cP5"; the number counts the conventional cell.
        formula: reduced formula of the compound it is named after, such as "CaTiO3".
        anonymous_formula: its stoichiometry, such as "ABC3".
        species: elements of that compound, in the order of the formula.
        symbols: (n_atoms,) element on each site of the primitive cell.
    """

    mineral: str
    aflow: str
    strukturbericht: str
    pearson: str
    formula: str
    anonymous_formula: str
    species: tuple[str, ...]
    symbols: tuple[str, ...]
    _cell: tuple[tuple[float, ...], ...] = field(repr=False)
    _scaled_positions: tuple[tuple[float, ...], ...] = field(repr=False)

    def to_atoms(self) -> ase.Atoms:
        """The compound that the prototype is named after, in its primitive cell."""
        return ase.Atoms(
            self.symbols,
            scaled_positions=self._scaled_positions,
            cell=self._cell,
            pbc=True,
        )


# What people call a structure, where the AFLOW list says something else or says it
# about several structures.
_ALIASES = {
    "rocksalt": "B1",
    "nacl": "B1",
    "halite": "B1",
    "perovskite": "E2_1",
    "cubic perovskite": "E2_1",
    "zincblende": "B3",
    "zinc blende": "B3",
    "sphalerite": "B3",
    "wurtzite": "B4",
    "fluorite": "C1",
    "antifluorite": "C1",
    "diamond": "A4",
    "fcc": "A1",
    "bcc": "A2",
    "hcp": "A3",
    "simple cubic": "A_h",
    "sc": "A_h",
    "rutile": "C4",
    "anatase": "C5",
    "spinel": "H1_1",
    "cscl": "B2",
    "nickel arsenide": "B8_1",
    "nias": "B8_1",
    "corundum": "D5_1",
    "pyrite": "C2",
    "graphite": "A9",
    "heusler": "L2_1",
    "half heusler": "C1_b",
    "cementite": "D0_11",
    "a15": "A15",
    "cdi2": "C6",
    "mos2": "C7",
    "cu3au": "L1_2",
    "cuau": "L1_0",
    "bif3": "D0_3",
    "reo3": "D0_9",
}


def elemental_polymorphs(symbol: str) -> tuple[ase.Atoms, ...]:
    """Polymorphs of an element with at most 24 atoms a cell, lowest energy first.

    `info["energy_per_atom"]` is the energy of the Materials Project (PBE), eV per atom.
    Single molecules in a large box, which that database lists too, are left out.

    Raises:
        StructureError: not an element, or none is known.
    """
    entries = _elements().get(_element(symbol))
    if not entries:
        raise StructureError(
            f"No elemental structure of {symbol} is in the library; it knows "
            f"{len(_elements())} elements, among the first 94 all but At, Fr, Po, Ra, "
            "Rn and Yb."
        )
    return tuple(
        ase.Atoms(
            entry["species"],
            scaled_positions=entry["frac"],
            cell=entry["cell"],
            pbc=True,
            info={"energy_per_atom": entry["e_per_atom"]},
        )
        for entry in entries
    )


def elemental_ground_state(symbol: str) -> ase.Atoms:
    """The polymorph of lowest energy per atom (Materials Project, PBE).

    PBE sets some stackings a few meV per atom below the structure seen in experiment:
    Ag, Na and Li are close-packed stackings of three atoms here, not fcc or bcc.

    Raises:
        StructureError: see `elemental_polymorphs`.
    """
    return elemental_polymorphs(symbol)[0]


def list_prototypes() -> tuple[Prototype, ...]:
    """The 287 prototypes of the library, in the order of their Pearson symbols."""
    return _prototypes()


@cache
def prototype(name: str) -> Prototype:
    """Find a prototype by mineral name, AFLOW label or Strukturbericht symbol.

    Case, spaces, hyphens and underscores do not matter: "Rock Salt", "rocksalt", "B1"
    and "AB_cF8_225_a_b" are the same.

    Raises:
        StructureError: unknown, with the closest names; or the name of several, with
            the labels to choose from.
    """
    wanted = _plain(name)
    alias = next((v for k, v in _ALIASES.items() if _plain(k) == wanted), None)
    key = _plain(alias) if alias else wanted
    found = [p for p in _prototypes() if key in map(_plain, _names(p))]
    if alias:
        found = [p for p in found if _plain(p.strukturbericht) == key]
    if len(found) == 1:
        return found[0]
    exact = [p for p in found if name in _names(p)]
    if len(exact) == 1:
        return exact[0]
    if found:
        choices = ", ".join(
            f"{p.strukturbericht or p.aflow} ({p.formula})" for p in found
        )
        raise StructureError(
            f"'{name}' is the name of {len(found)} prototypes; choose one by its AFLOW "
            f"label or Strukturbericht symbol: {choices}."
        )
    names = {*_ALIASES, *(n for p in _prototypes() for n in _names(p))}
    raise StructureError(
        f"No prototype is called '{name}'.{_closest(name, names)} list_prototypes() "
        "gives all of them."
    )


def list_molecules() -> tuple[str, ...]:
    """Names of the 148 molecules and 14 atoms of the G2 set, sorted."""
    return tuple(sorted(g2.names))


def molecule(name: str) -> ase.Atoms:
    """A small molecule of the G2 set, such as "H2O" or "C6H6", without a cell.

    Geometries are MP2(full)/6-31G(d) (Curtiss et al., J. Chem. Phys. 106, 1063
    (1997)); unpaired electrons are in the initial magnetic moments. Read from ASE.

    Raises:
        StructureError: unknown, with the closest names.
    """
    names = {n.casefold(): n for n in g2.names}
    # CO and Co, CS and Cs differ in case only, so the exact spelling goes first.
    found = name if name in g2.names else names.get(name.casefold())
    if found is None:
        raise StructureError(
            f"No molecule is called '{name}'.{_closest(name, g2.names)} "
            "list_molecules() gives all of them; from_smiles builds any other."
        )
    atoms = g2[found]
    atoms.pbc = False
    return atoms


@cache
def _elements() -> dict[str, list[dict[str, Any]]]:
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for entry in _read("mp_elemental_polymorphs.json.xz"):
        by_symbol.setdefault(entry["el"], []).append(entry)
    for symbol, entries in by_symbol.items():
        typical = statistics.median(e["vol_per_atom"] for e in entries)
        dense = [e for e in entries if e["vol_per_atom"] < 5.0 * typical]
        by_symbol[symbol] = sorted(dense, key=lambda e: e["e_per_atom"])
    return by_symbol


@cache
def _prototypes() -> tuple[Prototype, ...]:
    # The U3Si entry is a smaller cubic cell than its label says.
    entries = [
        entry
        for entry in _read("aflow_prototypes.json.xz")
        if entry["aflow"] != "AB3_tI16_140_b_ah"
    ]
    return tuple(
        sorted(map(_to_prototype, entries), key=lambda p: (p.pearson, p.aflow))
    )


def _to_prototype(entry: dict[str, Any]) -> Prototype:
    composition = Composition("".join(entry["species"])).element_composition
    reduced, _ = composition.get_reduced_composition_and_factor()
    elements = sorted(reduced.elements, key=lambda e: (is_anion_former(e), e.X))
    cell = np.array(entry["cell"], dtype=float)
    return Prototype(
        mineral=(entry["mineral"] or "").replace("\\'{c}", "ć"),
        aflow=entry["aflow"],
        strukturbericht=(entry["strukturbericht"] or "").replace("\\", "").strip('"'),
        pearson=entry["pearson"],
        formula="".join(f"{e.symbol}{_count(reduced[e])}" for e in elements),
        anonymous_formula=reduced.anonymized_formula,
        species=tuple(e.symbol for e in elements),
        symbols=tuple(entry["species"]),
        _cell=tuple(map(tuple, cell.tolist())),
        _scaled_positions=tuple(map(tuple, entry["frac"])),
    )


def is_anion_former(element: Element) -> bool:
    """Whether chemists write an element last: the nonmetals and metalloids."""
    return not element.is_metal


def _count(number: float) -> str:
    return "" if number == 1 else f"{number:g}"


def _names(entry: Prototype) -> list[str]:
    minerals = re.split(r",\s*", entry.mineral)
    return [n for n in (*minerals, entry.aflow, entry.strukturbericht) if n]


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-()]", "", name).casefold()


def _element(symbol: str) -> str:
    tidy = symbol.strip().capitalize()
    if tidy not in atomic_numbers or tidy == "X":
        raise StructureError(f"Wanted an element symbol such as Fe, got '{symbol}'.")
    return tidy


def _closest(name: str, names: Iterable[str]) -> str:
    plain = {_plain(n): n for n in names}
    close = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    if not close:
        return ""
    return f" Did you mean {' or '.join(repr(plain[c]) for c in close)}?"


def _read(name: str) -> list[dict[str, Any]]:
    packed = files("gnndesign.structures").joinpath("data", name).read_bytes()
    return json.loads(lzma.decompress(packed))
