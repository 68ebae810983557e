"""How long a search will take, before it begins and while it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import ase
import numpy as np

from gnndesign.errors import GNNDesignError
from gnndesign.search.objectives import Measure, Stage
from gnndesign.search.space import Space
from gnndesign.simulation.estimate import duration, estimate

_EVALUATIONS = {
    Stage.COMPOSITION: 0,
    Stage.SINGLE_POINT: 1,
    Stage.RELAXED: 20,
    Stage.PROPERTY: 250,
    Stage.PHONONS: 500,
    Stage.DYNAMICS: 20_000,
}
"""Energies and forces of a candidate that a stage takes, roughly: a relaxation of a
perovskite to 0.05 eV/Å; an elastic tensor of 24 strained copies."""

_BESIDE_S = 0.1
"""Seconds a candidate takes beside: it is proposed, built and written down."""

_SAMPLES = 4


def estimate_search(
    space: Space,
    measures: Sequence[Measure],
    potential: str,
    device: str | None,
    *,
    n_trials: int,
    batch_size: int,
) -> str:
    """Roughly how long it takes, in a sentence.

    Rests on a few candidates of the space, the potential's measured or typical speed,
    and how many evaluations each stage usually takes.
    """
    n_trials = min(n_trials, len(space))
    wanted = {measure.stage for measure in measures}
    n_each = sum(_EVALUATIONS[stage] for stage in wanted)
    if max(wanted, default=Stage.RELAXED) > Stage.RELAXED:
        n_each += _EVALUATIONS[Stage.RELAXED] * (Stage.RELAXED not in wanted)
    if not n_each:
        return f"{n_trials:,} candidates in seconds: compositions alone are looked at."
    samples = _samples(space)
    if not samples:
        return "No estimate: none of a few candidates can be built."
    batch = [samples[k % len(samples)] for k in range(max(1, batch_size))]
    try:
        found = estimate(batch[:64], potential, 1, device=device, is_relaxation=True)
    except GNNDesignError as error:
        return f"No estimate: {error}"
    if found.seconds_per_step is None:
        return "The time is known once the potential has run on this device."
    each = found.seconds_per_step / found.n_structures * n_each + _BESIDE_S
    sizes = sorted({len(atoms) for atoms in samples})
    atoms = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    typical = "" if found.measured else " (typical figures, not measured here yet)"
    return (
        f"Roughly {duration(each * n_trials)} for {n_trials:,} candidates of {atoms} "
        f"atoms, {duration(each)} each{typical}."
    )


def _samples(space: Space) -> list[ase.Atoms]:
    """Structures of a few candidates, evenly over the space."""
    found: list[ase.Atoms] = []
    for index in np.unique(np.linspace(0, len(space) - 1, _SAMPLES, dtype=int)):
        try:
            found.append(space.build(space.candidate(int(index))))
        except GNNDesignError:
            # Said of this candidate when its turn comes.
            continue
    return found


class Pace:
    """How long a running job still takes, from what was seen of it."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None

    def see(self, done: int) -> None:
        """Take the number of trials that are through."""
        if self._last is not None and done <= self._last[1]:
            return
        now = time.monotonic(), done
        # The first come late: the worker starts, and the elements are relaxed.
        if self._first is None and done > 0:
            self._first = now
        self._last = now

    def left(self, total: int) -> str:
        """How long it still takes, in words; empty where nothing is known yet."""
        if self._first is None or self._last is None:
            return ""
        seconds, trials = (b - a for a, b in zip(self._first, self._last, strict=True))
        if trials <= 0 or total <= self._last[1]:
            return ""
        left = (total - self._last[1]) * seconds / trials
        return f"About {duration(left)} left, {duration(seconds / trials)} a candidate."
