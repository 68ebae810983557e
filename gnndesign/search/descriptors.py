"""What a candidate looks like to a surrogate model: numbers about its elements.

A surrogate that knows only which element sits where has to try every element to learn
about it. One that knows electronegativities, radii and the place in the periodic table
carries over what strontium taught it to barium. Means, deviations and extremes over the
composition follow Ward et al., npj Comput. Mater. 2, 16028 (2016).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from jaxtyping import Float, Float32, Integer
from numpy import ndarray
from pymatgen.core import Element

from gnndesign.search.charges import common_states
from gnndesign.search.element_data import by_number
from gnndesign.structures.library import is_anion_former

ELECTRONEGATIVITY, COVALENT_RADIUS, IONIC_RADIUS, VALENCE = 0, 1, 2, 3
"""Columns of `element_properties` that descriptors of whole candidates are made of."""

_BLOCK = 65_536
"""Rows described together, so that a million candidates need little more than the result."""

_MOST_CHARGINGS = 1024
"""Combinations of oxidation states tried for one candidate."""


def describe_sites(
    elements: Sequence[str],
    amounts: Sequence[Float[ndarray, "_ n_elements"]],
    places: Integer[ndarray, "n_rows n_sites"],
    charges: Float[ndarray, "n_rows n_sites"] | None = None,
) -> Float32[ndarray, "n_rows n_features"]:
    """Numbers about candidates whose sites are told apart.

    Per site the mean over its atoms of `element_properties`; for every pair of sites the
    difference of electronegativities and the logarithm of the ratio of covalent radii;
    what `describe_compositions` says of the whole; with three sites in the proportion
    1:1:3, the tolerance and octahedral factors of a perovskite,

        t = (r_A + r_X) / (sqrt(2) (r_B + r_X)),    mu = r_B / r_X,

    Goldschmidt, Naturwissenschaften 14, 477 (1926), with mean ionic radii.

    Args:
        elements: chemical symbols.
        amounts: for each site (n_options, n_elements) atoms per formula unit that each of
            its options brings.
        places: option of each site, a row a candidate.
        charges: oxidation states, where they are known; NaN counts as 0.

    Returns:
        Columns of mean 0 and deviation 1; those without variation are left out.
    """
    return _described(elements, amounts, places, charges, by_site=True)


def describe_compositions(
    elements: Sequence[str], amounts: Float[ndarray, "n_rows n_elements"]
) -> Float32[ndarray, "n_rows n_features"]:
    """Numbers about what candidates consist of, wherever it sits.

    Mean, deviation, minimum and maximum over the atoms of `element_properties`; valence
    electrons more than eight an anion, per atom, and how far from none; the smallest
    charge per atom that common oxidation states allow, one state an element.

    Args:
        elements: chemical symbols of the columns.
        amounts: atoms of each in a formula unit; whole numbers or fractions, a positive
            sum in each row.

    Returns:
        Columns of mean 0 and deviation 1; those without variation are left out.
    """
    tables: list[ndarray] = []
    columns: list[ndarray] = []
    for index in range(len(elements)):
        found, places = np.unique(amounts[:, index], return_inverse=True)
        table = np.zeros((len(found), len(elements)))
        table[:, index] = found
        tables.append(table)
        columns.append(places)
    return _described(elements, tables, np.stack(columns, axis=1), None, by_site=False)


@functools.cache
def element_properties() -> Float[ndarray, "104 n_properties"]:
    """Numbers of each element by atomic number.

    Electronegativity (Pauling), covalent radius, mean ionic radius, valence electrons,
    group, row, Mendeleev number (Pettifor), ionization energy, electron affinity, melting
    point, highest, lowest and mean common oxidation state, atomic radius, molar volume.
    Pymatgen's and ASE's values; where one is not known, the median of those that are.
    """
    numbers = [
        by_number(lambda symbol: Element(symbol).X),
        by_number(lambda symbol: float(covalent_radii[atomic_numbers[symbol]])),
        by_number(lambda symbol: Element(symbol).average_ionic_radius or None),
        by_number(_valence),
        by_number(lambda symbol: Element(symbol).group),
        by_number(lambda symbol: Element(symbol).row),
        by_number(lambda symbol: Element(symbol).mendeleev_no),
        by_number(lambda symbol: Element(symbol).ionization_energy),
        by_number(lambda symbol: Element(symbol).electron_affinity),
        by_number(lambda symbol: Element(symbol).melting_point),
        by_number(lambda symbol: max(common_states(symbol), default=0)),
        by_number(lambda symbol: min(common_states(symbol), default=0)),
        by_number(lambda symbol: float(np.mean(common_states(symbol) or (0,)))),
        by_number(lambda symbol: Element(symbol).atomic_radius),
        by_number(lambda symbol: Element(symbol).molar_volume),
    ]
    table = np.stack(numbers, axis=1)
    table = np.where(np.isnan(table), np.nanmedian(table, axis=0), table)
    table.flags.writeable = False
    return table


def _valence(symbol: str) -> float:
    element = Element(symbol)
    if element.is_lanthanoid or element.is_actinoid:
        return 3.0
    return float(element.group if element.group <= 12 else element.group - 10)


def standardized(
    columns: Float[ndarray, "n_rows n_columns"],
) -> Float[ndarray, "n_rows n_features"]:
    """Columns with mean 0 and deviation 1; those without variation left out."""
    center = columns.mean(0, dtype=np.float64)
    deviation = columns.std(0, dtype=np.float64)
    varied = deviation > 1e-6 * np.maximum(np.abs(center), 1e-3)
    kept = columns[:, varied]
    kept -= center[varied].astype(kept.dtype)
    kept /= deviation[varied].astype(kept.dtype)
    return kept


def _described(
    elements: Sequence[str],
    amounts: Sequence[ndarray],
    places: ndarray,
    charges: ndarray | None,
    *,
    by_site: bool,
) -> ndarray:
    options = [_Options(elements, table) for table in amounts]
    blocks: list[ndarray] = []
    for start in range(0, len(places), _BLOCK):
        rows = places[start : start + _BLOCK]
        chosen = [o.properties[rows[:, site]] for site, o in enumerate(options)]
        atoms = [o.atoms[rows[:, site]] for site, o in enumerate(options)]
        columns = _of_compositions(options, rows, chosen, atoms)
        if by_site:
            columns += _of_sites(chosen, atoms)
        if charges is not None:
            columns.append(np.nan_to_num(charges[start : start + _BLOCK]))
        blocks.append(np.concatenate(columns, axis=1, dtype=np.float32))
    return standardized(np.concatenate(blocks))


class _Options:
    """What the options of one site bring, with an entry for each option.

    `properties` are means over the atoms of the option, `squares` means of squares,
    `lowest` and `highest` its extremes; an option without atoms has no say in either.
    """

    def __init__(self, elements: Sequence[str], amounts: ndarray) -> None:
        numbers = np.array([atomic_numbers[symbol] for symbol in elements])
        table = element_properties()[numbers]
        self.atoms = amounts.sum(1)
        shares = amounts / np.maximum(self.atoms, 1e-12)[:, None]
        self.properties = shares @ table
        self.squares = shares @ table**2
        there = (amounts > 0.0)[:, :, None]
        self.lowest = np.where(there, table, math.inf).min(1, initial=math.inf)
        self.highest = np.where(there, table, -math.inf).max(1, initial=-math.inf)
        anions = np.array([is_anion_former(Element(symbol)) for symbol in elements])
        self.excess = amounts @ (table[:, VALENCE] - 8.0 * anions)
        self.charges = _padded([_charges(elements, row) for row in amounts])


def _of_compositions(
    options: Sequence[_Options],
    rows: ndarray,
    chosen: Sequence[ndarray],
    atoms: Sequence[ndarray],
) -> list[ndarray]:
    total = np.maximum(sum(atoms, start=np.zeros(len(rows))), 1e-12)
    mean = np.zeros((len(rows), element_properties().shape[1]))
    square = np.zeros_like(mean)
    lowest, highest = np.full_like(mean, math.inf), np.full_like(mean, -math.inf)
    excess = np.zeros(len(rows))
    for site, one in enumerate(options):
        place = rows[:, site]
        share = (atoms[site] / total)[:, None]
        mean += share * chosen[site]
        square += share * one.squares[place]
        np.minimum(lowest, one.lowest[place], out=lowest)
        np.maximum(highest, one.highest[place], out=highest)
        excess += one.excess[place] / total
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    charge = _smallest_charge(options, rows, atoms) / total
    whole = np.stack([excess, np.abs(excess), charge], axis=1)
    return [mean, deviation, lowest, highest, whole]


def _of_sites(chosen: Sequence[ndarray], atoms: Sequence[ndarray]) -> list[ndarray]:
    columns = list(chosen)
    for first, second in itertools.combinations(chosen, 2):
        columns.append(
            first[:, [ELECTRONEGATIVITY]] - second[:, [ELECTRONEGATIVITY]],
        )
        ratio = first[:, [COVALENT_RADIUS]] / np.maximum(
            second[:, [COVALENT_RADIUS]], 1e-3
        )
        columns.append(np.log(np.maximum(ratio, 1e-3)))
    if len(chosen) == 3 and all(
        np.allclose(n, count * atoms[0])
        for n, count in zip(atoms, (1, 1, 3), strict=True)
    ):
        a, b, x = (site[:, [IONIC_RADIUS]] for site in chosen)
        columns += [(a + x) / (math.sqrt(2.0) * (b + x)), b / x]
    return columns


def _charges(elements: Sequence[str], amounts: ndarray) -> list[float]:
    """Charges that one option can have, one common state an element."""
    states = [
        [float(n) * q for q in common_states(symbol) or (0,)]
        for symbol, n in zip(elements, amounts.tolist(), strict=True)
        if n > 0.0
    ]
    combinations = itertools.islice(itertools.product(*states), _MOST_CHARGINGS)
    return sorted({round(sum(charges), 6) for charges in combinations}, key=abs)


def _padded(lists: Sequence[Sequence[float]]) -> ndarray:
    """(n_lists, longest), the last entry repeated: it changes no minimum."""
    longest = max(map(len, lists))
    return np.array(
        [[*entries, *[entries[-1]] * (longest - len(entries))] for entries in lists]
    )


def _smallest_charge(
    options: Sequence[_Options], rows: ndarray, atoms: Sequence[ndarray]
) -> ndarray:
    """(n_rows,) smallest absolute charge of a formula unit."""
    there = np.stack(atoms, axis=1) > 0.0
    n_sites = int(there.sum(1).max())
    # Sites with atoms first: a composition has a site for every element of the space.
    sites = np.argsort(~there, axis=1, kind="stable")[:, :n_sites]
    n_states = max(int(_MOST_CHARGINGS ** (1.0 / max(n_sites, 1)) + 1e-9), 1)
    widest = min(max(one.charges.shape[1] for one in options), n_states)
    total = np.zeros((len(rows), 1))
    for k in range(n_sites):
        own = np.zeros((len(rows), widest))
        for site, one in enumerate(options):
            mine = np.flatnonzero(sites[:, k] == site)
            if len(mine):
                few = one.charges[
                    :, np.minimum(np.arange(widest), one.charges.shape[1] - 1)
                ]
                own[mine] = few[rows[mine, site]]
        total = (total[:, :, None] + own[:, None, :]).reshape(len(rows), -1)
    return np.abs(total).min(1)
