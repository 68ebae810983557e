"""`PeriodicTable`: choose elements where one looks for them."""

from __future__ import annotations

from pathlib import Path

import anywidget
import numpy as np
from ase.data import atomic_names, chemical_symbols
from traitlets import Dict, List

HEAVIEST = 103
"""Lawrencium; potentials know none beyond."""

_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)
"""The atoms that end the periods."""


class PeriodicTable(anywidget.AnyWidget):
    """Elements as buttons: chosen by click, drag, group, period, or with the keyboard.

    Attributes:
        selected: chemical symbols that are chosen, by atomic number.
        disabled: those that cannot be chosen, such as what a potential does not know;
            one that is chosen already can be taken away.
        marked: by chemical symbol, what else there is to say about it: "on site B".
    """

    _esm = Path(__file__).parent / "periodic_table.js"
    cells = List(default_value=[]).tag(sync=True)
    selected = List(default_value=[]).tag(sync=True)
    disabled = List(default_value=[]).tag(sync=True)
    marked = Dict(default_value={}).tag(sync=True)

    def __init__(self) -> None:
        numbers = range(1, HEAVIEST + 1)
        super().__init__(cells=[_cell(number) for number in numbers])
        self.layout.width = "auto"


def _cell(number: int) -> list[str | int]:
    """Symbol, name, row, column, and block.

    Rows 9 and 10 are the lanthanides (La to Yb) and the actinides (Ac to No); Lu and Lr
    are in group 3.
    """
    named = [chemical_symbols[number], atomic_names[number]]
    for first, row in ((57, 9), (89, 10)):
        if first <= number < first + 14:
            return [*named, row, 3 + number - first, "f"]
    period = int(np.searchsorted(_NOBLE, number))
    after, before = number - _NOBLE[period - 1], _NOBLE[period] - number
    if after <= (1 if period == 1 else 2):
        return [*named, period, after, "s"]
    column = 18 - before
    block = "s" if number == 2 else "p" if column > 12 else "d"
    return [*named, period, column, block]
