"""Momenta: drawing them, taking out drift, and their temperature.

Random numbers are a pure function of (seed, system, step): a counter-based generator
(Philox, J. Salmon et al., SC11) keyed by seed and system and started at the step. A
run therefore gives the same numbers alone, in a batch, and after a restart.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.simulation.base import AtomData
from gnndesign.units import BOLTZMANN_EV_PER_K

START_STREAM = 0
THERMOSTAT_STREAM = 1


def normal_numbers(
    batch: AtomicBatch,
    ids: Int[Tensor, " n_systems"],
    *,
    seed: int,
    step: int,
    stream: int,
) -> Float[Tensor, "n_atoms 3"]:
    """(n_atoms, 3) independent standard normal numbers."""
    drawn = [
        np.random.Generator(
            np.random.Philox(key=[seed, system], counter=[0, 0, stream, step])
        ).standard_normal((n_atoms, 3))
        for system, n_atoms in zip(
            ids.tolist(), batch.atoms_per_system.tolist(), strict=True
        )
    ]
    return torch.as_tensor(
        np.concatenate(drawn), dtype=batch.positions.dtype, device=batch.device
    )


def kinetic_energy(
    batch: AtomicBatch, momenta: Tensor, masses: Tensor
) -> Float[Tensor, " n_systems"]:
    """(n_systems,) eV: Σ p² / 2m."""
    return batch.sum_over_atoms((momenta * momenta).sum(-1) / (2.0 * masses))


def temperature(kinetic: Tensor, degrees_of_freedom: Tensor) -> Tensor:
    """(n_systems,) K: 2 K / (n k_B); 0 where nothing is free to move."""
    n = degrees_of_freedom.clamp(min=1)
    return 2.0 * kinetic / (n * BOLTZMANN_EV_PER_K)


def remove_drift(
    batch: AtomicBatch, momenta: Tensor, data: AtomData
) -> Float[Tensor, "n_atoms 3"]:
    """Momenta without motion of the centre of mass, in systems with no fixed atom."""
    velocity = (
        batch.sum_over_atoms(momenta) / batch.sum_over_atoms(data.masses)[:, None]
    )
    velocity = velocity.masked_fill(~_free(batch, data)[:, None], 0.0)
    return momenta - data.masses[:, None] * velocity[batch.system_index]


def degrees_of_freedom(
    batch: AtomicBatch, data: AtomData, *, drift_removed: bool
) -> Int[Tensor, " n_systems"]:
    """(n_systems,) 3 a free atom, less 3 where the centre of mass is at rest."""
    n = 3 * batch.sum_over_atoms((~data.fixed).to(torch.int64))
    if drift_removed:
        n = n - 3 * _free(batch, data).to(n.dtype)
    return n.clamp(min=0)


def initial_momenta(
    batch: AtomicBatch,
    data: AtomData,
    *,
    temperature_K: float,
    seed: int,
    drift_removed: bool,
) -> Float[Tensor, "n_atoms 3"]:
    """The input's momenta, or Maxwell-Boltzmann ones where it gave none.

    Drawn momenta of a run whose centre of mass stays at rest are scaled to have the
    wanted temperature exactly; those of a thermostat are left as drawn, because their
    temperature is meant to fluctuate.
    """
    ids = torch.arange(batch.n_systems, device=batch.device)
    width = (data.masses * BOLTZMANN_EV_PER_K * temperature_K).sqrt()[:, None]
    drawn = width * normal_numbers(batch, ids, seed=seed, step=0, stream=START_STREAM)
    drawn = drawn.masked_fill(data.fixed[:, None], 0.0)
    if drift_removed:
        drawn = remove_drift(batch, drawn, data)
        n = degrees_of_freedom(batch, data, drift_removed=True)
        now = temperature(kinetic_energy(batch, drawn, data.masses), n)
        scale = torch.where(now > 0, (temperature_K / now.clamp(min=1e-30)).sqrt(), 0.0)
        drawn = drawn * scale[batch.system_index, None]
    given = data.momenta.masked_fill(data.fixed[:, None], 0.0)
    return torch.where(data.has_momenta[batch.system_index, None], given, drawn)


def _free(batch: AtomicBatch, data: AtomData) -> Bool[Tensor, " n_systems"]:
    return batch.sum_over_atoms(data.fixed.to(torch.int64)) == 0
