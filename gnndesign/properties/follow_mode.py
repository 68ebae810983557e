"""From an unstable crystal down its imaginary modes to a stable one.

Where a mode is imaginary the energy falls along it to either side. The crystal is moved
along the worst mode, and along mixtures of all that are nearly as bad, and relaxed
without its symmetry; what ends lowest is asked for its own imaginary modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, Steps
from gnndesign.properties.bounds import Seed, Symprec, check_bounds
from gnndesign.properties.follow_mode_result import FollowedRound, FollowModeResult
from gnndesign.properties.phonon_modes import (
    PhononMode,
    imaginary_modes,
    repeats_of,
)
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.properties.phonons import Phonons, refuse_what_is_no_crystal
from gnndesign.properties.work import Relaxing
from gnndesign.simulation.base import Status
from gnndesign.structures.symmetry import SpaceGroup, primitive_cell, space_group

_NEARLY_AS_BAD = 0.5
"""Imaginary modes of at least this times the worst frequency are mixed."""

_ALIKE_MEV = 0.1
"""An atom; what differs by less is one and the same minimum."""


def _even_phonons() -> Phonons:
    return Phonons(min_length=7.0, even_supercell=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowMode(Property[FollowModeResult]):
    """Follow the imaginary modes of a crystal until none is left.

    Attributes:
        phonons: how they are found; an even supercell holds the modes of the zone's
            center and of its boundary.
        amplitudes: Å, of the atom that moves farthest along the worst mode, to either
            side.
        n_mixtures: random mixtures of the worst modes to start from too; they find
            what several modes together lead to.
        seed: of the mixtures.
        relaxing: how what was displaced is relaxed.
        max_rounds: most times that modes are followed.
        symprec: Å, within which the symmetry of what was found is looked for.
    """

    kind: ClassVar[str] = "follow_mode"
    title: ClassVar[str] = "Follow imaginary modes"

    phonons: Phonons = field(default_factory=_even_phonons)
    amplitudes: Sequence[Annotated[float, Interval(gt=0, le=1)]] = (0.1, 0.3)
    n_mixtures: Annotated[int, Interval(ge=0, le=1000)] = 4
    seed: Seed = 0
    relaxing: Relaxing = field(default_factory=lambda: Relaxing(max_force=5e-3))
    max_rounds: Annotated[int, Interval(ge=1, le=100)] = 3
    symprec: Symprec = 0.02

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.amplitudes:
            raise ParameterError("Wanted one or more amplitudes, got none.")
        if self.relaxing.fix_symmetry:
            raise ParameterError(
                "Wanted relaxing without fix_symmetry: a stable structure has less "
                "symmetry than the unstable one."
            )

    @classmethod
    def shown_by(cls, phonons: Phonons) -> FollowMode:
        """Follow what these phonons showed.

        Args:
            phonons: whose parameters are kept. A chosen supercell becomes an even one of
                the default length, since one of an odd number of repeats lacks the modes
                of the zone's boundary.
        """
        if phonons.supercell is None and not phonons.even_supercell:
            even = _even_phonons()
            phonons = replace(phonons, even_supercell=True, min_length=even.min_length)
        return cls(phonons=phonons)

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has phonons."""
        refuse_what_is_no_crystal(atoms)

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[FollowModeResult]:
        """Phonons, down the modes, phonons again, until nothing is imaginary."""
        start = end = yield from self.phonons.steps(atoms, potential)
        rounds: list[FollowedRound] = []
        fell = True
        while end.worst_mode is not None and fell and len(rounds) < self.max_rounds:
            followed, lowest = yield from self._follow(end, len(rounds))
            rounds.append(followed)
            fell = bool(np.nanmin(followed.energies_meV_per_atom) < -_ALIKE_MEV)
            if fell:
                reduced = primitive_cell(lowest, self.symprec)
                end = yield from self.phonons.steps(reduced, potential)
        gain = 1e3 * (_energy(start) - _energy(end))
        before, after = (space_group(x.atoms, self.symprec) for x in (start, end))
        led = (_led(before, after, gain),) if rounds else ()
        return FollowModeResult(
            start=start,
            end=end,
            start_space_group=before,
            space_group=after,
            energy_gain_meV_per_atom=gain,
            rounds=tuple(rounds),
            notes=(*led, *_notes(end, rounds, fell=fell)),
        )

    def _follow(
        self, unstable: PhononResult, number: int
    ) -> Steps[tuple[FollowedRound, ase.Atoms]]:
        """Displace, relax, and take the lowest."""
        modes = imaginary_modes(
            unstable.force_constants, self.phonons.imaginary_threshold_THz
        )
        worst = modes[0]
        starts = self._starts(unstable.primitive, modes, number)
        ends = yield self.relaxing.work(starts)
        energies = 1e3 * (
            np.array([_energy_per_atom(end) for end in ends]) - _energy(unstable)
        )
        if np.isnan(energies).all():
            raise ConvergenceError(
                f"None of {len(ends)} relaxations down the mode at "
                f"{worst.frequency_THz:.2f} THz converged; allow more steps or a larger "
                f"force in relaxing. The first: {ends[0].status.name.lower()} at "
                f"{ends[0].max_force:.3g} eV/Å. {ends[0].message}"
            )
        groups = tuple(
            None if np.isnan(energy) else space_group(end.atoms, self.symprec)
            for energy, end in zip(energies, ends, strict=True)
        )
        followed = FollowedRound(
            space_group=space_group(unstable.atoms, self.symprec),
            q_point=worst.q_point,
            frequency_THz=worst.frequency_THz,
            n_imaginary=len(modes),
            energies_meV_per_atom=energies,
            space_groups=groups,
        )
        # Of several that are as low the most symmetric is relaxed best.
        low = np.flatnonzero(energies <= np.nanmin(energies) + _ALIKE_MEV)
        best = max(low.tolist(), key=lambda place: _order(groups[place]))
        return followed, ends[best].atoms

    def _starts(
        self, primitive: ase.Atoms, modes: Sequence[PhononMode], number: int
    ) -> list[ase.Atoms]:
        """Displaced along the worst mode to both sides, and along random mixtures."""
        bad = [
            mode
            for mode in modes
            if mode.frequency_THz <= _NEARLY_AS_BAD * modes[0].frequency_THz
        ]
        repeats = np.lcm.reduce(np.array([repeats_of(mode.q_point) for mode in bad]))
        both = primitive.repeat(repeats)
        alone = primitive.repeat(repeats_of(modes[0].q_point))
        wave = np.real(modes[0].displacements(alone, primitive))
        starts = [
            _moved(alone, sign * amplitude * wave)
            for amplitude in self.amplitudes
            for sign in (1, -1)
        ]
        waves = np.array([mode.displacements(both, primitive) for mode in bad])
        random = np.random.default_rng((self.seed, number))
        for _ in range(self.n_mixtures):
            weights = random.normal(size=(len(bad), 2)) @ np.array([1, 1j])
            mixed = np.real(np.tensordot(weights, waves, 1))
            longest = np.linalg.norm(mixed, axis=1).max()
            starts.append(_moved(both, max(self.amplitudes) / longest * mixed))
        return starts


def _moved(atoms: ase.Atoms, by: Float[np.ndarray, "n_atoms 3"]) -> ase.Atoms:
    copy = atoms.copy()
    copy.positions += by
    return copy


def _order(group: SpaceGroup | None) -> int:
    """Larger for more symmetry, as space groups are numbered."""
    return 0 if group is None else group.number


def _energy_per_atom(end: End) -> float:
    if end.status is not Status.CONVERGED:
        return float("nan")
    return end.energy / len(end.atoms)


def _energy(phonons: PhononResult) -> float:
    """EV an atom."""
    return phonons.force_constants.energy_per_atom


def _led(before: SpaceGroup, after: SpaceGroup, gain_meV: float) -> str:
    """Where the modes led, in a sentence."""
    return (
        f"From {before.symbol} ({before.number}) to {after.symbol} ({after.number}), "
        f"{gain_meV:.2f} meV/atom lower in energy."
    )


def _notes(
    end: PhononResult, rounds: Sequence[FollowedRound], *, fell: bool
) -> tuple[str, ...]:
    if not rounds and end.is_stable:
        return ("The crystal is stable: there is no mode to follow.",)
    if end.is_stable:
        return ()
    said = f"The last structure still has modes at {end.min_frequency_THz:.2f} THz"
    if end.worst_mode is None:
        return (f"{said}, none of which fits into the supercell; take a larger one.",)
    if not fell:
        return (f"{said}, but following them did not lower the energy.",)
    return (f"{said} after {len(rounds)} rounds; allow more.",)
