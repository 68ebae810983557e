"""Single phonon modes: which are imaginary, and how their atoms move."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import ase
import numpy as np
from jaxtyping import Complex, Float

from gnndesign.errors import ParameterError
from gnndesign.properties.force_constants import ForceConstants


@dataclass(frozen=True, slots=True, kw_only=True)
class PhononMode:
    """A mode of vibration of a crystal.

    Attributes:
        q_point: (3,) in reciprocal primitive vectors.
        band: from 0, in ascending order of the frequencies at this q-point.
        frequency_THz: negative for an imaginary one.
        eigenvector: (n_primitive, 3) of the dynamical matrix, normalized.
    """

    q_point: Float[np.ndarray, " 3"]
    band: int
    frequency_THz: float
    eigenvector: Complex[np.ndarray, "n_primitive 3"]

    def displacements(self, crystal: ase.Atoms, primitive: ase.Atoms) -> _Waves:
        """(n_atoms, 3) complex; the longest has length 1.

        Args:
            crystal: of whole primitive cells, as `repeated` makes it.
            primitive: the primitive cell that the mode is of.
        """
        n = len(crystal) // len(primitive)
        # ASE repeats a cell by writing its atoms one copy after the other.
        waves = np.tile(self.eigenvector, (n, 1))
        waves = waves / np.sqrt(np.tile(primitive.get_masses(), n))[:, None]
        scaled = crystal.positions @ np.linalg.inv(primitive.cell.array)
        waves = waves * np.exp(2j * np.pi * (scaled @ self.q_point))[:, None]
        return _longest_real(waves)


_Waves = Complex[np.ndarray, "n_atoms 3"]


def _longest_real(waves: _Waves) -> _Waves:
    """Scaled and turned in phase, so that at its largest it is real and of length 1."""
    # |Re(w exp(iφ))|² is largest where 2φ cancels the phase of w·w of some atom.
    squares = (waves**2).sum(axis=1)
    reach = 0.5 * ((np.abs(waves) ** 2).sum(axis=1) + np.abs(squares))
    longest = int(reach.argmax())
    turned = waves * np.exp(-0.5j * np.angle(squares[longest]))
    return turned / np.sqrt(reach[longest])


def repeats_of(
    q_point: Float[np.ndarray, " 3"], max_repeats: int = 12
) -> tuple[int, int, int]:
    """Primitive cells along each axis after which a mode repeats itself.

    Args:
        q_point: (3,) in reciprocal primitive vectors.
        max_repeats: along each axis; a q-point that would need more is taken to be the
            nearest one that does not.
    """
    if max_repeats < 1:
        raise ParameterError(f"Wanted max_repeats >= 1, got {max_repeats}.")
    a, b, c = (
        Fraction(float(q)).limit_denominator(max_repeats).denominator for q in q_point
    )
    return a, b, c


def nearest_commensurate(
    q_point: Float[np.ndarray, " 3"], repeats: tuple[int, int, int]
) -> Float[np.ndarray, " 3"]:
    """(3,) the q-point near by whose modes repeat after so many cells."""
    counts = np.array(repeats)
    return np.round(np.asarray(q_point, dtype=float) * counts) / counts


def mode_at(
    constants: ForceConstants, q_point: Float[np.ndarray, " 3"], band: int
) -> PhononMode:
    """One mode.

    Raises:
        ParameterError: no such band.
    """
    frequencies, vectors = constants.modes(np.asarray(q_point, dtype=float)[None])
    if not 0 <= band < frequencies.shape[1]:
        raise ParameterError(
            f"Wanted a band in 0 to {frequencies.shape[1] - 1}, got {band}."
        )
    return PhononMode(
        q_point=np.asarray(q_point, dtype=float),
        band=band,
        frequency_THz=float(frequencies[0, band]),
        eigenvector=vectors[0, band],
    )


def frames(
    mode: PhononMode, primitive: ase.Atoms, *, amplitude: float, n_frames: int
) -> list[ase.Atoms]:
    """One period of a mode, in the smallest supercell that it fits into.

    Args:
        mode: at a commensurate q-point.
        primitive: the primitive cell that it is of.
        amplitude: Å, of the atom that moves farthest.
        n_frames: of the period; the last is followed by the first again.

    Returns:
        Structures that differ in their positions alone.
    """
    if n_frames < 1:
        raise ParameterError(f"Wanted n_frames >= 1, got {n_frames}.")
    crystal = primitive.repeat(repeats_of(mode.q_point))
    waves = amplitude * mode.displacements(crystal, primitive)
    moved: list[ase.Atoms] = []
    for phase in np.arange(n_frames) / n_frames:
        frame = crystal.copy()
        frame.positions += (waves * np.exp(-2j * np.pi * phase)).real
        moved.append(frame)
    return moved


def imaginary_modes(
    constants: ForceConstants, threshold_THz: float
) -> list[PhononMode]:
    """Imaginary modes at the q-points that fit into the supercell, the worst first.

    There the force constants are exact; elsewhere they are interpolated.

    Args:
        constants: of the crystal.
        threshold_THz: positive; a mode below minus this is imaginary.
    """
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    phonon = constants.phonopy(with_symmetry=False)
    matrix = np.linalg.inv(phonon.primitive_matrix) @ phonon.supercell_matrix
    q_points = get_commensurate_points(np.round(matrix).astype(np.int64))
    frequencies, vectors = constants.modes(q_points)
    found = [
        PhononMode(
            q_point=q_points[q],
            band=int(band),
            frequency_THz=float(frequencies[q, band]),
            eigenvector=vectors[q, band],
        )
        for q, band in np.argwhere(frequencies < -threshold_THz)
    ]
    return sorted(found, key=lambda mode: mode.frequency_THz)
