"""Which sites of a prototype can exchange their elements without another crystal."""

from __future__ import annotations

import functools
import itertools

from gnndesign.structures.library import list_prototypes


def prototype_names() -> tuple[str, ...]:
    """A name for each prototype of the library: the AFLOW label, and where several share
    it the compound too, in the order of `list_prototypes`.
    """
    labels = [entry.aflow for entry in list_prototypes()]
    return tuple(
        entry.aflow
        if labels.count(entry.aflow) == 1
        else f"{entry.aflow} {entry.formula}"
        for entry in list_prototypes()
    )


@functools.cache
def exchanges(place: int) -> tuple[tuple[int, ...], ...]:
    """Permutations of a prototype's species that leave the crystal as it is.

    In rocksalt both sites are alike, so that MgO and OMg are one candidate; in perovskite
    A and B are not. Crystals count as the same if pymatgen's StructureMatcher maps one on
    the other with atoms within 0.12 (V/n)^(1/3), lengths within a tenth and angles within
    3 degrees, volumes aside: a relaxation takes one to the other.

    Args:
        place: of the prototype in `list_prototypes`.

    Returns:
        For each permutation, which species takes the place of which; the first changes
        nothing.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    entry = list_prototypes()[place]
    counts = [entry.symbols.count(symbol) for symbol in entry.species]
    matcher = StructureMatcher(
        ltol=0.1, stol=0.12, angle_tol=3, primitive_cell=False, scale=True
    )
    atoms = entry.to_atoms()
    cell, positions = atoms.cell.array, atoms.get_scaled_positions()
    own = Structure(cell, entry.symbols, positions)
    found: list[tuple[int, ...]] = []
    for order in itertools.permutations(range(len(counts))):
        if [counts[k] for k in order] != counts:
            continue
        takes = {s: entry.species[k] for s, k in zip(entry.species, order, strict=True)}
        other = Structure(cell, [takes[symbol] for symbol in entry.symbols], positions)
        if order == tuple(sorted(order)) or matcher.fit(own, other):
            found.append(order)
    return tuple(found)
