"""The quasi-harmonic crystal in classical mechanics, from energies and forces alone."""

from dataclasses import dataclass

import numpy as np

from gnndesign.batch import AtomicBatch
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA

STEP = 0.01
"""Å by which atoms are displaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuasiHarmonic:
    """Polynomials in the strain of a cell that keeps its shape.

    `statics` gives the energy in eV and `entropy` half the sum of the logarithms of the
    3 N - 3 eigenvalues of the force constants, both of the cell of `edge` x (1 + s).
    """

    volume: float
    statics: np.polynomial.Polynomial
    entropy: np.polynomial.Polynomial
    domain: tuple[float, float]

    @classmethod
    def of(cls, crystal, potential, low, high, n=9):
        """Computed at n strains from low to high."""
        strains = np.linspace(low, high, n)
        found = [_harmonic(crystal, potential, strain) for strain in strains]
        fits = [
            np.polynomial.Polynomial.fit(strains, column, 6)
            for column in np.transpose(found)
        ]
        return cls(
            volume=crystal.cell.volume,
            statics=fits[0],
            entropy=fits[1],
            domain=(low, high),
        )

    def mean_volume(self, temperature_K, pressure_GPa):
        """Å³, over the distribution dV exp(-(F + P V) / k_B T) of one such cell."""
        strain = np.linspace(*self.domain, 20_001)
        volume = self.volume * (1.0 + strain) ** 3
        heat = BOLTZMANN_EV_PER_K * temperature_K
        enthalpy = self.statics(strain) + pressure_GPa / EV_PER_A3_TO_GPA * volume
        exponent = -enthalpy / heat - self.entropy(strain)
        weight = np.exp(exponent - exponent.max()) * np.gradient(volume)
        assert max(weight[0], weight[-1]) < 1e-6 * weight.max(), "domain too small"
        return float(volume @ weight / weight.sum())

    def static_volume(self, pressure_GPa):
        """Å³, where the enthalpy is least."""
        strain = np.linspace(*self.domain, 200_001)
        volume = self.volume * (1.0 + strain) ** 3
        enthalpy = self.statics(strain) + pressure_GPa / EV_PER_A3_TO_GPA * volume
        return float(volume[enthalpy.argmin()])


def _harmonic(crystal, potential, strain):
    """Energy, and half the logarithm of the determinant of the force constants."""
    atoms = crystal.copy()
    atoms.set_cell(crystal.cell.array * (1.0 + strain), scale_atoms=True)
    n = len(atoms)
    displaced = [atoms]
    for atom in range(n):
        for axis in range(3):
            for sign in (1, -1):
                copy = atoms.copy()
                copy.positions[atom, axis] += sign * STEP
                displaced.append(copy)
    found = potential.compute(displaced)
    batch = AtomicBatch.from_atoms(displaced)
    assert batch.n_systems == 6 * n + 1
    forces = found.forces.numpy().reshape(6 * n + 1, 3 * n)[1:]
    constants = -(forces[::2] - forces[1::2]) / (2 * STEP)
    values = np.linalg.eigvalsh(0.5 * (constants + constants.T))
    # Three motions of the whole cost nothing.
    assert np.abs(values[:3]).max() < 1e-3 * values[3]
    return float(found.energy[0]), 0.5 * np.log(values[3:]).sum()
