"""The velocity autocorrelation function, and the vibrational density of states.

    c(τ) = < Σ p_i(t) · p_i(t + τ) / m_i >,    C(τ) = c(τ) / c(0)

over the atoms i of a species (for atoms of one mass: of their velocities), and over all
atoms. The density of vibrational states is its cosine transform,

    g(ν) = 4 ∫_0^∞ C(τ) cos(2πντ) dτ,    ∫_0^∞ g(ν) dν = 1

(times 3 N: number of states), taken up to the longest lag with a Hann window, which
broadens a sharp line to a width at half its height of 1/(longest lag). J. M. Dickey
and A. Paskin, Phys. Rev. 188, 1407 (1969).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gnndesign.errors import ParameterError
from gnndesign.simulation.observables.base import Observable
from gnndesign.simulation.observables.block_sums import BlockSums
from gnndesign.simulation.observables.moment import Moment
from gnndesign.simulation.observables.species import SpeciesOrder

_MAX_LAGS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityAutocorrelation:
    """Velocity autocorrelation of a structure's species.

    Attributes:
        species: (n_rows,) "all", weighted by mass, and then chemical symbols.
        lag_fs: (n_lags,) from 0.
        correlation: (n_rows, n_lags) normalized to 1 at lag 0.
        correlation_error: (n_rows, n_lags) standard error; NaN where the run is too
            short to tell.
        frequency_THz: (n_frequencies,) THz, from 0 to half the sampling frequency;
            what vibrates faster is folded back.
        density_of_states: (n_rows, n_frequencies) 1/THz, of integral 1.
        density_of_states_error: (n_rows, n_frequencies) standard error; NaN as above.
        n_samples: number of moments taken.
        message: what is missing and why; else empty.
    """

    species: tuple[str, ...]
    lag_fs: Float[np.ndarray, " n_lags"]
    correlation: Float[np.ndarray, "n_rows n_lags"]
    correlation_error: Float[np.ndarray, "n_rows n_lags"]
    frequency_THz: Float[np.ndarray, " n_frequencies"]
    density_of_states: Float[np.ndarray, "n_rows n_frequencies"]
    density_of_states_error: Float[np.ndarray, "n_rows n_frequencies"]
    n_samples: int
    message: str


class VelocityAutocorrelationAccumulator(Observable):
    """Keeps the last velocities and multiplies them with the present ones.

    They are kept in float32: 12 bytes an atom and lag, and the function is right to some
    parts in a million.
    """

    def __init__(
        self,
        system: int,
        *,
        max_lag_fs: float = 1000.0,
        origin_every_fs: float = 5.0,
        remove_drift: bool = True,
        **beat: Any,
    ) -> None:
        """Begin with nothing.

        Args:
            system: id of the structure.
            max_lag_fs: longest lag, fs; 4,000 samples at most.
            origin_every_fs: time between moments that are multiplied with the earlier
                ones. All lags are there all the same; moments closer to each other
                say nearly the same.
            remove_drift: take velocities relative to the centre of mass, unless an
                atom is held fast.
            beat: see `Observable`.

        Raises:
            ParameterError: a parameter is out of range.
        """
        super().__init__(system, **beat)
        if not max_lag_fs > 0 or not origin_every_fs >= 0:
            raise ParameterError(
                "Wanted max_lag_fs > 0 and origin_every_fs >= 0, got "
                f"{max_lag_fs} and {origin_every_fs}."
            )
        self.max_lag_fs = float(max_lag_fs)
        self.origin_every_fs = float(origin_every_fs)
        self.remove_drift = remove_drift
        self._species: SpeciesOrder | None = None
        self._atoms: dict[str, np.ndarray] = {}
        # (n_lags, 3 n_atoms); one row until the second sample tells how many to keep.
        self._ring = np.zeros((0, 0), dtype=np.float32)
        self._n_pushed = 0
        self._sums = BlockSums((0, 1), as_ratios=True)

    def result(self) -> VelocityAutocorrelation:
        """The correlation so far."""
        there = self._sums.blocks().counts.sum(0) > 0
        interval = self.beat.interval_fs
        blocks = self._sums.blocks()
        merging = self._sums.merging()[:, there]

        def correlation(mean: np.ndarray) -> np.ndarray:
            return mean[:, there] / mean[:, :1]

        def density(mean: np.ndarray) -> np.ndarray:
            return _density(correlation(mean), interval)

        found = density(blocks.mean)
        # A spectrum knows as much as the lag that is known least.
        whole = merging.max(initial=0) if merging.all() else 0
        of_density = np.full(found.shape, whole)
        lag_fs = np.arange(len(there)) * interval
        return VelocityAutocorrelation(
            species=("all", *self._species.symbols) if self._species else (),
            lag_fs=lag_fs[there],
            correlation=correlation(blocks.mean),
            correlation_error=self._sums.standard_error(merging, correlation),
            frequency_THz=_frequencies(int(there.sum()), interval),
            density_of_states=found,
            density_of_states_error=self._sums.standard_error(of_density, density),
            n_samples=self.beat.n_samples,
            message=self._message(merging, there),
        )

    def _message(self, merging: np.ndarray, there: np.ndarray) -> str:
        if not there.all() or self.beat.n_samples < 2:
            return (
                f"Shorter than the longest lag of {self.max_lag_fs:g} fs. Run longer."
            )
        if not merging.all():
            return "Too short to tell every standard error. Run longer."
        return ""

    def _sample(self, moment: Moment) -> None:
        if moment.momenta is None:
            raise ParameterError(
                "Wanted velocities for their autocorrelation, got moments without any; "
                "'vacf' is for molecular dynamics."
            )
        if self._species is None:
            self._atoms = {
                "atomic_numbers": moment.atomic_numbers.copy(),
                "masses": moment.masses.copy(),
            }
            self._begin()
        assert self._species is not None
        masses = self._species.masses[:, None]
        velocities = moment.momenta[self._species.order] / masses
        if self.remove_drift:
            velocities = self._species.without_drift(velocities)
        weighted = (velocities * np.sqrt(masses)).ravel().astype(np.float32)
        if self.beat.n_samples == 1:
            self._ring = weighted[None]
            self._n_pushed = 1
            return
        if self.beat.n_samples == 2:
            self._make_room()
        if not self.beat.is_next:
            # Behind a gap, nothing lies at an equal distance in time.
            self._n_pushed = 0
        self._ring[self._n_pushed % len(self._ring)] = weighted
        self._n_pushed += 1
        stride = max(round(self.origin_every_fs / self.beat.interval_fs), 1)
        if self._n_pushed % stride == 0:
            self._multiply(self._species)

    def _begin(self) -> None:
        self._species = SpeciesOrder.from_content(self._atoms)
        self._sums = BlockSums((len(self._species.symbols) + 1, 1), as_ratios=True)

    def _make_room(self) -> None:
        """Give the ring its rows, now that the time between samples is known."""
        wanted = int(np.ceil(self.max_lag_fs / self.beat.interval_fs - 1e-9)) + 1
        ring = np.zeros((min(wanted, _MAX_LAGS), self._ring.shape[1]), np.float32)
        ring[0] = self._ring[0]
        self._ring = ring
        self._sums = BlockSums((self._sums.shape[0], len(ring)), as_ratios=True)

    def _multiply(self, species: SpeciesOrder) -> None:
        """Enter the products of the newest velocities with all that are kept."""
        n_slots = len(self._ring)
        newest = self._n_pushed - 1
        kept = self._ring[: self._n_pushed]
        present = self._ring[newest % n_slots]
        lags = np.arange(len(kept))
        per_species = [
            kept[:, 3 * atoms.start : 3 * atoms.stop]
            @ present[3 * atoms.start : 3 * atoms.stop]
            for atoms in species.ranges
        ]
        products = np.array(per_species, dtype=float)[:, (newest - lags) % n_slots]
        values = np.concatenate([products.sum(0, keepdims=True), products])
        self._sums.add(values, slice(0, len(kept)))
        self._sums.advance()

    def _parameters(self) -> dict[str, Any]:
        return {
            "max_lag_fs": self.max_lag_fs,
            "origin_every_fs": self.origin_every_fs,
            "remove_drift": self.remove_drift,
        }

    def _content(self) -> dict[str, Any]:
        return {
            "atoms": self._atoms or None,
            "ring": self._ring.copy(),
            "n_pushed": self._n_pushed,
            "sums": self._sums.content(),
        }

    def _restore(self, content: dict[str, Any]) -> None:
        if content["atoms"] is None:
            return
        self._atoms = content["atoms"]
        self._begin()
        self._ring = np.array(content["ring"])
        self._n_pushed = int(content["n_pushed"])
        self._sums = BlockSums(np.shape(content["sums"]["squares"]), as_ratios=True)
        self._sums.restore(content["sums"])


def _frequencies(n_lags: int, interval_fs: float) -> Float[np.ndarray, " n"]:
    """(n_lags,) THz, for which `_density` gives the density."""
    if n_lags < 2 or interval_fs == 0.0:
        return np.zeros(0)
    return np.arange(n_lags) / (2 * (n_lags - 1) * interval_fs * 1e-3)


def _density(correlation: np.ndarray, interval_fs: float) -> np.ndarray:
    """(n_rows, n_lags) 1/THz: cosine transform by the trapezoidal rule.

    Its trapezoidal integral is the correlation at lag 0.
    """
    n_lags = correlation.shape[-1]
    if n_lags < 2:
        return np.zeros((len(correlation), 0))
    window = 0.5 * (1.0 + np.cos(np.pi * np.arange(n_lags) / (n_lags - 1)))
    tapered = correlation * window
    even = np.concatenate([tapered, tapered[..., -2:0:-1]], axis=-1)
    return 2.0 * interval_fs * 1e-3 * np.fft.rfft(even).real
