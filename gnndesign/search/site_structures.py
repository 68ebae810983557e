"""Crystals with an element, or several that share it, on each site of a prototype."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

import ase
import numpy as np

from gnndesign.search.arrangement import compact_supercell, place_apart
from gnndesign.search.mixtures import formula_of
from gnndesign.search.sites import site_counts, site_labels
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import prototype


def build_on_sites(
    name: str, entries: Mapping[str, Mapping[str, Fraction]]
) -> ase.Atoms:
    """A crystal of a prototype, sites shared by several elements in order.

    Shared sites are filled in the smallest supercell in which all shares are whole
    numbers of atoms; each element but the most frequent is spread as far apart as can be
    (`arrangement.place_apart`). The volume is the mean of those of the crystals without
    sharing, weighted by the shares (Vegard's rule).

    Args:
        name: of the prototype.
        entries: by site label, share of each element.

    Raises:
        StructureError: no volume can be guessed for one of the elements.
    """
    labels = site_labels(name)
    counts = site_counts(prototype(name), labels)
    atoms = _mean_crystal(name, entries)
    site_of = {symbol: label for label, symbol in labels.items()}
    sites = np.array([site_of[symbol] for symbol in prototype(name).symbols])
    n_cells = math.lcm(
        *(
            (share * counts[label]).denominator
            for label, shares in entries.items()
            for share in shares.values()
        )
    )
    atoms.new_array("site", sites)
    made = compact_supercell(atoms, n_cells)
    for label, shares in entries.items():
        fill(made, np.flatnonzero(made.arrays["site"] == label).tolist(), shares)
    del made.arrays["site"]
    return made


def fill(atoms: ase.Atoms, sites: list[int], shares: Mapping[str, Fraction]) -> None:
    """Put elements on sites in place, the rarer ones far apart."""
    order = sorted(shares, key=lambda symbol: -shares[symbol])
    symbols = np.array(atoms.symbols, dtype=object)
    symbols[sites] = order[0]
    numbers = [int(shares[symbol] * len(sites)) for symbol in order[1:]]
    if numbers:
        placed = place_apart(atoms, [(sites, n) for n in numbers])
        for symbol, indices in zip(order[1:], placed, strict=True):
            symbols[list(indices)] = symbol
    atoms.symbols = symbols.tolist()


def _mean_crystal(
    name: str, entries: Mapping[str, Mapping[str, Fraction]]
) -> ase.Atoms:
    """The primitive cell with the first elements on the sites and the mean volume."""
    volume = 0.0
    for chosen in itertools.product(*entries.values()):
        weight = math.prod(
            float(shares[symbol])
            for symbol, shares in zip(chosen, entries.values(), strict=True)
        )
        atoms = _crystal(name, tuple(zip(entries, chosen, strict=True)))
        volume += weight * float(atoms.cell.volume)
    first = tuple((label, next(iter(shares))) for label, shares in entries.items())
    made = _crystal(name, first).copy()
    factor = (volume / float(made.cell.volume)) ** (1 / 3)
    made.set_cell(made.cell.array * factor, scale_atoms=True)
    return made


@functools.lru_cache(maxsize=512)
def _crystal(name: str, chosen: tuple[tuple[str, str], ...]) -> ase.Atoms:
    """The primitive cell with one element on each site."""
    labels = site_labels(name)
    counts = site_counts(prototype(name), labels)
    amounts: dict[str, int] = {}
    for label, symbol in chosen:
        amounts[symbol] = amounts.get(symbol, 0) + counts[label]
    sites = {labels[label]: symbol for label, symbol in chosen}
    return build_crystal(formula_of(amounts), name, sites=sites)
