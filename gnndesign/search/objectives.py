"""What a search looks for: a `Measure` of a candidate with a goal or with bounds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Literal

import ase

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Steps
from gnndesign.search.space import Candidate

Direction = Literal["minimize", "maximize"]


class Stage(IntEnum):
    """When something is measured: what is cheap comes first."""

    COMPOSITION = 0
    """Of the formula alone."""
    SINGLE_POINT = 1
    """Of the structure as it was built."""
    RELAXED = 2
    """Of the relaxed structure and its energy."""
    PROPERTY = 3
    """Tens of further structures."""
    PHONONS = 4
    """Hundreds."""
    DYNAMICS = 5
    """Thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured.

    Attributes:
        candidate: the choice.
        start: the structure as it was built.
        atoms: the relaxed structure, its atoms in the same order; the start before
            `Stage.RELAXED`.
        energy: of all its atoms, eV; NaN before `Stage.SINGLE_POINT`.
        potential: whose energies these are.
        reference_energies: eV/atom of the elemental ground states, by chemical symbol;
            empty where no measure needs them.
        results: of properties computed so far, so that none is computed twice.
    """

    candidate: Candidate
    start: ase.Atoms
    atoms: ase.Atoms
    energy: float
    potential: Potential
    reference_energies: Mapping[str, float] = field(default_factory=dict[str, float])
    results: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(ABC):
    """A number of a candidate, and how it is computed.

    Attributes:
        kind: its name in job specifications and studies.
        needs_references: whether `Subject.reference_energies` must be given.
    """

    kind: ClassVar[str]
    needs_references: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """By which a trial's numbers are found."""
        return self.kind

    @property
    @abstractmethod
    def unit(self) -> str:
        """Of the number."""

    @property
    def column(self) -> str:
        """The name with the unit in it, for tables."""
        unit = column_unit(self.unit)
        if self.name.endswith(unit):
            return self.name
        return f"{self.name.removesuffix('_per_atom')}_{unit}"

    @property
    def stage(self) -> Stage:
        """What it needs."""
        return Stage.RELAXED

    @abstractmethod
    def steps(self, subject: Subject) -> Steps[float]:
        """The work, piece by piece, and the number in `unit`.

        Raises:
            GNNDesignError: it cannot be measured of this structure.
        """

    def to_dict(self) -> dict[str, Any]:
        """What defines the measure, as JSON would have it."""
        return {"kind": self.kind, **asdict(self)}

    def minimized(self) -> Objective:
        """As an objective, the smaller the better."""
        return Objective(measure=self)

    def maximized(self) -> Objective:
        """As an objective, the larger the better."""
        return Objective(measure=self, goal=Maximize())

    def near(self, value: float) -> Objective:
        """As an objective, the nearer to a value the better."""
        return Objective(measure=self, goal=Target(value))

    def within(self, low: float, high: float) -> Objective:
        """As an objective, best anywhere between two values."""
        return Objective(measure=self, goal=Window(low, high))

    def between(self, low: float, high: float) -> Constraint:
        """As a constraint, bounded on both sides."""
        return Constraint(measure=self, low=low, high=high)

    def at_most(self, value: float) -> Constraint:
        """As a constraint."""
        return Constraint(measure=self, high=value)

    def at_least(self, value: float) -> Constraint:
        """As a constraint."""
        return Constraint(measure=self, low=value)


@dataclass(frozen=True, slots=True)
class Minimize:
    """The smaller the better."""

    def cost(self, value: float) -> float:
        """The value itself."""
        return value

    def to_plain(self) -> Any:
        """As JSON would have it."""
        return "minimize"


@dataclass(frozen=True, slots=True)
class Maximize:
    """The larger the better."""

    def cost(self, value: float) -> float:
        """The value itself, which Optuna is told to maximize."""
        return value

    def to_plain(self) -> Any:
        """As JSON would have it."""
        return "maximize"


@dataclass(frozen=True, slots=True)
class Target:
    """The nearer to a value the better.

    Attributes:
        value: in the unit of the measure.
    """

    value: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ParameterError(f"Wanted a finite target, got {self.value}.")

    def cost(self, value: float) -> float:
        """Distance from the target."""
        return abs(value - self.value)

    def to_plain(self) -> Any:
        """As JSON would have it."""
        return {"target": self.value}


@dataclass(frozen=True, slots=True)
class Window:
    """Best anywhere between two values.

    Attributes:
        low: in the unit of the measure.
        high: above it.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ParameterError(
                f"Wanted a window with low < high, got {self.low} and {self.high}."
            )

    def cost(self, value: float) -> float:
        """Distance from the window; zero inside."""
        return max(self.low - value, value - self.high, 0.0)

    def to_plain(self) -> Any:
        """As JSON would have it."""
        return {"low": self.low, "high": self.high}


Goal = Minimize | Maximize | Target | Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A measure and what is wanted of it.

    Attributes:
        measure: what is measured.
        goal: `Minimize()`, `Maximize()`, `Target(value)` or `Window(low, high)`.
    """

    measure: Measure
    goal: Goal = field(default_factory=Minimize)

    @property
    def name(self) -> str:
        """By which a trial's values are found; says where it is a distance."""
        away = isinstance(self.goal, Target | Window)
        return f"{self.measure.name}_deviation" if away else self.measure.name

    @property
    def unit(self) -> str:
        """Of the values."""
        return self.measure.unit

    @property
    def direction(self) -> Direction:
        """What Optuna does with the values."""
        return "maximize" if isinstance(self.goal, Maximize) else "minimize"

    def to_dict(self) -> dict[str, Any]:
        """What defines the objective, as JSON would have it."""
        return {"measure": self.measure.to_dict(), "goal": self.goal.to_plain()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """Bounds that a candidate must keep; one that does not is no result.

    Attributes:
        measure: what is bounded.
        low: smallest value allowed, None for any.
        high: largest value allowed, None for any.
    """

    measure: Measure
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        given = [bound for bound in (self.low, self.high) if bound is not None]
        if not given or not all(map(math.isfinite, given)) or given != sorted(given):
            raise ParameterError(
                f"Wanted a lower or an upper bound, or both in order, got low={self.low} "
                f"and high={self.high}."
            )

    @property
    def name(self) -> str:
        """By which a trial's constraints are found."""
        return self.measure.name

    def violation(self, value: float) -> float:
        """By how much a value is out of bounds, in its unit; zero or less is allowed."""
        over = -math.inf if self.high is None else value - self.high
        under = -math.inf if self.low is None else self.low - value
        return max(over, under)

    def describe(self) -> str:
        """As a person would write it."""
        low = "" if self.low is None else f"{self.low:g} <= "
        high = "" if self.high is None else f" <= {self.high:g}"
        return f"{low}{self.name}{high} {self.measure.unit}".strip()

    def to_dict(self) -> dict[str, Any]:
        """What defines the constraint, as JSON would have it."""
        return {"measure": self.measure.to_dict(), "low": self.low, "high": self.high}


def column_unit(unit: str) -> str:
    """A unit as it is written in the name of a column: "eV_per_atom" of "eV/atom"."""
    ascii_only = unit.replace("Å³", "A3").replace("Å", "A").replace("m²", "m2")
    ascii_only = ascii_only.replace("cm³", "cm3").replace("°", "deg")
    return ascii_only.replace("/", "_per_").replace("%", "percent")


def checked_objectives(
    objectives: Objective | Measure | Sequence[Objective | Measure],
) -> tuple[Objective, ...]:
    """One or more objectives as a tuple; a bare measure is minimized.

    Raises:
        ParameterError: none, or two of the same name.
    """
    alone = isinstance(objectives, Objective | Measure)
    several = tuple(
        each.minimized() if isinstance(each, Measure) else each
        for each in ((objectives,) if alone else objectives)
    )
    if not several:
        raise ParameterError("Wanted at least one objective, got none.")
    _refuse_repeated("objective", [objective.name for objective in several])
    return several


def checked_constraints(constraints: Sequence[Constraint]) -> tuple[Constraint, ...]:
    """Constraints as a tuple.

    Raises:
        ParameterError: two of the same name.
    """
    _refuse_repeated("constraint", [constraint.name for constraint in constraints])
    return tuple(constraints)


def _refuse_repeated(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ParameterError(f"Each {what} may be given once, got {list(names)}.")
