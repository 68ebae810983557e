"""Names for the sites of a prototype: A, B, ... for cations, X, Y, ... for anions."""

from __future__ import annotations

from pymatgen.core import Element

from gnndesign.structures.library import Prototype, is_anion_former, prototype

_CATIONS, _ANIONS = "ABCDEFGH", "XYZUVW"


def site_labels(name: str) -> dict[str, str]:
    """The sites of a prototype that can be given elements.

    Args:
        name: of the prototype, as `gnndesign.structures.library.prototype` knows it.

    Returns:
        By label, the element there in the compound the prototype is named after:
        {"A": "Ca", "B": "Ti", "X": "O"} for perovskite. All atoms of one element of that
        compound are one site here, even where symmetry tells several apart. Metals are
        labeled A, B, ... in the order of the formula, others X, Y, ...; a compound
        without metals has its first element as A.

    Raises:
        StructureError: unknown prototype.
    """
    cations, anions = iter(_CATIONS), iter(_ANIONS)
    labels: dict[str, str] = {}
    for symbol in prototype(name).species:
        is_cation = not is_anion_former(Element(symbol)) or not labels
        labels[next(cations if is_cation else anions)] = symbol
    return labels


def site_counts(entry: Prototype, labels: dict[str, str]) -> dict[str, int]:
    """Atoms on each site of the primitive cell, by label."""
    return {label: entry.symbols.count(symbol) for label, symbol in labels.items()}
