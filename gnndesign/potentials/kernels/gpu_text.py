"""Pieces of Python text that the writers of GPU kernels share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def weighted_sum(weights: Mapping[str, float]) -> str:
    """Such as "0.5 * a - b"; terms of zero weight are left out, "0.0" if all are."""
    text = ""
    for name, weight in weights.items():
        if weight == 0.0:
            continue
        size = abs(float(weight))
        term = name if size == 1.0 else f"{size!r} * {name}"
        sign = "-" if weight < 0.0 else "+"
        text += f" {sign} {term}" if text else (f"-{term}" if weight < 0.0 else term)
    return text or "0.0"


def component_sum(name: str, weights: Iterable[float]) -> str:
    """The same of name_0, name_1, ..."""
    return weighted_sum({f"{name}_{n}": weight for n, weight in enumerate(weights)})


def total(terms: Iterable[str]) -> str:
    """The sum of terms, "0.0" if there are none."""
    return " + ".join(terms) or "0.0"


def indented(lines: Sequence[str]) -> list[str]:
    """One level deeper."""
    return [f"    {line}" for line in lines]


def function(arguments: str, lines: Sequence[str]) -> str:
    """Everything after a function's name."""
    return f"({arguments}):\n" + "\n".join(indented(lines)) + "\n"
