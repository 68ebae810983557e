"""Rows of objectives or of constraints: a measure, what is wanted, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ipywidgets as ipw
from traitlets import HasTraits

from gnndesign_widgets.controls import Message, button
from gnndesign_widgets.search_goals import (
    MEASURE_NAMES,
    WITH_A_NUMBER,
    WITH_TWO_NUMBERS,
    Wish,
)

_OTHER = ""
_OPTIONS = [
    *((name.replace("_", " ").capitalize(), name) for name in MEASURE_NAMES),
    ("Other …", _OTHER),
]


class GoalRow(ipw.VBox):
    """One wish.

    Args:
        wish: what it shows at first.
        ways: what may be wanted, such as `GOALS`.
        changed: is given the wish as it is now typed.
        removed: is called to take the row away.
    """

    def __init__(
        self,
        wish: Wish,
        ways: Sequence[str],
        changed: Callable[[Wish], None],
        removed: Callable[[], None],
    ) -> None:
        self._changed = changed
        self._showing = False
        self.measure = ipw.Dropdown(options=_OPTIONS)
        self.measure.layout.width = "auto"
        self.measure.layout.flex = "1 1 0"
        self.how = ipw.Dropdown(options=list(ways))
        self.how.layout.width = "100px"
        self.number = ipw.FloatText(step=0.1)
        self.high = ipw.FloatText(step=0.1)
        for each in (self.number, self.high):
            each.layout.width = "84px"
        self.to = ipw.Label("to")
        self.unit = ipw.Label()
        self.other = ipw.Text(
            placeholder="elasticity.youngs_modulus_GPa", continuous_update=False
        )
        self.other.layout.width = "auto"
        remove = button("", removed, icon="times", tooltip="Take this row away")
        self.numbers = ipw.HBox([self.number, self.to, self.high, self.unit])
        self.numbers.layout.padding = "0 0 0 16px"
        line = ipw.HBox([self.measure, self.how, remove])
        super().__init__([line, self.other, self.numbers])
        self.add_class("gnndesign-goal")
        for each in (self.measure, self.how, self.number, self.high, self.other):
            each.observe(self._typed, "value")
        self.show(wish)

    def close_all(self) -> None:
        """Let go of everything in it; a page that is opened again need not restore it."""
        line, other, numbers = self.children
        for each in (*line.children, *numbers.children, line, other, numbers):
            each.close()
        self.close()

    def show(self, wish: Wish) -> None:
        """Show another wish."""
        self._showing = True
        is_known = wish.measure in MEASURE_NAMES
        self.measure.value = wish.measure if is_known else _OTHER
        self.other.value = "" if is_known else wish.measure
        self.how.value = wish.how
        self.number.value, self.high.value = wish.number, wish.high
        self.unit.value = wish.unit
        _display(self.other, wanted=not is_known)
        _display(self.numbers, wanted=wish.how in WITH_A_NUMBER)
        for each in (self.to, self.high):
            _display(each, wanted=wish.how in WITH_TWO_NUMBERS)
        self._showing = False

    def _typed(self, _change: object) -> None:
        if self._showing:
            return
        measure = self.measure.value or self.other.value.strip()
        assert self.how.value is not None
        wish = Wish(
            measure=measure,
            how=self.how.value,
            number=self.number.value,
            high=self.high.value,
        )
        self.show(wish)
        self._changed(wish)


class GoalRows(ipw.VBox):
    """The wishes in a trait of a model, with a button to add one.

    Args:
        model: whose trait it is.
        trait: name of a tuple of `Wish`.
        ways: what may be wanted, such as `GOALS`.
        new: what an added row shows.
        title: of the button.
        check: raises a `GNNDesignError` to say what makes no sense in a wish.
    """

    def __init__(
        self,
        model: HasTraits,
        trait: str,
        ways: Sequence[str],
        new: Wish,
        title: str,
        check: Callable[[], object],
    ) -> None:
        self._model, self._trait, self._ways = model, trait, ways
        self._check = check
        self.rows: list[GoalRow] = []
        self._box = ipw.VBox()
        self.message = Message()
        add = button(title, lambda: self._set([*self._wishes, new]), icon="plus")
        add.layout.align_self = "flex-start"
        super().__init__([self._box, add, self.message])
        model.observe(self._show, trait)
        self._show()

    @property
    def _wishes(self) -> list[Wish]:
        return list(getattr(self._model, self._trait))

    def _set(self, wishes: Sequence[Wish]) -> None:
        setattr(self._model, self._trait, tuple(wishes))

    def _show(self, _change: object = None) -> None:
        wishes = self._wishes
        if len(wishes) != len(self.rows):
            gone = self.rows
            self.rows = [
                GoalRow(
                    wish,
                    self._ways,
                    partial(self._replace, place),
                    partial(self._remove, place),
                )
                for place, wish in enumerate(wishes)
            ]
            self._box.children = self.rows
            for row in gone:
                row.close_all()
        for row, wish in zip(self.rows, wishes, strict=True):
            row.show(wish)

        def check() -> None:
            self._check()

        self.message.attempt(check)

    def _replace(self, place: int, wish: Wish) -> None:
        wishes = self._wishes
        wishes[place] = wish
        self._set(wishes)

    def _remove(self, place: int) -> None:
        wishes = self._wishes
        del wishes[place]
        self._set(wishes)


def _display(widget: Any, *, wanted: bool) -> None:
    widget.layout.display = "" if wanted else "none"
