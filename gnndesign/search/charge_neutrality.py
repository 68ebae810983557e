"""The filter for charge neutrality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.charges import check_symbol
from gnndesign.search.filters import Filter
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.neutrality import Charges, neutral_charges


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeNeutrality(Filter):
    """Keeps candidates that oxidation states can make neutral.

    A candidate is kept if every site can be given one of the oxidation states of each of
    its elements, the same on all atoms of the site, so that

        sum over sites of (atoms on the site) x (state) = 0

    and every element with a positive state is less electronegative (Pauling) than every
    element with a negative one, as in SMACT's test (Davies et al., J. Open Source Softw. 4,
    1361 (2019)). The states are pymatgen's common oxidation states, a short list: Ni3+,
    V3+, Ti3+ and Cu+ are not on it, so LaNiO3 is left out unless `oxidation_states` says
    {"Ni": [2, 3]}.

    With `mixed_valence`, an element that is known to (`charges.mixes_states`) may have two
    neighboring states of its list side by side on a site, in whatever proportion is
    neutral: Fe3O4 with Fe2+ and Fe3+, BaBiO3 with Bi3+ and Bi5+ if the list has both.

    Attributes:
        oxidation_states: states by chemical symbol, instead of pymatgen's.
        mixed_valence: whether an element may have two states on one site.

    Raises:
        ParameterError: not the symbol of an element, or a state that is not whole.
    """

    oxidation_states: Mapping[str, Sequence[int | float]] = field(
        default_factory=dict[str, Any], hash=False
    )
    mixed_valence: bool = False

    kind: ClassVar[str] = "charge_neutrality"

    def __post_init__(self) -> None:
        states = {
            check_symbol(symbol): _whole(symbol, given)
            for symbol, given in self.oxidation_states.items()
        }
        object.__setattr__(self, "oxidation_states", MappingProxyType(states))

    @property
    def title(self) -> str:
        """Its name."""
        return "charge neutrality"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates can be neutral."""
        return self.charges(ingredients, places).neutral

    def charges(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Charges:
        """The oxidation states that make candidates neutral."""
        return neutral_charges(
            ingredients,
            places,
            states={s: _whole(s, q) for s, q in self.oxidation_states.items()},
            mixed_valence=self.mixed_valence,
        )


def _whole(symbol: str, states: Sequence[int | float]) -> tuple[int, ...]:
    if any(float(state) != int(state) for state in states):
        raise ParameterError(
            f"Wanted whole oxidation states of {symbol}, got {list(states)}. Mixed "
            "valence is a switch, mixed_valence."
        )
    return tuple(int(state) for state in states)


def oxidation_states(
    rules: Sequence[Filter],
    ingredients: Ingredients,
    row: Integer[ndarray, " n_slots"],
) -> Mapping[str, float] | None:
    """Mean states on the slots of one candidate, where a rule asks for neutrality.

    Returns:
        By name of the slot, slots without atoms left out; None without such a rule.
    """
    for rule in rules:
        if isinstance(rule, ChargeNeutrality):
            own = ingredients.only(row)
            states = rule.charges(own, np.zeros_like(row)[None]).mean()[0].tolist()
            return MappingProxyType(
                {
                    name: int(state) if state.is_integer() else state
                    for name, state, parts in zip(
                        own.names, states, own.amounts, strict=True
                    )
                    if parts.any()
                }
            )
    return None
