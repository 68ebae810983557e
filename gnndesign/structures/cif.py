"""CIF files, read twice and cross-checked.

pymatgen reads CIFs that ASE cannot and the other way round, and either can be silently
wrong: shared sites taken as whole atoms, an unknown space group taken as P1, water
molecules without hydrogen. Each data block is therefore read with both, and the result
must agree with what the file itself says about its formula.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import ase
import numpy as np
from ase.io.cif import read_cif as ase_read_cif
from ase.neighborlist import neighbor_list
from ase.spacegroup.spacegroup import SpacegroupError
from pymatgen.io.cif import CifFile, CifParser

from gnndesign.errors import StructureError
from gnndesign.structures.cif_checks import (
    FULL_OCCUPANCY,
    CifData,
    column,
    has_atoms,
    has_composition,
    has_space_group,
    header,
    missing_cell_tags,
    read_listed_sites,
    refuse_disorder,
    rewrite_space_group,
    split_blocks,
    stated_formula,
    what_it_is,
)
from gnndesign.structures.convert import from_pymatgen

# What the two parsers were seen to raise on 270 real and damaged files, and the base
# classes of these; anything else would be an error of ours.
_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    SpacegroupError,
    StopIteration,
    TypeError,
    ValueError,
)

_CLOSEST = 0.5
"""Å; no two atoms of a crystal are closer, X-ray O-H bonds refine to 0.7 Å and more."""


_LARGE = 700
"""Number of atoms beyond which the second reading by ASE is left out."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one parser made of a block: a structure, or the reason why not."""

    atoms: ase.Atoms | None
    reason: str = ""
    notes: tuple[str, ...] = ()


def read_cif(text: str, name: str, *, strict: bool = True) -> list[ase.Atoms]:
    """Every structure in a CIF, one a data block, in the cell that the file gives.

    Args:
        text: content of the file.
        name: for messages.
        strict: refuse a structure whose composition is not the one that the file
            states, which happens where hydrogen atoms were not located.

    Raises:
        StructureError: no structure, disorder, an unknown space group, atoms on top
            of each other, or a composition other than stated.
    """
    blocks = [
        (block, data)
        for block in split_blocks(text)
        if re.search(
            r"^\s*_atom_site_(fract|cartn)_x\b", block, re.IGNORECASE | re.MULTILINE
        )
        and has_atoms(data := _parse(block, f"{name}, block {header(block)}"))
    ]
    if not blocks:
        raise StructureError(f"'{name}' {what_it_is(text)}")
    return [
        _read_block(
            block,
            data,
            name if len(blocks) == 1 else f"{name}, block {header(block)}",
            strict=strict,
        )
        for block, data in blocks
    ]


def _read_block(block: str, data: CifData, name: str, *, strict: bool) -> ase.Atoms:
    if missing := missing_cell_tags(data):
        raise StructureError(
            f"'{name}' lists atoms but no cell: wanted values of {', '.join(missing)}."
        )
    refuse_disorder(data, name)
    is_magnetic = any("_moment" in key or "symop_magn" in key for key in data)
    n_sites = len(column(data, "_atom_site_fract_x"))
    atoms = read_listed_sites(data) if n_sites > _LARGE and not is_magnetic else None
    first = second = _Reading(atoms)
    if atoms is None:
        first = _read_with_pymatgen(block, data, name)
        n_atoms = n_sites if first.atoms is None else len(first.atoms)
        # ASE knows nothing of magnetic cells and would return the chemical cell; and
        # it takes a minute for 2000 atoms.
        if not is_magnetic and n_atoms <= _LARGE:
            second = _read_with_ase(block)
        atoms = _choose(first, second, data, name)
    if atoms is None:
        raise StructureError(
            f"Cannot read '{name}': {first.reason or second.reason}. Wanted a CIF with "
            "a cell, a space group or its operations, and fractional coordinates."
        )
    if strict and not is_magnetic:
        _compare_with_stated_formula(atoms, data, name)
    _refuse_implicit_hydrogen(first.notes, name, strict=strict)
    _refuse_overlap(atoms, name)
    return atoms


def _parse(block: str, name: str) -> CifData:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = next(iter(CifFile.from_str(block).data.values()))
    except _PARSER_ERRORS as error:
        raise StructureError(
            f"'{name}' is not valid CIF: {_one_line(error)}. A loop may have a value "
            "too many or too few, or a quotation mark is missing."
        ) from error
    return {key.lower(): value for key, value in parsed.data.items()}


def _read_with_pymatgen(block: str, data: CifData, name: str) -> _Reading:
    reading = _try_pymatgen(block, name)
    if not any("Defaulting to P1" in note for note in reading.notes):
        return reading
    if not has_space_group(data):
        return reading
    rewritten = rewrite_space_group(block)
    if rewritten != block:
        reading = _try_pymatgen(rewritten, name)
    if any("Defaulting to P1" in note for note in reading.notes):
        return _Reading(None, "its space group is unknown and no operations are listed")
    return reading


def _try_pymatgen(block: str, name: str) -> _Reading:
    parser: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parser = CifParser.from_str(block, occupancy_tolerance=1.02)
            structures = parser.parse_structures(primitive=False, on_error="raise")
        structure = structures[0]
        for site in structure:
            # 0.997(4) Fe is a whole atom to the precision of the experiment.
            if len(site.species) == 1 and site.species.num_atoms >= FULL_OCCUPANCY:
                site.species = {site.species.elements[0]: 1}
        atoms = from_pymatgen(structure)
    except StructureError as error:
        raise StructureError(f"'{name}' cannot be used. {error}") from error
    except _PARSER_ERRORS as error:
        notes = tuple(parser.warnings) if parser is not None else ()
        return _Reading(None, _one_line(error), notes)
    return _Reading(atoms, "", tuple(parser.warnings))


def _read_with_ase(block: str) -> _Reading:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = cast("ase.Atoms", ase_read_cif(io.StringIO(block), index=0))
    except _PARSER_ERRORS as error:
        return _Reading(None, _one_line(error))
    # A fresh object, without the spacegroup and occupancy entries of the reader.
    atoms = ase.Atoms(
        numbers=read.numbers, positions=read.positions, cell=read.cell, pbc=True
    )
    if read.has("masses"):
        atoms.set_array("masses", read.get_masses())
    return _Reading(atoms)


def _choose(
    first: _Reading, second: _Reading, data: CifData, name: str
) -> ase.Atoms | None:
    if first.atoms is None or second.atoms is None:
        return second.atoms if first.atoms is None else first.atoms
    if Counter(first.atoms.symbols) == Counter(second.atoms.symbols):
        return first.atoms
    stated = stated_formula(data)
    fitting = [
        atoms
        for atoms in (first.atoms, second.atoms)
        if stated is not None and has_composition(atoms, stated)
    ]
    if len(fitting) == 1:
        return fitting[0]
    raise StructureError(
        f"'{name}' is ambiguous: pymatgen reads {first.atoms.get_chemical_formula()}, "
        f"ASE reads {second.atoms.get_chemical_formula()}. Check its symmetry "
        "operations and special positions, or write all atoms out in P1."
    )


def _compare_with_stated_formula(atoms: ase.Atoms, data: CifData, name: str) -> None:
    stated = stated_formula(data)
    if stated is None or has_composition(atoms, stated):
        return
    without_h = {s: n for s, n in stated.items() if s != "H"}
    heavy = atoms[atoms.numbers != 1]
    hint = (
        "hydrogen atoms are not listed"
        if "H" in stated and len(heavy) and has_composition(heavy, without_h)
        else "atoms are missing, or sites are listed twice"
    )
    formula = " ".join(f"{symbol}{count:g}" for symbol, count in stated.items())
    raise StructureError(
        f"'{name}' states the formula {formula} but its sites make "
        f"{atoms.get_chemical_formula()}: {hint}. Complete it, or load it with "
        "strict=False to take the sites as they are."
    )


def _refuse_implicit_hydrogen(
    notes: tuple[str, ...], name: str, *, strict: bool
) -> None:
    for note in notes:
        if strict and ("implicit hydrogens" in note or re.search("parsed as $", note)):
            raise StructureError(
                f"'{name}' has a site that stands for a group of atoms (such as water "
                "or OH) without its hydrogen atoms. Complete it, or load it with "
                "strict=False to take the sites as they are."
            )


def _refuse_overlap(atoms: ase.Atoms, name: str) -> None:
    if not np.isfinite(atoms.positions).all() or atoms.cell.volume < 1e-3 * len(atoms):
        return  # the loader has a sentence for these
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    if heights.min() < _CLOSEST:
        raise StructureError(
            f"'{name}': the cell is {heights.min():.2g} Å high along one axis; wanted "
            "lengths in Å and angles in degrees."
        )
    i, j, d = neighbor_list("ijd", atoms, _CLOSEST)
    if len(i):
        a, b = int(i[0]), int(j[0])
        raise StructureError(
            f"'{name}': atoms {a} ({atoms.symbols[a]}) and {b} ({atoms.symbols[b]}) "
            f"are {d[0]:.2f} Å apart; sites of a disordered structure, or wrong "
            "symmetry operations. Remove one of them first."
        )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = text.removeprefix("No structure parsed for section 1 in CIF. ")
    if isinstance(error, KeyError) or re.fullmatch(r"'_\w+'", text):
        return f"{text} is missing or unknown"
    return text[:150] or "it ends too early"
