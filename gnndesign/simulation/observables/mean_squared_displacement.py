"""The mean squared displacement, over all time origins and lags up to the whole run.

Displacements are measured relative to the cell, which may breathe:

    u(t) = Σ (s_k - s_{k-1}) (h_k + h_{k-1}) / 2,    r_k = s_k h_k,

summed over the samples k up to t: the integral of the velocity p/m of an atom without
the flow ḣ of the cell h. In a cell that does not change, u is the displacement itself.
The motion of the centre of mass is taken out, unless an atom is held fast.

Origins and lags: the order-n algorithm of D. Dubbeldam et al., Mol. Simul. 35, 1084
(2009), in blocks of two: level l keeps the last 16 of every 2^l-th sample and gives
lags of 8 to 15 times 2^l samples (level 0: 1 to 15).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.geometry import complete_cell
from jaxtyping import Float, Int

from gnndesign.simulation.observables.base import Observable
from gnndesign.simulation.observables.block_sums import BlockSums
from gnndesign.simulation.observables.blocking import MIN_BLOCKS
from gnndesign.simulation.observables.diffusion import Diffusion, fit_diffusion
from gnndesign.simulation.observables.moment import Moment
from gnndesign.simulation.observables.species import SpeciesOrder

_KEPT = 16
_HALF = _KEPT // 2
_MAX_LEVELS = 20
LAGS = np.concatenate(
    [np.arange(1, _HALF)]
    + [np.arange(_HALF, _KEPT) << level for level in range(_MAX_LEVELS)]
)
"""(n_lags,) all lags there can be, in samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSquaredDisplacement:
    """Mean squared displacements of a structure's species.

    Attributes:
        species: (n_species,) chemical symbols.
        lag_fs: (n_lags,) fs.
        displacement: (n_species, n_lags) Å², summed over the three directions.
        displacement_error: (n_species, n_lags) standard error; NaN where the run is
            too short to tell.
        diffusion: (n_species,) the line through each, and its slope.
        n_samples: number of moments taken.
    """

    species: tuple[str, ...]
    lag_fs: Float[np.ndarray, " n_lags"]
    displacement: Float[np.ndarray, "n_species n_lags"]
    displacement_error: Float[np.ndarray, "n_species n_lags"]
    diffusion: tuple[Diffusion, ...]
    n_samples: int


class MeanSquaredDisplacementAccumulator(Observable):
    """Follows every atom and compares it with where it was."""

    def __init__(self, system: int, *, remove_drift: bool = True, **beat: Any) -> None:
        """Begin with nothing.

        Args:
            system: id of the structure.
            remove_drift: measure relative to the centre of mass.
            beat: see `Observable`.
        """
        super().__init__(system, **beat)
        self.remove_drift = remove_drift
        self._atoms: dict[str, np.ndarray] = {}
        self._begin(0)

    def result(self) -> MeanSquaredDisplacement:
        """The displacements so far."""
        merging = self._merging()
        error = self._sums.standard_error(merging)
        mean = self._sums.blocks().mean
        there = np.flatnonzero(self._sums.blocks().counts.sum(0))
        lag_fs = LAGS * self.beat.interval_fs
        species = self._species.symbols if self._species else ()
        return MeanSquaredDisplacement(
            species=species,
            lag_fs=lag_fs[there],
            displacement=mean[:, there],
            displacement_error=error[:, there],
            diffusion=tuple(
                fit_diffusion(lag_fs, self._sums, row, merging[row])
                for row in range(len(species))
            ),
            n_samples=self.beat.n_samples,
        )

    def _merging(self) -> Int[np.ndarray, "n_species n_lags"]:
        """How many blocks to merge for an error; 0 where too few are left.

        Displacements over times that overlap know of each other. Hence blocks twice as
        long as the lag, and twice the statistical inefficiency at the shortest lag,
        where it tells how long a velocity lasts.
        """
        wanted = np.repeat(self._sums.merging(2.0)[:, :1], len(LAGS), axis=1)
        length = self._sums.block_length
        while True:
            short = (wanted > 0) & (wanted * length < 2 * LAGS)
            if not short.any():
                break
            wanted[short] *= 2
        wanted[wanted * length * MIN_BLOCKS > self._sums.n_samples] = 0
        return wanted

    def _begin(self, n_species: int) -> None:
        self._species = SpeciesOrder.from_content(self._atoms) if n_species else None
        self._sums = BlockSums((n_species, len(LAGS)))
        self._levels: list[_Level] = []
        # Displacements, and where the atoms and the cell were last.
        self._path = self._positions = self._cell = np.zeros((0, 3))

    def _sample(self, moment: Moment) -> None:
        if self._species is None:
            self._atoms = {
                "atomic_numbers": moment.atomic_numbers.copy(),
                "masses": moment.masses.copy(),
            }
            self._begin(len(np.unique(moment.atomic_numbers)))
            self._path = np.zeros(moment.positions.shape)
        assert self._species is not None
        positions = moment.positions[self._species.order]
        if len(self._positions):
            step = _relative_to_cell(
                self._positions, self._cell, positions, moment.cell
            )
            if self.remove_drift:
                step = self._species.without_drift(step)
            self._path = self._path + step
        self._positions, self._cell = positions, moment.cell.copy()
        if not self.beat.is_next:
            # Behind a gap, nothing lies at an equal distance in time.
            self._levels = [_Level.empty(len(positions))]
        self._compare(self._species)
        self._sums.advance()

    def _compare(self, species: SpeciesOrder) -> None:
        """Enter the displacements since earlier samples; then keep this one."""
        levels = self._levels
        for number, level in enumerate(levels):
            is_highest = number + 1 == len(levels) < _MAX_LEVELS
            if is_highest and level.is_full_for_the_first_time:
                # Iterated over in turn.
                levels.append(level.every_second())
            shortest = 1 if number == 0 else _HALF
            lags = np.arange(shortest, min(level.n_pushed, _KEPT - 1) + 1)
            if len(lags):
                moved = level.ring[(level.n_pushed - lags) % _KEPT] - self._path
                squares = (moved * moved).reshape(len(lags), -1)
                sums = np.add.reduceat(squares, 3 * species.starts, axis=1)
                columns = slice(
                    shortest - 1 + number * _HALF, int(lags[-1]) + number * _HALF
                )
                self._sums.add((sums / species.numbers).T, columns)
            level.push(self._path)
            if level.n_pushed % 2 == 0:
                return

    def _parameters(self) -> dict[str, Any]:
        return {"remove_drift": self.remove_drift}

    def _content(self) -> dict[str, Any]:
        if self._species is None:
            return {"atoms": None}
        return {
            "atoms": self._atoms,
            "path": self._path.copy(),
            "positions": self._positions.copy(),
            "cell": self._cell.copy(),
            "n_pushed": [level.n_pushed for level in self._levels],
            "rings": np.array([level.ring for level in self._levels]),
            "sums": self._sums.content(),
        }

    def _restore(self, content: dict[str, Any]) -> None:
        if content["atoms"] is None:
            return
        self._atoms = content["atoms"]
        self._begin(len(np.unique(self._atoms["atomic_numbers"])))
        self._path = np.array(content["path"])
        self._positions = np.array(content["positions"])
        self._cell = np.array(content["cell"])
        self._levels = [
            _Level(ring=np.array(ring), n_pushed=int(n))
            for ring, n in zip(content["rings"], content["n_pushed"], strict=True)
        ]
        self._sums.restore(content["sums"])


@dataclass(slots=True, kw_only=True)
class _Level:
    """The last samples of those that reach a level.

    Attributes:
        ring: (16, n_atoms, 3) sample k at place k mod 16.
        n_pushed: how many samples there were.
    """

    ring: Float[np.ndarray, "kept n_atoms 3"]
    n_pushed: int

    @classmethod
    def empty(cls, n_atoms: int) -> _Level:
        return cls(ring=np.zeros((_KEPT, n_atoms, 3)), n_pushed=0)

    @property
    def is_full_for_the_first_time(self) -> bool:
        return self.n_pushed == _KEPT

    def every_second(self) -> _Level:
        """The level above, as it were had it been there from the start."""
        above = _Level.empty(self.ring.shape[1])
        above.ring[:_HALF] = self.ring[::2]
        above.n_pushed = _HALF
        return above

    def push(self, path: np.ndarray) -> None:
        self.ring[self.n_pushed % _KEPT] = path
        self.n_pushed += 1


def _relative_to_cell(
    before: np.ndarray, old_cell: np.ndarray, after: np.ndarray, cell: np.ndarray
) -> Float[np.ndarray, "n_atoms 3"]:
    """(n_atoms, 3) Å, how far atoms moved beyond what the cell did."""
    if np.array_equal(old_cell, cell):
        return after - before
    old, new = complete_cell(old_cell), complete_cell(cell)
    moved = after @ np.linalg.inv(new) - before @ np.linalg.inv(old)
    return moved @ (0.5 * (old + new))
