"""Momenta: drawing them, taking out drift, and their temperature.

Random numbers are a pure function of (seed, system, step): a counter-based generator
(Philox, J. Salmon et al., SC11) keyed by seed and system and started at the step. A
run therefore gives the same numbers alone, in a batch, and after a restart.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.simulation.base import AtomData
from gnndesign.units import BOLTZMANN_EV_PER_K

START_STREAM = 0
THERMOSTAT_STREAM = 1
BAROSTAT_STREAM = 2


def normal_numbers(
    batch: AtomicBatch,
    ids: Int[Tensor, " n_systems"],
    *,
    seed: int,
    step: Int[Tensor, " n_systems"],
    stream: int,
) -> Float[Tensor, "n_atoms 3"]:
    """(n_atoms, 3) independent standard normal numbers."""
    counts = batch.atoms_per_system.tolist()
    drawn = [
        generator(seed, system, stream, at).standard_normal((n_atoms, 3))
        for system, n_atoms, at in zip(ids.tolist(), counts, step.tolist(), strict=True)
    ]
    return torch.as_tensor(
        np.concatenate(drawn), dtype=batch.positions.dtype, device=batch.device
    )


def generator(seed: int, system: int, stream: int, step: int) -> np.random.Generator:
    """The random numbers of one purpose, for one system at one step.

    The generator is this thread's only one: draw before asking for another.
    """
    own = _OWN.numbers
    own.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {
            "counter": np.array([0, 0, stream, step], np.uint64),
            "key": np.array([seed, system], np.uint64),
        },
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return own


class _OwnGenerator(threading.local):
    """Made once a thread: to make one takes longer than to draw from it."""

    def __init__(self) -> None:
        self.numbers = np.random.Generator(np.random.Philox(key=0))


_OWN = _OwnGenerator()


def kinetic_energy(
    batch: AtomicBatch, momenta: Tensor, masses: Tensor
) -> Float[Tensor, " n_systems"]:
    """(n_systems,) eV: Σ p² / 2m."""
    return batch.sum_over_atoms((momenta * momenta).sum(-1) / (2.0 * masses))


def temperature(kinetic: Tensor, degrees_of_freedom: Tensor) -> Tensor:
    """(n_systems,) K: 2 K / (n k_B); 0 where nothing is free to move."""
    n = degrees_of_freedom.clamp(min=1)
    return 2.0 * kinetic / (n * BOLTZMANN_EV_PER_K)


def center_shares(
    batch: AtomicBatch, data: AtomData, *, at_rest: bool
) -> Float[Tensor, "n_atoms 1"]:
    """(n_atoms, 1) what part of the motion of all an atom gives back.

    That is its part of the mass where the center of mass must rest: by constraint, or
    where `at_rest` and no atom is fixed. Elsewhere, and for fixed atoms, it is 0.
    """
    unheld = data.constraints.fixed_atoms(batch) == 0
    rests = data.constraints.center_fixed | (unheld & at_rest)
    free = data.masses.masked_fill(data.constraints.fixed, 0.0)
    total = batch.sum_over_atoms(free).clamp(min=1e-30)
    return (free / total[batch.system_index])[:, None] * rests[batch.system_index, None]


def remove_drift(
    batch: AtomicBatch, momenta: Tensor, shares: Float[Tensor, "n_atoms 1"]
) -> Float[Tensor, "n_atoms 3"]:
    """Momenta without motion of the center of mass; `center_shares` says where."""
    if not bool(shares.any()):
        return momenta
    total = batch.sum_over_atoms(momenta)
    if batch.n_systems > 1:
        total = total[batch.system_index]
    return momenta - shares * total


def remove_rotation(
    batch: AtomicBatch, momenta: Tensor, data: AtomData
) -> Float[Tensor, "n_atoms 3"]:
    """Momenta without angular momentum, in systems that may rotate.

    p_i <- p_i - m_i ω x (r_i - R), ω = I⁻¹ L; where the inertia I has no inverse
    (atoms on a line) its pseudo-inverse leaves that axis alone.
    """
    free = may_rotate(batch, data)
    if not bool(free.any()):
        return momenta
    index, masses = batch.system_index, data.masses[:, None]
    total = batch.sum_over_atoms(data.masses)[:, None]
    center = batch.sum_over_atoms(masses * batch.positions) / total
    arms = batch.positions - center[index]
    angular = batch.sum_over_atoms(torch.linalg.cross(arms, momenta))
    omega = torch.einsum(
        "nij,nj->ni",
        torch.linalg.pinv(_inertia(batch, arms, data.masses), rtol=1e-6),
        angular,
    ).masked_fill(~free[:, None], 0.0)
    return momenta - masses * torch.linalg.cross(omega[index], arms)


def may_rotate(batch: AtomicBatch, data: AtomData) -> Bool[Tensor, " n_systems"]:
    """(n_systems,) structures that repeat nowhere and have no fixed atom."""
    return ~batch.pbc.any(1) & (data.constraints.fixed_atoms(batch) == 0)


def degrees_of_freedom(
    batch: AtomicBatch, data: AtomData, *, at_rest: bool
) -> Int[Tensor, " n_systems"]:
    """(n_systems,) 3 a free atom; less what must rest.

    That is 3 for the center of mass (see `center_shares`), and where `at_rest`, for a
    structure that may rotate, 3 more, or 2 if its atoms lie on a line.
    """
    n_fixed = data.constraints.fixed_atoms(batch)
    rests = data.constraints.center_fixed | ((n_fixed == 0) & at_rest)
    n = 3 * (batch.atoms_per_system - n_fixed - rests.to(n_fixed.dtype))
    if at_rest:
        total = batch.sum_over_atoms(data.masses)[:, None]
        center = batch.sum_over_atoms(data.masses[:, None] * batch.positions) / total
        arms = batch.positions - center[batch.system_index]
        inertia = _inertia(batch, arms, data.masses)
        rank = torch.linalg.matrix_rank(inertia, rtol=1e-6)
        n = n - torch.where(may_rotate(batch, data), rank, 0)
    return n.clamp(min=0)


def initial_momenta(
    batch: AtomicBatch,
    ids: Int[Tensor, " n_systems"],
    data: AtomData,
    *,
    temperature_K: Float[Tensor, " n_systems"],
    seed: int,
    at_rest: bool,
    given_kept: bool,
) -> Float[Tensor, "n_atoms 3"]:
    """The input's momenta, or Maxwell-Boltzmann ones where it gave none.

    Drawn momenta of a run whose center of mass stays at rest are scaled to have the
    wanted temperature exactly; those of a thermostat that moves it are left as drawn,
    because their temperature is meant to fluctuate.

    Args:
        batch: geometry.
        ids: which structures these are.
        data: masses, constraints, the input's momenta.
        temperature_K: (n_systems,) of drawn momenta.
        seed: of the random numbers.
        at_rest: whether the center of mass rests, and free molecules do not rotate.
        given_kept: whether the input's momenta may nevertheless drift and rotate.
    """
    index = batch.system_index
    fixed = data.constraints.fixed[:, None]

    def rested(momenta: Tensor, *, at_rest: bool) -> Tensor:
        momenta = momenta.masked_fill(fixed, 0.0)
        shares = center_shares(batch, data, at_rest=at_rest)
        momenta = remove_drift(batch, momenta, shares)
        return remove_rotation(batch, momenta, data) if at_rest else momenta

    width = (data.masses * BOLTZMANN_EV_PER_K * temperature_K[index]).sqrt()[:, None]
    start = torch.zeros_like(ids)
    drawn = width * normal_numbers(
        batch, ids, seed=seed, step=start, stream=START_STREAM
    )
    drawn = rested(drawn, at_rest=at_rest)
    if at_rest:
        n = degrees_of_freedom(batch, data, at_rest=True)
        now = temperature(kinetic_energy(batch, drawn, data.masses), n)
        scale = torch.where(now > 0, (temperature_K / now.clamp(min=1e-30)).sqrt(), 0.0)
        drawn = drawn * scale[index, None]
    given = rested(data.momenta, at_rest=at_rest and not given_kept)
    return torch.where(data.has_momenta[index, None], given, drawn)


def _inertia(
    batch: AtomicBatch, arms: Tensor, masses: Tensor
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) amu Å²: Σ m (r² 1 - r r^T)."""
    outer = arms[:, :, None] * arms[:, None, :]
    trace = (arms * arms).sum(-1)[:, None, None]
    identity = torch.eye(3, dtype=arms.dtype, device=arms.device)
    return batch.sum_over_atoms(masses[:, None, None] * (trace * identity - outer))
