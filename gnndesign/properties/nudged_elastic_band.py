"""Forces on the images of an elastic band, and how the band follows them.

G. Henkelman and H. Jónsson, J. Chem. Phys. 113, 9978 (2000), improved tangents τ:

    F_i = F(R_i) - (F(R_i) · τ_i) τ_i + k (|R_i+1 - R_i| - |R_i - R_i-1|) τ_i

and G. Henkelman, B. P. Uberuaga and H. Jónsson, J. Chem. Phys. 113, 9901 (2000), for the
climbing image, which feels no spring and goes uphill along the path:

    F_c = F(R_c) - 2 (F(R_c) · τ_c) τ_c

All images are one system, whose forces F are no gradient of anything, so a method that
trusts energies, or symmetric second derivatives, would not do. It is brought to rest by
Anderson's mixing (D. G. Anderson, J. ACM 12, 547 (1965); as in H. F. Walker and P. Ni,
SIAM J. Numer. Anal. 49, 1715 (2011)), with S and Y the last moves and the falls of the
forces along them, c the flexibility that the last of them shows:

    γ = argmin |F - Y γ|,    ΔR = S γ + c (F - Y γ)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_REMEMBERED = 8
"""Moves."""
_REGULAR = 1e-8
_FIRST_FLEXIBILITY = 0.02
"""Å²/eV, of which a stiff bond has less and most else has more."""
_FIRST_RADIUS, _SMALLEST_RADIUS, _LARGEST_RADIUS = 0.1, 0.01, 0.2
"""Å, of the longest move of an atom."""
_GROW, _SHRINK, _GROWN = 1.3, 0.5, 1.3


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
    climb: bool = True,
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


class BandSearch:
    """Looks for the place where the forces on a band vanish; see the module.

    Steps are shortened to a radius, which shrinks where the forces grew. Moves along
    which no force became smaller say nothing of where it vanishes, and are not learnt.
    """

    def __init__(self) -> None:
        self._radius = _FIRST_RADIUS
        self._moves: list[np.ndarray] = []
        self._falls: list[np.ndarray] = []
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def move(
        self, forces: Float[np.ndarray, "n_inner n_atoms 3"]
    ) -> Float[np.ndarray, "n_inner n_atoms 3"]:
        """Å, where to go from where these forces are."""
        here = forces.ravel()
        if self._before is not None:
            self._learn(here, *self._before)
        step = self._step(here)
        if step @ here <= 0.0:
            self._moves.clear()
            self._falls.clear()
            step = self._step(here)
        move = step.reshape(forces.shape)
        longest = float(np.linalg.norm(move, axis=-1).max())
        move = move * min(1.0, self._radius / max(longest, 1e-30))
        self._before = move.ravel(), here
        return move

    def _learn(self, here: np.ndarray, move: np.ndarray, before: np.ndarray) -> None:
        grew = np.linalg.norm(here) > _GROWN * np.linalg.norm(before)
        radius = self._radius * (_SHRINK if grew else _GROW)
        self._radius = float(np.clip(radius, _SMALLEST_RADIUS, _LARGEST_RADIUS))
        fall = before - here
        lengths = np.linalg.norm(move) * np.linalg.norm(fall)
        if move @ fall > 1e-8 * lengths:
            self._moves = [*self._moves, move][-_REMEMBERED:]
            self._falls = [*self._falls, fall][-_REMEMBERED:]

    def _step(self, here: np.ndarray) -> np.ndarray:
        if not self._moves:
            return _FIRST_FLEXIBILITY * here
        moves, falls = np.stack(self._moves, 1), np.stack(self._falls, 1)
        last_move, last_fall = moves[:, -1], falls[:, -1]
        flexibility = (last_move @ last_fall) / (last_fall @ last_fall)
        gram = falls.T @ falls
        # Moves that say the same as others must not be told apart by rounding.
        gram += _REGULAR * np.trace(gram) / len(gram) * np.eye(len(gram))
        share = np.linalg.solve(gram, falls.T @ here)
        return flexibility * (here - falls @ share) + moves @ share


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n_inner,) of the vectors of all coordinates of an image."""
    return np.einsum("iax,iax->i", one, other)
