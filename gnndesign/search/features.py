"""What candidates of a space look like to a surrogate model, from their ingredients."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Integer
from numpy import ndarray

from gnndesign.search.descriptors import (
    describe_compositions,
    describe_sites,
    standardized,
)
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.neutrality import Charges


def site_features(
    ingredients: Ingredients,
    places: Integer[ndarray, "n_rows n_slots"],
    charges: Charges | None,
) -> Float32[ndarray, "n_rows n_features"]:
    """Numbers about what is on each site, see `descriptors.describe_sites`."""
    return describe_sites(
        ingredients.elements,
        ingredients.amounts,
        places,
        None if charges is None else charges.mean(),
    )


def composition_features(
    ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
) -> Float32[ndarray, "n_rows n_features"]:
    """Fraction of each element, and `descriptors.describe_compositions`."""
    amounts = ingredients.compositions(places)
    fractions = amounts / np.maximum(amounts.sum(1, keepdims=True), 1e-12)
    described = describe_compositions(ingredients.elements, amounts)
    return np.concatenate(
        [standardized(fractions), described], axis=1, dtype=np.float32
    )
