"""Measures, objectives and constraints as a person or a JSON file writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args

import ase

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Property
from gnndesign.properties.catalog import new_property, property_class
from gnndesign.properties.fields import fields_of
from gnndesign.properties.from_text import parameters_from_text, texts_of
from gnndesign.properties.plain import from_plain
from gnndesign.search.measures import (
    MEASURES,
    QUANTITIES,
    RELAXING,
    Axis,
    FormationEnergy,
    LatticeConstant,
    PropertyMeasure,
)
from gnndesign.search.objectives import (
    Constraint,
    Goal,
    Maximize,
    Measure,
    Minimize,
    Objective,
    Target,
    Window,
)


def measure(text: str) -> Measure:
    """A measure by its name.

    Args:
        text: "formation_energy", "lattice_constant" ("lattice_constant_c"), "density",
            "price", "supply_risk", one of `QUANTITIES`, or KIND.QUANTITY of a property:
            "phonons.min_frequency_THz". Parameters of the property follow in brackets:
            "bulk_modulus(degree=2; relaxing.max_force=0.001)".

    Raises:
        ParameterError: no such measure or parameter.
    """
    if text in MEASURES:
        return MEASURES[text]()
    if text == "formation_energy_as_built":
        return FormationEnergy(relaxed=False)
    if text in {f"lattice_constant_{axis}" for axis in get_args(Axis)}:
        return LatticeConstant(axis=text[-1])  # pyright: ignore[reportArgumentType]
    name, opened, typed = text.partition("(")
    kind, _, quantity = name.strip().partition(".")
    if name.strip() in QUANTITIES:
        kind, quantity = QUANTITIES[name.strip()]
    if not quantity or (opened and not typed.endswith(")")):
        known = ", ".join([*MEASURES, *QUANTITIES])
        raise ParameterError(
            f"Unknown measure '{text}'; wanted one of {known}, or KIND.QUANTITY of a "
            "property, such as elasticity.youngs_modulus_GPa, or with its parameters, "
            "elasticity.youngs_modulus_GPa(degree=2; symprec=0.1)."
        )
    of = parameters_from_text(
        property_class(kind), _texts(typed.removesuffix(")")), kind, _usual(kind)
    )
    return PropertyMeasure(of=of, quantity=quantity)


def measure_to_text(measure: Measure) -> str:
    """The text of a measure, the inverse of `measure`.

    Raises:
        ParameterError: a structure is among the parameters of its property.
    """
    if not isinstance(measure, PropertyMeasure):
        return measure.name
    named = measure.of.kind, measure.quantity
    short = {of: name for name, of in QUANTITIES.items()}
    texts = texts_of(measure.of, _refuse_structures, _usual(measure.of.kind))
    typed = "; ".join(f"{name}={text}" for name, text in texts.items())
    return short.get(named, ".".join(named)) + (f"({typed})" if typed else "")


def _usual(kind: str) -> Property[Any] | None:
    """A property whose parameters nobody has typed; None where somebody must."""
    if any(each.required for each in fields_of(property_class(kind))):
        return None
    if kind == "energy_above_hull":
        # Its many competing phases, and the candidate, as a search relaxes them.
        return new_property(kind, relaxing=RELAXING)
    return new_property(kind)


def _texts(typed: str) -> dict[str, str]:
    """NAME=VALUE; NAME=VALUE."""
    parts = [part.partition("=") for part in typed.split(";") if part.strip()]
    return {name.strip(): text.strip() for name, _, text in parts}


def _refuse_structures(name: str, _structures: Sequence[ase.Atoms]) -> str:
    raise ParameterError(
        f"A measure with structures of its own ({name}) has no text; keep it in a script."
    )


def measure_from_dict(data: Mapping[str, Any]) -> Measure:
    """The measure that `Measure.to_dict` described.

    Raises:
        ParameterError: unknown kind or parameters.
    """
    kind, given = data.get("kind"), {k: v for k, v in data.items() if k != "kind"}
    if kind == PropertyMeasure.kind and set(given) == {"of", "quantity"}:
        return PropertyMeasure(of=from_plain(given["of"]), quantity=given["quantity"])
    if kind not in MEASURES:
        raise ParameterError(f"Unknown measure '{kind}'; known: {', '.join(MEASURES)}.")
    known = {field.name for field in fields(MEASURES[kind])}
    if not set(given) <= known:
        raise ParameterError(f"Measure '{kind}' does not take {sorted(given)}.")
    return MEASURES[kind](**given)


def goal_from_plain(data: Any) -> Goal:
    """The goal that `to_plain` described.

    Raises:
        ParameterError: it is none.
    """
    if data == "minimize":
        return Minimize()
    if data == "maximize":
        return Maximize()
    if isinstance(data, Mapping) and set(data) == {"target"}:
        return Target(float(data["target"]))
    if isinstance(data, Mapping) and set(data) == {"low", "high"}:
        return Window(float(data["low"]), float(data["high"]))
    raise ParameterError(
        f"Wanted 'minimize', 'maximize', a target or low and high, got {data}."
    )


def objective_from_dict(data: Mapping[str, Any]) -> Objective:
    """The objective that `Objective.to_dict` described.

    Raises:
        ParameterError: an entry is missing or unknown.
    """
    if set(data) != {"measure", "goal"}:
        raise ParameterError(f"Wanted measure and goal, got {sorted(data)}.")
    measure = measure_from_dict(data["measure"])
    return Objective(measure=measure, goal=goal_from_plain(data["goal"]))


def constraint_from_dict(data: Mapping[str, Any]) -> Constraint:
    """The constraint that `Constraint.to_dict` described.

    Raises:
        ParameterError: an entry is missing or unknown.
    """
    if set(data) != {"measure", "low", "high"}:
        raise ParameterError(f"Wanted measure, low and high, got {sorted(data)}.")
    measure = measure_from_dict(data["measure"])
    return Constraint(measure=measure, low=data["low"], high=data["high"])


def objective_from_text(text: str) -> Objective:
    """An objective as a command line has it.

    Args:
        text: MEASURE to minimize it, MEASURE=max, MEASURE=min, MEASURE=TARGET or
            MEASURE=LOW..HIGH: "lattice_constant=3.905", "bulk_modulus=150..200".

    Raises:
        ParameterError: it is none.
    """
    name, _, wanted = _split(text, "=")
    found = measure(name.strip())
    low, dots, high = wanted.strip().partition("..")
    if wanted.strip() in ("", "min"):
        return found.minimized()
    if wanted.strip() == "max":
        return found.maximized()
    if dots:
        return found.within(_number(low, text), _number(high, text))
    return found.near(_number(low, text))


def constraint_from_text(text: str) -> Constraint:
    """A constraint as a command line has it.

    Args:
        text: MEASURE<=NUMBER or MEASURE>=NUMBER: "energy_above_hull<=0.05".

    Raises:
        ParameterError: it is none.
    """
    for sign in ("<=", ">="):
        name, there, number = _split(text, sign)
        if there:
            one, bound = measure(name.strip()), _number(number, text)
            return one.at_most(bound) if sign == "<=" else one.at_least(bound)
    raise ParameterError(f"Wanted MEASURE<=NUMBER or MEASURE>=NUMBER, got '{text}'.")


def _split(text: str, sign: str) -> tuple[str, str, str]:
    """As `str.partition`, but not within the brackets of a measure."""
    closed = text.rfind(")") + 1
    name, there, rest = text[closed:].partition(sign)
    return text[:closed] + name, there, rest


def _number(text: str, whole: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ParameterError(f"Wanted a number where '{text}' stands in '{whole}'.")
    return number
