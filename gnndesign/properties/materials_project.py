"""Formation and decomposition energies of the Materials Project, where there are any.

The table of 85,014 compositions of C. J. Bartel et al., npj Comput. Mater. 6, 97 (2020):
ground states of the Materials Project of 2019. It is not part of gnndesign; the variable
GNNDESIGN_DATA names the folder in which `mp_formation/mp_ef_ed_85014.csv.xz` is looked
for. Without it nothing is compared.
"""

from __future__ import annotations

import csv
import lzma
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, reduce
from math import gcd
from pathlib import Path

import ase
from pymatgen.core import Composition

from gnndesign.errors import CheckpointError

DATA_VARIABLE = "GNNDESIGN_DATA"

PROVENANCE = (
    "DFT values are those of the Materials Project of 2019 for the ground state of the "
    "composition (C. J. Bartel et al., npj Comput. Mater. 6, 97 (2020)): GGA and GGA+U "
    "mixed, with its corrections of anions (about 0.7 eV for each O in an oxide) and of "
    "+U metals. A potential that learned uncorrected energies does not have these "
    "corrections."
)

_FILE = Path("mp_formation", "mp_ef_ed_85014.csv.xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCompound:
    """What the Materials Project says of a composition.

    Attributes:
        formation_energy_per_atom: eV/atom, negative where it is gained.
        decomposition_energy_per_atom: eV/atom against the best mixture of other
            compositions; negative for what is stable, by how much it is.
    """

    formation_energy_per_atom: float
    decomposition_energy_per_atom: float


def known_compound(atoms: ase.Atoms) -> KnownCompound | None:
    """The entry of a structure's composition; None where there is none, or no table."""
    return _table(os.environ.get(DATA_VARIABLE, "")).get(_key(amounts(atoms)))


def stable_compounds(elements: frozenset[str]) -> tuple[str, ...]:
    """Formulas of the stable compounds that are made of these elements and no others.

    Sorted; written as `reduced_formula` writes them.
    """
    table = _table(os.environ.get(DATA_VARIABLE, ""))
    return tuple(
        sorted(
            _written(key)
            for key, known in table.items()
            if known.decomposition_energy_per_atom <= 0
            and all(symbol in elements for symbol, _ in key)
        )
    )


def amounts(atoms: ase.Atoms) -> dict[str, int]:
    """Number of atoms of each element in the reduced formula."""
    symbols = atoms.get_chemical_symbols()
    counts = {symbol: symbols.count(symbol) for symbol in sorted(set(symbols))}
    divisor = reduce(gcd, counts.values())
    return {symbol: count // divisor for symbol, count in counts.items()}


def reduced_formula(atoms: ase.Atoms) -> str:
    """In smallest whole numbers, as chemists write it: "CaTiO3"."""
    return _written(_key(amounts(atoms)))


_Key = tuple[tuple[str, int], ...]


def _key(counts: Mapping[str, int]) -> _Key:
    return tuple(sorted(counts.items()))


def _written(key: _Key) -> str:
    if len(key) == 1:
        return key[0][0]
    return Composition(dict(key)).reduced_formula


@cache
def _table(folder: str) -> Mapping[_Key, KnownCompound]:
    path = Path(folder) / _FILE
    if not folder or not path.is_file():
        return {}
    try:
        with lzma.open(path, "rt", encoding="utf-8") as stream:
            return {
                _parsed(row["formula"]): KnownCompound(
                    formation_energy_per_atom=float(row["Ef_eV_per_atom"]),
                    decomposition_energy_per_atom=float(row["Ed_eV_per_atom"]),
                )
                for row in csv.DictReader(stream)
            }
    except (KeyError, ValueError, lzma.LZMAError) as error:
        raise CheckpointError(
            f"{path} is not the table of formation energies ({error}). Put the right "
            f"one there, or unset {DATA_VARIABLE}."
        ) from error


def _parsed(formula: str) -> _Key:
    """Of a formula that writes every number: "Ca1O3Ti1"."""
    spaced = "".join(
        f" {c}" if c.isupper() else f",{c}" if c.isdigit() and not b.isdigit() else c
        for b, c in zip(" " + formula, formula, strict=False)
    )
    parts = (part.split(",") for part in spaced.split())
    return tuple((symbol, int(count)) for symbol, count in parts)
