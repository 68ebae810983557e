"""What candidates of a space look like to a surrogate model, from their ingredients."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from jaxtyping import Float, Integer
from numpy import ndarray
from pymatgen.core import Element

from gnndesign.search.element_data import by_number
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.neutrality import Charges


def site_features(
    ingredients: Ingredients,
    places: Integer[ndarray, "n_rows n_slots"],
    charges: Charges | None,
) -> Float[ndarray, "n_rows n_features"]:
    """Numbers about what is on each site, every column with mean 0 and deviation 1.

    Per site, the mean over its atoms of electronegativity, covalent and ionic radius,
    group, row, Mendeleev number, ionization energy, electron affinity and melting point,
    and the oxidation state; for every pair of sites, the difference of electronegativities
    and the logarithm of the ratio of covalent radii. Columns without variation are left
    out.
    """
    per_site: list[ndarray] = []
    for slot, amounts in enumerate(ingredients.amounts):
        per_option = amounts @ element_numbers()[ingredients.numbers]
        per_option /= amounts.sum(1)[:, None]
        per_site.append(per_option[places[:, slot]])
    columns = [*per_site]
    for first, second in itertools.combinations(per_site, 2):
        columns.append(first[:, :1] - second[:, :1])
        columns.append(np.log(first[:, 1:2] / second[:, 1:2]))
    if charges is not None:
        columns.append(np.nan_to_num(charges.mean()))
    return standardized(np.concatenate(columns, axis=1))


def composition_features(
    ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
) -> Float[ndarray, "n_rows n_features"]:
    """Numbers about what candidates consist of, wherever it sits.

    Fraction of each element; mean and deviation over the atoms of the numbers of
    `site_features`. Not standardized.
    """
    amounts = ingredients.compositions(places)
    fractions = amounts / amounts.sum(1, keepdims=True)
    table = element_numbers()[ingredients.numbers]
    mean = fractions @ table
    variance = np.maximum(fractions @ table**2 - mean**2, 0.0)
    return np.concatenate([fractions, mean, np.sqrt(variance)], axis=1)


def standardized(
    columns: Float[ndarray, "n_rows n_columns"],
) -> Float[ndarray, "n_rows n_features"]:
    """Columns with mean 0 and deviation 1; those without variation left out."""
    deviation = columns.std(0)
    varied = deviation > 1e-9 * np.maximum(np.abs(columns).max(0, initial=0.0), 1.0)
    return (columns[:, varied] - columns[:, varied].mean(0)) / deviation[varied]


@functools.cache
def element_numbers() -> Float[ndarray, "104 9"]:
    """The nine numbers of each element, 0 where one is not known."""
    columns = [
        by_number(lambda symbol: Element(symbol).X),
        by_number(lambda symbol: float(covalent_radii[atomic_numbers[symbol]])),
        by_number(lambda symbol: Element(symbol).average_ionic_radius),
        by_number(lambda symbol: Element(symbol).group),
        by_number(lambda symbol: Element(symbol).row),
        by_number(lambda symbol: Element(symbol).mendeleev_no),
        by_number(lambda symbol: Element(symbol).ionization_energy),
        by_number(lambda symbol: Element(symbol).electron_affinity),
        by_number(lambda symbol: Element(symbol).melting_point),
    ]
    return np.nan_to_num(np.stack(columns, axis=1))
