"""Energy along a path of least energy: barriers, slopes and what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.properties.base import End, Quantity, quantities_of
from gnndesign.properties.nudged_elastic_band import Band, segment_lengths

_MINIMUM_DEPTH = 0.01
"""eV, of what counts as a minimum between the ends rather than as noise."""
_SMALL_FORCE = 0.1
"""eV/Å, of an end that passes for a minimum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionPathResult:
    """The path of least energy that was found between two structures.

    Attributes:
        images: from the start to the end, both included; positions go on smoothly
            across the faces of the cell.
        energies: (n_images,) eV, relative to the start.
        path_coordinates: (n_images,) Å, length of the path up to each image, in the
            space of all coordinates.
        tangential_forces: (n_images,) eV/Å, force along the path, positive towards the
            end.
        saddle_image: place of the highest image, the saddle point if `climbed`.
        climbed: whether that image has climbed to the saddle point.
        barrier: eV, of the highest image above the start.
        reverse_barrier: eV, of the highest image above the end.
        reaction_energy: eV, of the end above the start.
        max_force: eV/Å, the longest force of the band that is left.
        n_iterations: evaluations of the band.
        notes: what to know beside the numbers.
    """

    images: tuple[ase.Atoms, ...]
    energies: Float[np.ndarray, " n_images"]
    path_coordinates: Float[np.ndarray, " n_images"]
    tangential_forces: Float[np.ndarray, " n_images"]
    saddle_image: int
    climbed: bool
    barrier: float
    reverse_barrier: float
    reaction_energy: float
    max_force: float
    n_iterations: int
    notes: tuple[str, ...] = ()

    @property
    def saddle(self) -> ase.Atoms:
        """The highest image."""
        return self.images[self.saddle_image]

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        named = {
            "barrier": "Barrier",
            "reverse_barrier": "Reverse barrier",
            "reaction_energy": "Reaction energy",
        }
        return quantities_of(self, ((name, "eV", key) for key, name in named.items()))

    def curve(self, path_coordinates: Float[np.ndarray, " n"]) -> np.ndarray:
        """(n,) eV above the start: cubic Hermite pieces through energies and forces."""
        from scipy.interpolate import CubicHermiteSpline  # slow to import

        piecewise = CubicHermiteSpline(
            self.path_coordinates, self.energies, -self.tangential_forces
        )
        return np.asarray(piecewise(path_coordinates))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaxedBand:
    """A band that has come to rest.

    Attributes:
        positions: (n_images, n_atoms, 3) Å, unwrapped.
        ends: of the evaluation of each image, the ends of the path included.
        band: its forces and tangents.
        n_iterations: evaluations of the band.
    """

    positions: Float[np.ndarray, "n_images n_atoms 3"]
    ends: Sequence[End]
    band: Band
    n_iterations: int


def energy_profile(relaxed: RelaxedBand, notes: Sequence[str]) -> ReactionPathResult:
    """Barriers of a band, and notes on what a person should look at."""
    total = np.array([end.energy for end in relaxed.ends])
    energies = total - total[0]
    highest = int(energies.argmax())
    climbed = relaxed.band.climbing is not None
    said = list(notes)
    if highest in (0, len(energies) - 1):
        said.append(
            "The energy has no maximum between the ends: no barrier lies between them, "
            "or it is narrower than the distance of two images."
        )
    elif not climbed:
        said.append(
            "The highest image has not climbed; the saddle point is higher than it."
        )
    said += _intermediate_minima(energies)
    for name, end in (("start", relaxed.ends[0]), ("end", relaxed.ends[-1])):
        if end.max_force > _SMALL_FORCE:
            said.append(
                f"The {name} of the path is no minimum: a force of "
                f"{end.max_force:.2f} eV/Å is left."
            )
    return ReactionPathResult(
        images=tuple(end.atoms for end in relaxed.ends),
        energies=energies,
        path_coordinates=np.append(0.0, segment_lengths(relaxed.positions).cumsum()),
        tangential_forces=_tangential_forces(relaxed),
        saddle_image=highest,
        climbed=climbed,
        barrier=float(energies[highest]),
        reverse_barrier=float(energies[highest] - energies[-1]),
        reaction_energy=float(energies[-1]),
        max_force=relaxed.band.max_force,
        n_iterations=relaxed.n_iterations,
        notes=tuple(said),
    )


def _intermediate_minima(energies: Float[np.ndarray, " n_images"]) -> list[str]:
    """A sentence on each image that is lower than what surrounds it on both sides."""
    said: list[str] = []
    for k in range(1, len(energies) - 1):
        lowest_here = energies[k] < min(energies[k - 1], energies[k + 1])
        depth = min(energies[:k].max(), energies[k + 1 :].max()) - energies[k]
        if lowest_here and depth > _MINIMUM_DEPTH:
            said.append(
                f"Image {k} is near an intermediate minimum, {energies[k]:.3f} eV above "
                f"the start and {depth:.3f} eV deep: the reaction has several steps, "
                "and the barrier is that of the highest image. Relax it and look for "
                "the paths to and from it."
            )
    return said


def _tangential_forces(relaxed: RelaxedBand) -> Float[np.ndarray, " n_images"]:
    steps = np.diff(relaxed.positions[[0, 1, -2, -1]], axis=0)[[0, 2]]
    first, last = steps / np.linalg.norm(steps, axis=(1, 2), keepdims=True)
    tangents = np.concatenate([first[None], relaxed.band.tangents, last[None]])
    forces = np.stack([end.forces for end in relaxed.ends])
    return np.einsum("iax,iax->i", forces, tangents)
