"""What a CIF says about itself: occupancies, formula, space group."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeAlias

import ase
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
