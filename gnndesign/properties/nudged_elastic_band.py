"""Forces on the images of an elastic band, and how the band follows them.

G. Henkelman and H. Jónsson, J. Chem. Phys. 113, 9978 (2000), improved tangents τ:

    F_i = F(R_i) - (F(R_i) · τ_i) τ_i + k (|R_i+1 - R_i| - |R_i - R_i-1|) τ_i

and G. Henkelman, B. P. Uberuaga and H. Jónsson, J. Chem. Phys. 113, 9901 (2000), for the
climbing image, which feels no spring and goes uphill along the path:

    F_c = F(R_c) - 2 (F(R_c) · τ_c) τ_c

The band follows them by FIRE (E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)),
all images as one system: the forces are no gradient of anything, so a method that
trusts energies would not do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_TIMESTEP, _LONGEST_TIMESTEP = 0.1, 1.0
_GROW, _SHRINK = 1.1, 0.5
_PATIENCE = 5
_MIXING, _LESS_MIXING = 0.1, 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A band at rest or not.

    Attributes:
        forces: (n_inner, n_atoms, 3) eV/Å on the images between the ends.
        tangents: (n_inner, n_atoms, 3) of length 1, towards the end.
        climbing: place of the climbing image among these, None without one.
    """

    forces: Float[np.ndarray, "n_inner n_atoms 3"]
    tangents: Float[np.ndarray, "n_inner n_atoms 3"]
    climbing: int | None

    @property
    def max_force(self) -> float:
        """eV/Å, the longest on any atom of any image."""
        return float(np.linalg.norm(self.forces, axis=-1).max())


def nudged(
    positions: Float[np.ndarray, "n_images n_atoms 3"],
    energies: Float[np.ndarray, " n_images"],
    forces: Float[np.ndarray, "n_inner n_atoms 3"],
    *,
    spring: float,
    climb: bool,
) -> Band:
    """The forces that bring a band to the path of least energy.

    Args:
        positions: (n_images, n_atoms, 3) Å, both ends included, unwrapped.
        energies: (n_images,) eV.
        forces: (n_inner, n_atoms, 3) eV/Å of the potential, without the ends.
        spring: k, eV/Å².
        climb: whether the highest image climbs, if it is higher than both ends.
    """
    tangents = improved_tangents(positions, energies)
    lengths = segment_lengths(positions)
    along = _dot(forces, tangents)
    pull = spring * (lengths[1:] - lengths[:-1])
    band = forces + (pull - along)[:, None, None] * tangents
    highest = int(energies[1:-1].argmax())
    climbing = None
    if climb and energies[highest + 1] > max(energies[0], energies[-1]):
        climbing = highest
        band[highest] = forces[highest] - 2 * along[highest] * tangents[highest]
    return Band(forces=band, tangents=tangents, climbing=climbing)


def improved_tangents(
    positions: Float[np.ndarray, "n_images n_atoms 3"],
    energies: Float[np.ndarray, " n_images"],
) -> Float[np.ndarray, "n_inner n_atoms 3"]:
    """Unit tangents of the images between the ends.

    Towards the higher neighbor; at an extremum a mixture of both, the one towards the
    higher neighbor with the larger weight.
    """
    steps = np.diff(positions, axis=0)
    rises = np.diff(energies)
    ahead, behind = rises[1:], -rises[:-1]
    # Towards the next image where it is the higher one, else from the one before.
    larger = np.maximum(abs(ahead), abs(behind))
    smaller = np.minimum(abs(ahead), abs(behind))
    next_is_higher = ahead > behind
    monotonic = rises[1:] * rises[:-1] > 0
    forward = np.where(next_is_higher, larger, smaller)
    backward = np.where(next_is_higher, smaller, larger)
    forward = np.where(monotonic, next_is_higher, forward)
    backward = np.where(monotonic, ~next_is_higher, backward)
    flat = forward + backward == 0
    forward, backward = np.where(flat, 1.0, forward), np.where(flat, 1.0, backward)
    mixed = forward[:, None, None] * steps[1:] + backward[:, None, None] * steps[:-1]
    return mixed / np.linalg.norm(mixed, axis=(1, 2), keepdims=True)


def segment_lengths(
    positions: Float[np.ndarray, "n_images n_atoms 3"],
) -> Float[np.ndarray, " n_segments"]:
    """(n_images - 1,) Å, distances of neighbors in the space of all coordinates."""
    return np.linalg.norm(np.diff(positions, axis=0), axis=(1, 2))


class BandFIRE:
    """Moves of a band under its forces, as if it had a mass; see the module.

    Args:
        longest_move: Å, of any atom in a step.
    """

    def __init__(self, longest_move: float = 0.1) -> None:
        self._longest_move = longest_move
        self._velocities: np.ndarray | None = None
        self._timestep, self._mixing, self._downhill = _TIMESTEP, _MIXING, 0

    def move(
        self, forces: Float[np.ndarray, "n_inner n_atoms 3"]
    ) -> Float[np.ndarray, "n_inner n_atoms 3"]:
        """Å, where to go from where these forces are."""
        if self._velocities is None:
            self._velocities = np.zeros_like(forces)
        velocities = self._velocities
        if float((velocities * forces).sum()) > 0:
            speed, strength = np.linalg.norm(velocities), np.linalg.norm(forces)
            mixing = self._mixing
            velocities = (1 - mixing) * velocities + mixing * speed / strength * forces
            self._downhill += 1
            if self._downhill > _PATIENCE:
                self._timestep = min(_GROW * self._timestep, _LONGEST_TIMESTEP)
                self._mixing *= _LESS_MIXING
        else:
            velocities = np.zeros_like(forces)
            self._timestep *= _SHRINK
            self._mixing, self._downhill = _MIXING, 0
        velocities = velocities + self._timestep * forces
        self._velocities = velocities
        move = self._timestep * velocities
        longest = float(np.linalg.norm(move, axis=-1).max())
        return move * min(1.0, self._longest_move / max(longest, 1e-30))


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n_inner,) of the vectors of all coordinates of an image."""
    return np.einsum("iax,iax->i", one, other)
