"""Which of two phases in one cell wins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from gnndesign.errors import ConvergenceError
from gnndesign.properties.crystal_order import CrystalOrder
from gnndesign.simulation.base import Snapshot

_SOLID, _LIQUID = 0.8, 0.25
"""Order relative to that of the crystal alone, above and below which one has won."""
_CRYSTAL = 0.35
"""Order below which the crystal alone has molten, too."""
_LAST = 0.2
"""Part of the run that decides."""


class Competition:
    """Order and volume of every structure, sample by sample."""

    def __init__(self, order: CrystalOrder, *, n_structures: int) -> None:
        self._order = order
        self.orders: list[list[float]] = [[] for _ in range(n_structures)]
        self.volumes: list[list[float]] = [[] for _ in range(n_structures)]

    def __call__(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        for index, place in enumerate(snapshot.ids):
            positions = snapshot.positions[snapshot.atom_range(index)]
            self.orders[place].append(self._order(positions, snapshot.cell[index]))
            self.volumes[place].append(float(snapshot.volume[index]))


def winner(
    order: Float[np.ndarray, " n_samples"], of_solid: Float[np.ndarray, " n_samples"]
) -> str:
    """Who has won at a temperature: "solid", "liquid" or "undecided".

    Args:
        order: (n_samples,) of the cell with both phases.
        of_solid: (n_samples,) of the crystal alone at this temperature.
    """
    last = slice(-max(1, int(_LAST * len(order))), None)
    alone = float(of_solid[last].mean())
    if alone < _CRYSTAL:
        return "liquid"
    share = float(order[last].mean()) / alone
    if share >= _SOLID:
        return "solid"
    return "liquid" if share <= _LIQUID else "undecided"


def bracket(
    temperatures_K: Sequence[float], winners: Sequence[str]
) -> tuple[float, float]:
    """K, the highest temperature at which the crystal won, the lowest of the liquid.

    Raises:
        ConvergenceError: one of them never won, or they contradict each other.
    """
    pairs = list(zip(temperatures_K, winners, strict=True))
    said = ", ".join(f"{heat:g} K: {who}" for heat, who in pairs)
    solid = [heat for heat, who in pairs if who == "solid"]
    liquid = [heat for heat, who in pairs if who == "liquid"]
    if not solid or not liquid:
        missing = "lower" if not solid else "higher"
        raise ConvergenceError(
            f"The melting temperature is not between those given ({said}). Add {missing} "
            "ones, or run longer where nothing is decided."
        )
    if max(solid) > min(liquid):
        raise ConvergenceError(
            f"The liquid won below a temperature at which the crystal did ({said}), by "
            "chance, as happens in small cells near the melting temperature. Repeat "
            "with a larger cell or another seed."
        )
    return max(solid), min(liquid)
