"""`Figures`: what a panel has to draw on the stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ase
import plotly.graph_objects as go
from traitlets import Bool, Dict, HasTraits, Instance, Tuple, Unicode

Build = Callable[[], go.Figure]


class Figures(HasTraits):
    """Figures by their titles, of which one is drawn, and a structure beside them.

    Attributes:
        title: what it is all about.
        builds: by title, what makes the figure from data that nobody changes.
        clicks: by title, what is done with the `customdata` of a point clicked on.
        atoms: what stands in the viewer; None leaves there what it has.
        frames: what moves in the viewer, in place of `atoms`; empty for nothing.
        is_played: whether `frames` are played over and over, without anybody's asking.
        shown: title of the figure that is drawn; the first where there is none such.
    """

    title = Unicode("")
    builds: dict[str, Build] = Dict()  # pyright: ignore[reportAssignmentType]
    clicks: dict[str, Callable[[Any], None]] = Dict()  # pyright: ignore[reportAssignmentType]
    atoms: ase.Atoms | None = Instance(ase.Atoms, allow_none=True)  # pyright: ignore[reportAssignmentType]
    frames: Sequence[ase.Atoms] = Tuple()  # pyright: ignore[reportAssignmentType]
    is_played = Bool(default_value=False)
    shown = Unicode("")
