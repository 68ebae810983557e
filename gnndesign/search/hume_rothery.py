"""The filter for alloys that are likely to be a solid solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.element_data import (
    electronegativities,
    metallic_radii,
    valence_electrons,
)
from gnndesign.search.filters import Filter
from gnndesign.search.ingredients import Ingredients


@dataclass(frozen=True, slots=True, kw_only=True)
class HumeRothery(Filter):
    """Keeps alloys whose atoms are alike in size, electronegativity and valence.

    With atomic fractions c_i, the size mismatch and the spread of electronegativities

        delta = sqrt(sum_i c_i (1 - r_i / r_mean)^2),   r_mean = sum_i c_i r_i
        delta_chi = sqrt(sum_i c_i (chi_i - chi_mean)^2)

    and the valence electron concentration VEC = sum_i c_i n_i. Solid solutions have delta
    below about 0.066 (Zhang et al., Adv. Eng. Mater. 10, 534 (2008)); delta_chi is that of
    Fang et al., J. Non-Cryst. Solids 321, 120 (2003); a VEC of 8 or more favors fcc, one
    below 6.87 bcc (Guo et al., J. Appl. Phys. 109, 103505 (2011)). Radii are metallic ones
    for twelve neighbors, atomic ones where pymatgen has none; a candidate with an element
    without a number is left out.

    Attributes:
        size_mismatch_at_most: delta, a fraction of one; None for any.
        electronegativity_spread_at_most: delta_chi, Pauling; None for any.
        valence_electrons_at_least: VEC, electrons an atom; None for any.
        valence_electrons_at_most: VEC; None for any.

    Raises:
        ParameterError: nothing to ask for, a negative number, or an empty range.
    """

    size_mismatch_at_most: float | None = 0.066
    electronegativity_spread_at_most: float | None = None
    valence_electrons_at_least: float | None = None
    valence_electrons_at_most: float | None = None

    kind: ClassVar[str] = "hume_rothery"

    def __post_init__(self) -> None:
        given = [limit for _, limit in self._limits() if limit is not None]
        if not given or not all(limit >= 0.0 for limit in given):
            raise ParameterError(
                f"Wanted at least one limit, none of them negative; got {given}."
            )
        low, high = self.valence_electrons_at_least, self.valence_electrons_at_most
        if low is not None and high is not None and low > high:
            raise ParameterError(
                f"No alloy has at least {low:g} and at most {high:g} valence electrons "
                "an atom. Exchange the limits."
            )

    def _limits(self) -> list[tuple[str, float | None]]:
        return [
            ("size mismatch at most", self.size_mismatch_at_most),
            ("electronegativity spread at most", self.electronegativity_spread_at_most),
            ("valence electrons at least", self.valence_electrons_at_least),
            ("valence electrons at most", self.valence_electrons_at_most),
        ]

    @property
    def title(self) -> str:
        """For example "Hume-Rothery: size mismatch at most 0.066"."""
        limits = [
            f"{name} {limit:g}" for name, limit in self._limits() if limit is not None
        ]
        return f"Hume-Rothery: {', '.join(limits)}"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates keep all limits."""
        kept = np.ones(len(places), dtype=bool)
        if self.size_mismatch_at_most is not None:
            mean, deviation = _moments(ingredients, places, metallic_radii())
            kept &= deviation / mean <= self.size_mismatch_at_most
        if self.electronegativity_spread_at_most is not None:
            _, deviation = _moments(ingredients, places, electronegativities())
            kept &= deviation <= self.electronegativity_spread_at_most
        electrons, _ = _moments(ingredients, places, valence_electrons())
        # Sums of fractions are a little off; at the limit counts as within it.
        if self.valence_electrons_at_least is not None:
            kept &= electrons >= self.valence_electrons_at_least - 1e-9
        if self.valence_electrons_at_most is not None:
            kept &= electrons <= self.valence_electrons_at_most + 1e-9
        return kept


def _moments(
    ingredients: Ingredients,
    places: Integer[ndarray, "n_rows n_slots"],
    values: Float[ndarray, " 104"],
) -> tuple[Float[ndarray, " n_rows"], Float[ndarray, " n_rows"]]:
    """Mean and standard deviation over the atoms of each candidate."""
    own = values[ingredients.numbers]
    n_atoms = ingredients.sums(places, np.ones_like(own))
    mean = ingredients.sums(places, own) / n_atoms
    # Around a middle value, so that the difference of squares keeps its digits.
    middle = float(np.nanmean(own)) if np.isfinite(own).any() else 0.0
    square = ingredients.sums(places, (own - middle) ** 2) / n_atoms
    return mean, np.sqrt(np.maximum(square - (mean - middle) ** 2, 0.0))
