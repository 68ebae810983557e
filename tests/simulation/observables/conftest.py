import numpy as np
import pytest
from ase.data import atomic_masses

from gnndesign.simulation.observables.moment import Moment


@pytest.fixture(scope="session")
def moment():
    """Makes moments of a structure, one femtosecond a step."""

    def make(step, positions, *, cell=None, momenta=None, numbers=None, **values):
        n_atoms = len(positions)
        numbers = np.full(n_atoms, 18) if numbers is None else np.asarray(numbers)
        volume = np.nan if cell is None else abs(np.linalg.det(cell))
        given = {
            "step": step,
            "time_fs": float(step),
            "is_last": False,
            "atomic_numbers": numbers,
            "masses": atomic_masses[numbers],
            "positions": positions,
            "momenta": momenta,
            "cell": np.zeros((3, 3)) if cell is None else np.asarray(cell, float),
            "pbc": np.full(3, cell is not None),
            "energy": 0.0,
            "kinetic_energy": 0.0,
            "temperature_K": 0.0,
            "pressure_GPa": np.nan,
            "volume": volume,
            "stress": np.zeros((3, 3)),
        }
        return Moment(**given | values)

    return make


@pytest.fixture(scope="session")
def autoregressive():
    """Makes correlated noise of variance 1: x' = ρ x + sqrt(1 - ρ²) ξ, along axis 0."""

    def make(shape, rho, seed=0):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=shape)
        values = np.empty(shape)
        values[0] = noise[0]
        for k in range(1, len(values)):
            values[k] = rho * values[k - 1] + np.sqrt(1 - rho**2) * noise[k]
        return values

    return make
