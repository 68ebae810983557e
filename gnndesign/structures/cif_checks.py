"""What a CIF says about itself: occupancies, formula, space group."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeAlias

import ase
import numpy as np
from ase.data import atomic_numbers

from gnndesign.errors import StructureError

CifData: TypeAlias = dict[str, "str | list[str]"]
"""Values of a data block by tag in lower case; a loop's column is a list."""

FULL_OCCUPANCY = 0.99
"""Occupancies refine to values such as 0.997(4); from here a site counts as full."""

_SPACE_GROUP_TAGS = (
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_hall",
    "_space_group_name_hall",
    "_symmetry_int_tables_number",
    "_space_group_it_number",
)


_OPERATION_TAGS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")


def split_blocks(text: str) -> list[str]:
    """Data blocks; `data_` inside a text field between semicolons starts none."""
    blocks: list[list[str]] = [[]]
    in_text = False
    for line in text.split("\n"):
        if line.startswith(";"):
            in_text = not in_text
        if not in_text and line.lstrip().lower().startswith("data_"):
            blocks.append([])
        blocks[-1].append(line)
    return ["\n".join(block) + "\n" for block in blocks[1:]]


def header(block: str) -> str:
    """The name of a data block."""
    return (block.split(maxsplit=1) or ["data_"])[0][5:]


def what_it_is(text: str) -> str:
    """Why a CIF without fractional coordinates is no crystal, as a predicate."""
    lower = text.lower()
    if "_atom_site.cartn_x" in lower or "_chem_comp_atom." in lower:
        return (
            "is a macromolecular CIF (mmCIF) file; wanted a crystal with "
            "_atom_site_fract_x. Convert it to PDB or to a crystal CIF."
        )
    if "_refln" in lower:
        return "holds reflections and no atoms; wanted a CIF with _atom_site_fract_x."
    return (
        "holds no atoms; wanted a CIF with a cell and a loop of _atom_site_label, "
        "_atom_site_fract_x, _y and _z."
    )


def column(data: CifData, tag: str) -> list[str]:
    """A loop's column; a single value is a column of one; empty if absent."""
    value = data.get(tag, [])
    return [value] if isinstance(value, str) else list(value)


def has_atoms(data: CifData) -> bool:
    """Whether any coordinate is a number; empty loops and `?` are not."""
    columns = [column(data, f"_atom_site_{kind}_x") for kind in ("fract", "cartn")]
    return any(_number(text) is not None for texts in columns for text in texts)


def missing_cell_tags(data: CifData) -> list[str]:
    """Tags of the cell that are absent or unknown."""
    tags = [f"_cell_length_{axis}" for axis in "abc"]
    tags += [f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")]
    return [
        tag
        for tag in tags
        if not any(_number(v) is not None for v in column(data, tag))
    ]


def read_listed_sites(data: CifData) -> ase.Atoms | None:
    """The sites as they are listed, if the block has no symmetry to be applied.

    None if there is symmetry, or anything that is not a plain element or number.
    Programs write large cells in this way, and general readers need minutes for them.
    """
    operations = [
        re.sub(r"[\s'\"]", "", text).lower()
        for tag in _OPERATION_TAGS
        for text in column(data, tag)
    ]
    if any(text != "x,y,z" for text in operations):
        return None
    if not operations and has_space_group(data):
        return None
    labels = column(data, "_atom_site_type_symbol") or column(data, "_atom_site_label")
    symbols = [re.match(r"[A-Z][a-z]?(?![a-z])", label) for label in labels]
    scaled = [
        [_number(text) for text in column(data, f"_atom_site_fract_{axis}")]
        for axis in "xyz"
    ]
    lengths = [_number(column(data, f"_cell_length_{axis}")[0]) for axis in "abc"]
    angles = [
        _number(column(data, f"_cell_angle_{angle}")[0])
        for angle in ("alpha", "beta", "gamma")
    ]
    if any(m is None or m.group() not in atomic_numbers for m in symbols):
        return None
    if any(value is None for values in (*scaled, lengths, angles) for value in values):
        return None
    if not len(symbols) == len(scaled[0]) == len(scaled[1]) == len(scaled[2]):
        return None
    return ase.Atoms(
        [m.group() for m in symbols if m is not None],
        scaled_positions=np.array(scaled, dtype=float).T,
        cell=[*lengths, *angles],
        pbc=True,
    )


def refuse_disorder(data: CifData, name: str) -> None:
    """Stop at sites that are shared, partly empty or alternatives of each other.

    Raises:
        StructureError: naming the sites.
    """
    labels = column(data, "_atom_site_label")
    symbols = column(data, "_atom_site_type_symbol") or labels
    labels = labels or symbols
    partial: list[str] = []
    for index, text in enumerate(column(data, "_atom_site_occupancy")):
        occupancy = _number(text)
        if occupancy is not None and occupancy < FULL_OCCUPANCY and index < len(labels):
            symbol = re.sub(r"[^A-Za-z].*", "", symbols[index])
            partial.append(f"{labels[index]} is {occupancy:.3g} {symbol}")
    if partial:
        more = f" and {len(partial) - 3} more" if len(partial) > 3 else ""
        raise StructureError(
            f"'{name}' is disordered: site {', '.join(partial[:3])}{more}; order it "
            "first, so that every site holds one whole atom."
        )
    groups = set(column(data, "_atom_site_disorder_group")) - {".", "?", "0", ""}
    if len(groups) > 1:
        raise StructureError(
            f"'{name}' is disordered: it lists alternatives of the same atoms "
            f"(disorder groups {', '.join(sorted(groups))}); keep one of them."
        )


def stated_formula(data: CifData) -> dict[str, float] | None:
    """Number of each element in `_chemical_formula_sum`; deuterium counts as H.

    None if the file states none, or one that is not a list of elements.
    """
    text = " ".join(column(data, "_chemical_formula_sum")).strip("'\" ")
    counts: dict[str, float] = {}
    for token in text.replace(",", " ").split():
        match = re.fullmatch(r"([A-Z][a-z]?)(\d*\.?\d*)", token)
        if match is None or match.group(1) not in {*atomic_numbers, "D"}:
            return None
        symbol = "H" if match.group(1) == "D" else match.group(1)
        counts[symbol] = counts.get(symbol, 0.0) + float(match.group(2) or 1)
    return counts or None


def has_composition(atoms: ase.Atoms, formula: dict[str, float]) -> bool:
    """Whether atoms have the proportions of a formula, to 0.2 % of all atoms.

    The tolerance is for formulas written with rounded decimals.
    """
    counts = dict(atoms.symbols.formula.count())
    total = sum(formula.values())
    return all(
        abs(counts.get(symbol, 0) / len(atoms) - formula.get(symbol, 0.0) / total)
        < 0.002
        for symbol in {*counts, *formula}
    )


def has_space_group(data: CifData) -> bool:
    """Whether the file names a space group other than P1."""
    names = [value for tag in _SPACE_GROUP_TAGS for value in column(data, tag)]
    known = [name for name in names if name.strip() not in {"?", ".", ""}]
    return any(re.sub(r"[\s_]", "", name) not in {"P1", "1"} for name in known)


def rewrite_space_group(block: str) -> str:
    """Spell the Hermann-Mauguin symbol as the tables of pymatgen do.

    Subscripts such as P2₁/n become digits; the short monoclinic symbols, which leave
    out the unique axis b, become full ones: P21/n -> P 1 21/n 1.
    """

    def spelled(match: re.Match[str]) -> str:
        symbol = unicodedata.normalize("NFKC", match.group(2)).strip("'\" ")
        symbol = re.sub(r"[\s_]", "", symbol)
        short = re.fullmatch(r"([PABCI])(21?|[mcna]|21?/[mcna])", symbol)
        if short:
            symbol = f"{short.group(1)} 1 {short.group(2)} 1"
        return f"{match.group(1)}'{symbol}'"

    tag = r"^(\s*_(?:symmetry_)?space_group_name_H-M(?:_alt)?\s+)(\S.*)$"
    return re.sub(tag, spelled, block, flags=re.MULTILINE | re.IGNORECASE)


def _number(text: str) -> float | None:
    """A CIF number without its standard uncertainty; None if unknown."""
    try:
        return float(re.sub(r"\(.*", "", text))
    except ValueError:
        return None
