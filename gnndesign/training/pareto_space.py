"""What a Pareto search chooses from: weights of the loss, and shapes of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gnndesign.errors import ParameterError

ENERGY, STRESS, SHAPE = "energy", "stress", "shape."
"""Names of what is chosen; after the last comes the name of an option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers to choose from, whole ones if both ends are.

    Attributes:
        low, high: the ends, which may be chosen.
        log: whether ratios count instead of differences.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ParameterError(
                "Wanted a range from low to a higher number, both > 0 if it is "
                f"logarithmic, got {self.low} to {self.high}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoSpace:
    """What is chosen. Only ratios of weights matter, so that of forces is one.

    Attributes:
        energy: lowest and highest weight of the energy, over that of the forces.
        stress: likewise of the stress; None not to learn stress. Without labels of
            stress it is not learned either.
        shape: options of the network's shape by name (see `new_potential`): a `Range`
            or a tuple of choices.
    """

    energy: tuple[float, float] = (0.01, 100.0)
    stress: tuple[float, float] | None = (0.001, 10.0)
    shape: Mapping[str, Range | tuple[Any, ...]] = field(
        default_factory=dict[str, "Range | tuple[Any, ...]"]
    )

    def __post_init__(self) -> None:
        for name, ends in ((ENERGY, self.energy), (STRESS, self.stress)):
            if ends is not None and not 0 < ends[0] < ends[1]:
                raise ParameterError(
                    f"Wanted two weights of {name} > 0, the lower first, got {ends}."
                )
        for name, options in self.shape.items():
            if not isinstance(options, Range) and not options:
                raise ParameterError(f"Wanted a choice or more of {name}, got none.")

    def first_shape(self) -> dict[str, Any]:
        """The lower end of every range and the first of all choices."""
        found: dict[str, Any] = {}
        for name, options in self.shape.items():
            found[name] = options.low if isinstance(options, Range) else options[0]
        return found
