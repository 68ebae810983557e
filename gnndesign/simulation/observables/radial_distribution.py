"""The radial distribution function, with coordination numbers.

    g_ab(r) = < V n_ab(r) / (N_a N_b 4/3 π (r₊³ - r₋³)) >

n_ab(r) is the number of ordered pairs of an atom of a and an atom of b (or an image of
one, itself included) whose distance lies in the bin from r₋ to r₊, V the volume of that
moment. g tends to 1 at large r, and to 1 - 1/N in an ideal gas of N atoms. M. P. Allen
and D. J. Tildesley, Computer Simulation of Liquids, 2nd ed. (2017), section 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import vesin
from ase.data import chemical_symbols
from ase.geometry import complete_cell
from jaxtyping import Float

from gnndesign.errors import ParameterError
from gnndesign.simulation.observables.base import Observable
from gnndesign.simulation.observables.block_sums import BlockSums
from gnndesign.simulation.observables.moment import Moment

ALL = "all"
"""The row of all pairs together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadialDistribution:
    """Radial distribution functions of a structure.

    Attributes:
        pairs: (n_pairs,) ("all", "all") and then every two species, such as
            ("O", "Si"), the lighter first.
        r: (n_bins,) Å, centers of the bins.
        g: (n_pairs, n_bins) NaN for a structure without a volume.
        g_error: (n_pairs, n_bins) standard error; NaN where the run is too short.
        r_outer: (n_bins,) Å, outer edges of the bins.
        coordination: (n_pairs, n_bins) number of neighbors of the second species
            closer than `r_outer` to an atom of the first.
        coordination_error: (n_pairs, n_bins) standard error; NaN as above.
        n_atoms: number of atoms of each species, and of all.
        n_samples: number of moments that were looked at.
        every: one of so many regular moments was looked at.
        message: what is missing and why; else empty.
    """

    pairs: tuple[tuple[str, str], ...]
    r: Float[np.ndarray, " n_bins"]
    g: Float[np.ndarray, "n_pairs n_bins"]
    g_error: Float[np.ndarray, "n_pairs n_bins"]
    r_outer: Float[np.ndarray, " n_bins"]
    coordination: Float[np.ndarray, "n_pairs n_bins"]
    coordination_error: Float[np.ndarray, "n_pairs n_bins"]
    n_atoms: dict[str, int]
    n_samples: int
    every: int
    message: str

    def row(self, first: str, second: str) -> int:
        """The row of a pair of species, in either order.

        Raises:
            ParameterError: there is no such pair.
        """
        for pair in ((first, second), (second, first)):
            if pair in self.pairs:
                return self.pairs.index(pair)
        raise ParameterError(
            f"Wanted one of the pairs {self.pairs}, got ({first!r}, {second!r})."
        )

    def coordination_of(self, center: str, neighbor: str) -> Float[np.ndarray, " n"]:
        """(n_bins,) number of neighbors of one species within `r_outer` of another."""
        row = self.row(center, neighbor)
        ratio = self.n_atoms[self.pairs[row][0]] / self.n_atoms[center]
        return self.coordination[row] * ratio


class RadialDistributionAccumulator(Observable):
    """Counts pairs by distance, in every `every`-th regular moment."""

    def __init__(
        self,
        system: int,
        *,
        r_max: float = 8.0,
        bin_width: float = 0.05,
        every: int = 10,
        **beat: Any,
    ) -> None:
        """Begin with nothing.

        Args:
            system: id of the structure.
            r_max: largest distance, Å; may exceed the cell, whose images count.
            bin_width: Å.
            every: only every so-many-th regular moment is looked at, because a search
                for pairs costs as much as some percent of a step.
            beat: see `Observable`.

        Raises:
            ParameterError: a parameter is out of range.
        """
        super().__init__(system, every=every, **beat)
        if not 0 < r_max <= 50 or not 1e-3 <= bin_width <= r_max:
            raise ParameterError(
                "Wanted 0 < r_max <= 50 Å and 0.001 Å <= bin_width <= r_max, got "
                f"{r_max} and {bin_width}."
            )
        self.r_max, self.bin_width = float(r_max), float(bin_width)
        self._n_bins = int(np.ceil(r_max / bin_width - 1e-9))
        self._finder = vesin.NeighborList(
            cutoff=self._n_bins * self.bin_width, full_list=False, n_threads=1
        )
        self._numbers = np.zeros(0, dtype=int)
        self._begin()

    def result(self) -> RadialDistribution:
        """The functions so far."""
        edges = np.arange(self._n_bins + 1) * self.bin_width
        mean = self._sums.blocks().mean
        error = self._sums.standard_error(self._sums.merging())
        message = ""
        if np.isnan(mean[0]).all():
            message = "Without a volume there is no density to compare with."
        elif np.isnan(error).any():
            message = (
                f"{self.beat.n_samples} samples are too few to tell every standard "
                "error. Run longer."
            )
        names = [chemical_symbols[z] for z in self._species]
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        return RadialDistribution(
            pairs=((ALL, ALL), *((names[a], names[b]) for a, b in self._pairs)),
            r=0.5 * (edges[1:] + edges[:-1]),
            g=mean[0] / shells,
            g_error=error[0] / shells,
            r_outer=edges[1:],
            coordination=mean[1],
            coordination_error=error[1],
            n_atoms={
                ALL: len(self._numbers),
                **{name: int((self._kind == k).sum()) for k, name in enumerate(names)},
            },
            n_samples=self.beat.n_samples,
            every=self.beat.every,
            message=message,
        )

    def _begin(self) -> None:
        """Prepare for the atoms."""
        self._species, self._kind = np.unique(self._numbers, return_inverse=True)
        n = len(self._species)
        self._pairs = list(combinations_with_replacement(range(n), 2))
        # The row of a pair of kinds, counted without the first row (all).
        self._row = np.zeros((n, n), dtype=np.intp)
        for row, (a, b) in enumerate(self._pairs):
            self._row[a, b] = self._row[b, a] = row
        number = np.bincount(self._kind, minlength=n).astype(float)
        kinds = np.array(self._pairs, dtype=int).reshape(-1, 2)
        first, second = number[kinds[:, 0]], number[kinds[:, 1]]
        # A pair is found once; between atoms of one kind it counts for both.
        twice = np.where(kinds[:, 0] == kinds[:, 1], 2.0, 1.0)
        total = max(len(self._numbers), 1)
        self._per_first = np.append(2.0 / total, twice / first)[:, None]
        self._per_pair = np.append(2.0 / total**2, twice / (first * second))[:, None]
        self._sums = BlockSums((2, len(self._pairs) + 1, self._n_bins))

    def _sample(self, moment: Moment) -> None:
        if len(self._numbers) == 0:
            self._numbers = moment.atomic_numbers.copy()
            self._begin()
        periodic = moment.pbc
        i, j, distance = self._finder.compute(
            points=np.ascontiguousarray(moment.positions, dtype=float),
            box=np.asarray(
                moment.cell if periodic.all() else complete_cell(moment.cell),
                dtype=float,
            ),
            periodic=periodic,
            quantities="ijd",
        )
        n_bins, n_rows = self._n_bins, len(self._pairs)
        bins = np.minimum((distance / self.bin_width).astype(np.intp), n_bins - 1)
        if n_rows > 1:
            kind = self._kind
            rows = self._row[kind[i.view(np.int64)], kind[j.view(np.int64)]]
            bins += rows * n_bins
        found = np.bincount(bins, minlength=n_rows * n_bins).reshape(n_rows, n_bins)
        counts = np.concatenate([found.sum(0, keepdims=True), found])
        values = np.stack(
            [
                moment.volume * counts * self._per_pair,
                np.cumsum(counts, 1) * self._per_first,
            ]
        )
        self._sums.add(values, slice(None))
        self._sums.advance()

    def _parameters(self) -> dict[str, Any]:
        return {"r_max": self.r_max, "bin_width": self.bin_width}

    def _content(self) -> dict[str, Any]:
        return {"numbers": self._numbers.copy(), "sums": self._sums.content()}

    def _restore(self, content: dict[str, Any]) -> None:
        self._numbers = np.array(content["numbers"], dtype=int)
        self._begin()
        self._sums.restore(content["sums"])
