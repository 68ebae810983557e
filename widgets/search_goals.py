"""What a search looks for, as its panel has it: a `Wish` a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gnndesign.errors import ParameterError
from gnndesign.search.measures import MEASURES, QUANTITIES
from gnndesign.search.notation import (
    constraint_from_dict,
    measure,
    measure_to_text,
    objective_from_dict,
)
from gnndesign.search.objectives import (
    Constraint,
    Maximize,
    Minimize,
    Objective,
    Target,
    Window,
)

MEASURE_NAMES = (*MEASURES, *QUANTITIES)
"""What is offered; others are typed as KIND.QUANTITY of a property."""

GOALS = ("minimize", "maximize", "target", "window")
BOUNDS = ("at most", "at least", "between")
WITH_A_NUMBER = ("target", "window", *BOUNDS)
WITH_TWO_NUMBERS = ("window", "between")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An objective or a constraint as it stands in a row.

    Attributes:
        measure: as `measure` takes it.
        how: one of `GOALS`, or one of `BOUNDS`.
        number: the target, the bound, or the lower end.
        high: the upper end of a window or of bounds.
    """

    measure: str
    how: str
    number: float = 0.0
    high: float = 0.0

    @property
    def unit(self) -> str:
        """Of the numbers; empty for a measure that does not exist."""
        try:
            return measure(self.measure).unit
        except ParameterError:
            return ""

    def objective(self) -> Objective:
        """What it asks for.

        Raises:
            ParameterError: no such measure, or a window without width.
        """
        wanted = measure(self.measure)
        goals = {
            "minimize": Minimize,
            "maximize": Maximize,
            "target": lambda: Target(self.number),
            "window": lambda: Window(self.number, self.high),
        }
        return Objective(measure=wanted, goal=goals[self.how]())

    def constraint(self) -> Constraint:
        """What it bounds.

        Raises:
            ParameterError: no such measure, or bounds in the wrong order.
        """
        wanted = measure(self.measure)
        if self.how == "at most":
            return wanted.at_most(self.number)
        if self.how == "at least":
            return wanted.at_least(self.number)
        return Constraint(measure=wanted, low=self.number, high=self.high)


def wish_of_objective(data: Mapping[str, Any]) -> Wish:
    """The row of what `Objective.to_dict` describes.

    Raises:
        ParameterError: it is none.
    """
    objective = objective_from_dict(data)
    name = measure_to_text(objective.measure)
    match objective.goal:
        case Target(value):
            return Wish(measure=name, how="target", number=value)
        case Window(low, high):
            return Wish(measure=name, how="window", number=low, high=high)
        case Maximize():
            return Wish(measure=name, how="maximize")
        case Minimize():
            return Wish(measure=name, how="minimize")


def wish_of_constraint(data: Mapping[str, Any]) -> Wish:
    """The row of what `Constraint.to_dict` describes.

    Raises:
        ParameterError: it is none.
    """
    bounds = constraint_from_dict(data)
    name = measure_to_text(bounds.measure)
    if bounds.low is None:
        return Wish(measure=name, how="at most", number=bounds.high or 0.0)
    if bounds.high is None:
        return Wish(measure=name, how="at least", number=bounds.low)
    return Wish(measure=name, how="between", number=bounds.low, high=bounds.high)
