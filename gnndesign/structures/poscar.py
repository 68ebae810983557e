"""VASP structure files (POSCAR, CONTCAR).

ASE reads the file; what is done here is what ASE cannot know. Files in the format of
VASP 4 name no elements, and ASE would look for a POTCAR in the folder while pymatgen
invents H, He, Li...; here the elements come from the comment line or from labels behind
the coordinates, or the file is refused.
"""

from __future__ import annotations

import io
import re

import ase
from ase.data import atomic_numbers
from ase.io.vasp import read_vasp

from gnndesign.errors import StructureError

_LABEL = re.compile(r"^[#!]?\s*([A-Z][a-z]?)[\d_+-]*\b")


def read_poscar(text: str, name: str) -> list[ase.Atoms]:
    """The one structure of a POSCAR; selective dynamics become constraints.

    Raises:
        StructureError: naming the line that is not what VASP wants there.
    """
    lines = text.split("\n")
    _check_lattice(lines, name)
    if _are_counts(lines[5]):
        lines.insert(5, " ".join(_symbols_without_symbol_line(lines, name)))
    _check_species(lines, name)
    _check_positions(lines, name)
    atoms = read_vasp(io.StringIO("\n".join(lines)))
    return [atoms]


def _check_lattice(lines: list[str], name: str) -> None:
    if len(lines) < 8:
        raise StructureError(
            f"'{name}' has {len(lines)} lines; a POSCAR has at least 8 (comment, "
            "scale, three lattice vectors, elements, counts, Direct or Cartesian)."
        )
    scale = _numbers(lines[1])
    if len(scale) not in {1, 3} or not all(scale):
        raise StructureError(
            f"'{name}', line 2: wanted one or three scale factors, got "
            f"'{lines[1].strip()[:40]}'. Is this a POSCAR?"
        )
    for number in (2, 3, 4):
        if len(_numbers(lines[number])) < 3:
            raise StructureError(
                f"'{name}', line {number + 1}: wanted a lattice vector of three "
                f"numbers in Å, got '{lines[number].strip()[:40]}'."
            )


def _check_species(lines: list[str], name: str) -> None:
    symbols = [re.split(r"[/_.]", word)[0] for word in _words(lines[5])]
    for symbol in symbols:
        if symbol not in atomic_numbers or symbol == "X":
            raise StructureError(
                f"'{name}', line 6: wanted element symbols, got "
                f"'{lines[5].strip()[:40]}'."
            )
    counts = _words(lines[6])
    if not _are_counts(lines[6]) or len(counts) != len(symbols):
        raise StructureError(
            f"'{name}', line 7: wanted {len(symbols)} whole numbers of atoms (for "
            f"{' '.join(symbols)}), got '{lines[6].strip()[:40]}'."
        )


def _check_positions(lines: list[str], name: str) -> None:
    n_atoms = sum(int(word) for word in _words(lines[6]))
    mode = 7 + lines[7].strip().lower().startswith("s")
    keyword = lines[mode].strip().lower() if mode < len(lines) else ""
    if not keyword.startswith(("d", "c", "k")):
        raise StructureError(
            f"'{name}', line {mode + 1}: wanted Direct or Cartesian, got "
            f"'{keyword[:40]}'."
        )
    rows = lines[mode + 1 : mode + 1 + n_atoms]
    for number, row in enumerate(rows):
        if len(_numbers(row)) < 3:
            raise StructureError(
                f"'{name}', line {mode + 2 + number}: wanted three coordinates of "
                f"atom {number + 1} of {n_atoms}, got '{row.strip()[:40]}'."
            )
    if len(rows) < n_atoms or n_atoms == 0:
        raise StructureError(
            f"'{name}' promises {n_atoms} atoms in line 7 and ends after {len(rows)}."
        )


def _symbols_without_symbol_line(lines: list[str], name: str) -> list[str]:
    """Element symbols of a VASP 4 file; `lines[5]` holds the counts."""
    counts = [int(word) for word in _words(lines[5])]
    words = lines[0].split()
    if len(words) == len(counts) and all(word in atomic_numbers for word in words):
        return words
    # A title that is a formula with these very counts; "POSCAR" is not P O S C Ar.
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", lines[0].strip())
    is_formula = "".join(symbol + count for symbol, count in parts) == lines[0].strip()
    if is_formula and [int(count or 1) for _, count in parts] == counts:
        return [symbol for symbol, _ in parts]
    start = 7 + lines[6].strip().lower().startswith("s")
    symbols: list[str] = []
    for count in counts:
        found = {_label(row) for row in lines[start : start + count]}
        symbol = found.pop() if len(found) == 1 else None
        if symbol is None or symbol not in atomic_numbers:
            raise StructureError(
                f"'{name}' names no elements (the format of VASP 4); insert a line "
                f"with {len(counts)} element symbols before line 6, "
                f"'{lines[5].strip()[:40]}'."
            )
        symbols.append(symbol)
        start += count
    return symbols


def _label(row: str) -> str | None:
    rest = row.split(maxsplit=3)
    if len(rest) < 4:
        return None
    text = re.sub(r"^([TF]\s+){3}", "", rest[3])
    match = _LABEL.match(text.strip())
    return match.group(1) if match else None


def _words(line: str) -> list[str]:
    return re.split(r"[#!]", line, maxsplit=1)[0].split()


def _are_counts(line: str) -> bool:
    words = _words(line)
    return bool(words) and all(word.isdecimal() for word in words)


def _numbers(line: str) -> list[float]:
    """The numbers a line begins with."""
    numbers: list[float] = []
    for word in line.split():
        try:
            numbers.append(float(word))
        except ValueError:
            break
    return numbers
