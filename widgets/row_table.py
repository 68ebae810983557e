"""`RowTable`: a table whose rows can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anywidget
from traitlets import Int, List


class RowTable(anywidget.AnyWidget):
    """Rows of text, of which one may be chosen with a click or the arrow keys.

    Attributes:
        columns: what stands above.
        rows: text of every cell.
        picked: place of the row that is chosen; -1 for none.
    """

    _esm = Path(__file__).parent / "row_table.js"
    columns = List(default_value=[]).tag(sync=True)
    rows = List(default_value=[]).tag(sync=True)
    picked = Int(-1).tag(sync=True)

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns=list(columns))
