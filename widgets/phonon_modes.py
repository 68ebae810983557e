"""A phonon mode chosen and animated, and the way down from the worst one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import ase
import numpy as np
from jaxtyping import Float
from traitlets import Bool, Dict, HasTraits, Instance, Tuple, observe
from traitlets import Float as FloatTrait

from gnndesign.properties.phonon_result import PhononResult

_WORST = "Worst"
_CLICKED = "Clicked"

_QPoint = Float[np.ndarray, " 3"]


class PhononModes(HasTraits):
    """Modes of a crystal, one of which may be animated.

    Attributes:
        phonons: whose modes these are; None for none.
        q_points: (3,) in reciprocal primitive vectors, by what a person calls them.
        chosen: key of the q-point, and band from 0, of the mode that is chosen.
        frequencies_THz: of all bands there, ascending, negative for an imaginary one.
        amplitude: Å, of the atom that moves farthest.
        is_animated: whether the mode is played.
        frames: one period; empty while nothing is played.
    """

    phonons: PhononResult | None = Instance(PhononResult, allow_none=True)  # pyright: ignore[reportAssignmentType]
    q_points: Mapping[str, _QPoint] = Dict()  # pyright: ignore[reportAssignmentType]
    chosen: tuple[str, int] = Tuple(default_value=("", 0))  # pyright: ignore[reportAssignmentType]
    frequencies_THz: Sequence[float] = Tuple()  # pyright: ignore[reportAssignmentType]
    is_animated = Bool(default_value=False)
    amplitude = FloatTrait(0.3)
    frames: Sequence[ase.Atoms] = Tuple()  # pyright: ignore[reportAssignmentType]

    def choose(self, name: str, band: int) -> None:
        """Choose a mode by the name of its q-point and its band."""
        if self.phonons is None:
            return
        found, _ = self.phonons.force_constants.modes(self.q_points[name][None])
        self.frequencies_THz = tuple(found[0].tolist())
        self.chosen = (name, band)

    def click(self, point: Any) -> None:
        """Animate the mode that was clicked on in the figure of the bands."""
        phonons = self.phonons
        if phonons is None:
            return
        place, band = map(int, point)
        clicked = phonons.bands.q_points[place]
        others = {
            name: q
            for name, q in self.q_points.items()
            if not name.startswith(_CLICKED)
        }
        name = _named(_CLICKED, clicked)
        self.q_points = {**others, name: clicked}
        self.choose(name, band)
        self.is_animated = True

    @observe("phonons")
    def _begin(self, _change: object = None) -> None:
        """The worst mode of others is chosen; it does not move yet."""
        self.is_animated = False
        phonons = self.phonons
        if phonons is None:
            self.q_points, self.frequencies_THz = {}, ()
            return
        special = {
            _named("Γ" if label == "G" else label, q): q
            for label, q in phonons.bands.special_points.items()
        }
        if phonons.is_stable:
            self.q_points = special
            self.choose(*_stiffest(phonons, special))
            return
        worst = phonons.worst_mode
        if worst is None:
            q_point, band = phonons.min_frequency_q_point, 0
        else:
            q_point, band = worst.q_point, worst.band
        name = _named(_WORST, q_point)
        self.q_points = {name: q_point, **special}
        self.choose(name, band)

    @observe("chosen", "is_animated", "amplitude")
    def _move(self, _change: object = None) -> None:
        if self.phonons is None or not self.is_animated:
            self.frames = ()
            return
        name, band = self.chosen
        moved = self.phonons.mode(self.q_points[name], band, amplitude=self.amplitude)
        self.frames = tuple(moved)


def _stiffest(phonons: PhononResult, points: Mapping[str, _QPoint]) -> tuple[str, int]:
    """The special point and the band of the highest frequency."""
    names = list(points)
    found, _ = phonons.force_constants.modes(np.array([points[name] for name in names]))
    place, band = np.unravel_index(found.argmax(), found.shape)
    return names[int(place)], int(band)


def _named(label: str, q_point: _QPoint) -> str:
    """A point with its coordinates as fractions: "M (1/2, 1/2, 0)"."""
    parts = [_fraction(float(q)) for q in q_point]
    return f"{label} ({', '.join(parts)})"


def _fraction(number: float) -> str:
    near = Fraction(number).limit_denominator(12)
    return str(near) if abs(float(near) - number) < 1e-6 else f"{number:.3f}"
