"""Names for the sites of a prototype: A, B, ... for cations, X, Y, ... for anions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pymatgen.core import Element

from gnndesign.errors import ParameterError
from gnndesign.search.mixtures import parse_entry
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


def checked_ties(
    name: str, labels: Sequence[str], tied: Mapping[str, str]
) -> Mapping[str, str]:
    """Tied sites and the sites they repeat.

    Raises:
        ParameterError: an unknown site, or one tied to itself or to another tied site.
    """
    for label, other in tied.items():
        if label not in labels or other not in labels:
            raise ParameterError(
                f"Prototype '{name}' has the sites {', '.join(labels)}; "
                f"got {label} tied to {other}."
            )
        if other in tied:
            raise ParameterError(
                f"Site {label} is tied to {other}, which is tied itself. Tie it to a "
                "site that has entries of its own."
            )
    return MappingProxyType(dict(tied))


def checked_sites(
    name: str, labels: Sequence[str], sites: Mapping[str, Sequence[str]]
) -> Mapping[str, tuple[str, ...]]:
    """Entries of each site, in the order of the labels.

    Raises:
        ParameterError: an unknown, missing or empty site, something else than elements or
            a mixture of them, or an entry twice.
    """
    if set(sites) != set(labels):
        raise ParameterError(
            f"Prototype '{name}' has the sites {', '.join(labels)}; "
            f"got elements for {', '.join(sites) or 'none'}."
        )
    ordered: dict[str, tuple[str, ...]] = {}
    for label in labels:
        given = sites[label]
        entries = (given,) if isinstance(given, str) else tuple(given)
        if not entries:
            raise ParameterError(f"Site {label} has no elements; wanted at least one.")
        parsed = [dict(parse_entry(entry)) for entry in entries]
        twice = [e for k, e in enumerate(entries) if parsed[k] in parsed[:k]]
        if twice:
            raise ParameterError(
                f"Site {label} lists {', '.join(twice)} more than once."
            )
        ordered[label] = entries
    return MappingProxyType(ordered)
