"""Formation and decomposition energies of the Materials Project, by composition.

The table of 85,014 compositions of C. J. Bartel et al., npj Comput. Mater. 6, 97 (2020):
ground states of the Materials Project of 2019. Those that are stable or within 0.05
eV/atom of it, 58,229 of them, come with gnndesign, rounded to 1 meV/atom. The whole table
is used where the folder named by the variable GNNDESIGN_DATA has it, as
`mp_formation/mp_ef_ed_85014.csv.xz`.
"""

from __future__ import annotations

import csv
import lzma
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from itertools import combinations
from math import gcd
from pathlib import Path

import ase
from pymatgen.core import Composition

from gnndesign.errors import CheckpointError
from gnndesign.properties.near_hull_table import (
    MOST_DECOMPOSITION_ENERGY,
    read_shipped,
)

DATA_VARIABLE = "GNNDESIGN_DATA"

PROVENANCE = (
    "DFT values are those of the Materials Project of 2019 for the ground state of the "
    "composition (C. J. Bartel et al., npj Comput. Mater. 6, 97 (2020)): GGA and GGA+U "
    "mixed, with its corrections of anions (about 0.7 eV for each O in an oxide) and of "
    "+U metals. A potential that learned uncorrected energies does not have these "
    "corrections."
)

_FILE = Path("mp_formation", "mp_ef_ed_85014.csv.xz")

_Key = tuple[tuple[str, int], ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTable:
    """Which table compositions are looked up in.

    Attributes:
        is_complete: whether it is the whole one, of which a composition that is missing
            was not in the Materials Project of 2019. Of the one that comes with
            gnndesign it may also be there and not nearly stable.
        n_compositions: in it.
    """

    is_complete: bool
    n_compositions: int

    @property
    def what_is_missing(self) -> str:
        """What a composition is that it does not have, to follow "SrTiO4 is "."""
        if self.is_complete:
            return "not in the Materials Project of 2019"
        return (
            "not known to be stable: not among the compositions within "
            f"{1000 * MOST_DECOMPOSITION_ENERGY:.0f} meV/atom of the hull of the "
            "Materials Project of 2019"
        )


def table_in_use() -> KnownTable:
    """The table that the other functions here look into."""
    table = _table(_folder())
    return KnownTable(
        is_complete=table.is_complete, n_compositions=len(table.compounds)
    )


def known_compound(atoms: ase.Atoms) -> KnownCompound | None:
    """The entry of a structure's composition; None where there is none."""
    return _table(_folder()).compounds.get(_key(amounts(atoms)))


def stable_compounds(elements: frozenset[str]) -> tuple[str, ...]:
    """Formulas of the stable compounds that are made of these elements and no others.

    Sorted; written as `reduced_formula` writes them.
    """
    return tuple(sorted(map(_written, _stable(elements))))


def stable_compositions(elements: frozenset[str]) -> tuple[Mapping[str, int], ...]:
    """The same as numbers of atoms by chemical symbol, simple systems first."""
    return tuple(map(dict, _stable(elements)))


def n_compounds_with(symbol: str) -> int:
    """How many of the shipped compositions, stable or nearly so, have an element.

    Some thousand for most; a few hundred for Pu and its neighbors, none for noble gases.
    """
    return _occurrences()[symbol]


@cache
def _occurrences() -> Counter[str]:
    return Counter(symbol for key in read_shipped() for symbol, _ in key)


def _stable(elements: frozenset[str]) -> Iterator[_Key]:
    table = _table(_folder())
    for n_elements in range(1, len(elements) + 1):
        for system in combinations(sorted(elements), n_elements):
            for key in table.systems.get(system, ()):
                if table.compounds[key].decomposition_energy_per_atom <= 0:
                    yield key


def amounts(atoms: ase.Atoms) -> dict[str, int]:
    """Number of atoms of each element in the reduced formula."""
    symbols = atoms.get_chemical_symbols()
    counts = {symbol: symbols.count(symbol) for symbol in sorted(set(symbols))}
    divisor = reduce(gcd, counts.values())
    return {symbol: count // divisor for symbol, count in counts.items()}


def reduced_formula(atoms: ase.Atoms) -> str:
    """In smallest whole numbers, as chemists write it: "CaTiO3"."""
    return written_formula(amounts(atoms))


def written_formula(counts: Mapping[str, int]) -> str:
    """The formula of numbers of atoms by chemical symbol, as chemists write it."""
    return _written(_key(counts))


def _key(counts: Mapping[str, int]) -> _Key:
    return tuple(sorted(counts.items()))


def _written(key: _Key) -> str:
    if len(key) == 1:
        return key[0][0]
    return Composition(dict(key)).reduced_formula


def _folder() -> str:
    return os.environ.get(DATA_VARIABLE, "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Table:
    """Compounds by composition, and compositions by their elements, sorted."""

    compounds: Mapping[_Key, KnownCompound]
    systems: Mapping[tuple[str, ...], list[_Key]]
    is_complete: bool


@cache
def _table(folder: str) -> _Table:
    path = Path(folder) / _FILE
    is_complete = bool(folder) and path.is_file()
    rows = _read(path) if is_complete else read_shipped()
    systems: dict[tuple[str, ...], list[_Key]] = {}
    for key in rows:
        systems.setdefault(tuple(symbol for symbol, _ in key), []).append(key)
    return _Table(
        compounds={
            key: KnownCompound(
                formation_energy_per_atom=formation,
                decomposition_energy_per_atom=decomposition,
            )
            for key, (formation, decomposition) in rows.items()
        },
        systems=systems,
        is_complete=is_complete,
    )


def _read(path: Path) -> dict[_Key, tuple[float, float]]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as stream:
            return {
                _parsed(row["formula"]): (
                    float(row["Ef_eV_per_atom"]),
                    float(row["Ed_eV_per_atom"]),
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
    parts: list[tuple[str, str]] = re.findall(r"([A-Z][a-z]?)(\d+)", formula)
    if not parts:
        raise ValueError(f"{formula!r} is no formula")
    return tuple(sorted((symbol, int(count)) for symbol, count in parts))
