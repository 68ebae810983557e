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
from gnndesign.search.quasirandom import quasirandom_symbols, random_symbols
from gnndesign.search.sites import site_counts, site_labels
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import prototype


def build_on_sites(
    name: str,
    entries: Mapping[str, Mapping[str, Fraction]],
    *,
    n_cells: int | None = None,
    arrangement: str = "ordered",
    seed: int = 0,
) -> ase.Atoms:
    """A crystal of a prototype with sites that several elements share. The volume is the mean of those of the crystals without
    sharing, weighted by the shares (Vegard's rule).

    Args:
        name: of the prototype.
        entries: by site label, share of each element.
        n_cells: primitive cells in the supercell; by default the fewest in which all
            shares are whole numbers of atoms.
        arrangement: "ordered" puts each element but the most frequent as far apart as can
            be (`arrangement.place_apart`), "quasirandom" and "random" are those of
            `gnndesign.search.quasirandom`.
        seed: of the arrangement.

    Raises:
        StructureError: no volume can be guessed for one of the elements.
    """
    labels = site_labels(name)
    counts = site_counts(prototype(name), labels)
    atoms = _mean_crystal(name, entries)
    site_of = {symbol: label for label, symbol in labels.items()}
    sites = np.array([site_of[symbol] for symbol in prototype(name).symbols])
    n_cells = n_cells or math.lcm(
        *(
            (share * counts[label]).denominator
            for label, shares in entries.items()
            for share in shares.values()
        )
    )
    atoms.new_array("site", sites)
    made = compact_supercell(atoms, n_cells)
    for label, shares in entries.items():
        at = np.flatnonzero(made.arrays["site"] == label)
        numbers = {symbol: int(share * len(at)) for symbol, share in shares.items()}
        if arrangement == "ordered" or len(numbers) == 1:
            filled = _in_order(made, at.tolist(), numbers)
        elif arrangement == "random":
            filled = random_symbols(numbers, seed=seed)
        else:
            filled = quasirandom_symbols(made[at], numbers, seed=seed)
        symbols = np.array(made.symbols, dtype=object)
        symbols[at] = filled
        made.symbols = symbols.tolist()
    del made.arrays["site"]
    return made


def _in_order(
    atoms: ase.Atoms, sites: list[int], numbers: Mapping[str, int]
) -> list[str]:
    """Elements for some sites, the rarer ones far apart."""
    order = sorted(numbers, key=lambda symbol: -numbers[symbol])
    symbols = dict.fromkeys(sites, order[0])
    if len(order) > 1:
        placed = place_apart(atoms, [(sites, numbers[symbol]) for symbol in order[1:]])
        for symbol, indices in zip(order[1:], placed, strict=True):
            symbols.update(dict.fromkeys(indices, symbol))
    return [symbols[site] for site in sites]


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
