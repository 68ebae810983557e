"""From a state on the device to a `Snapshot` on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.simulation.base import Snapshot, Stepper
from gnndesign.simulation.momenta import temperature
from gnndesign.units import EV_PER_A3_TO_GPA


def snapshot(
    stepper: Stepper[Any],
    state: Any,
    status: Tensor,
    messages: tuple[str, ...] | None = None,
) -> Snapshot:
    """All that may be said of a state.

    Args:
        stepper: knows the time.
        state: of the systems.
        status: (n_systems,) values of `Status`.
        messages: of guards, one a system.
    """
    system, batch = state.system, state.system.batch
    volume = torch.where(batch.pbc.all(1), batch.volume, torch.nan)
    stress = system.prediction.stress
    pressure = -stress.diagonal(dim1=-2, dim2=-1).mean(-1)
    kinetic = state.kinetic_energy
    heat = torch.full_like(volume, torch.nan)
    if kinetic is None:
        kinetic = heat
    else:
        heat = temperature(kinetic, state.degrees_of_freedom)
        pressure = pressure + 2.0 * kinetic / (3.0 * volume)
    pressure = torch.where(volume.isnan(), torch.nan, pressure * EV_PER_A3_TO_GPA)

    def host(tensor: Tensor) -> np.ndarray:
        # A copy, so that nobody can change the state through a snapshot.
        return tensor.detach().cpu().numpy().copy()

    return Snapshot(
        step=host(state.step),
        time_fs=host(stepper.time_fs(state)),
        ids=host(system.ids),
        n_atoms=host(batch.atoms_per_system),
        atomic_numbers=host(batch.atomic_numbers),
        positions=host(batch.positions),
        momenta=None if state.momenta is None else host(state.momenta),
        forces=host(system.prediction.forces),
        cell=host(batch.cell),
        pbc=host(batch.pbc),
        energy=host(system.prediction.energy),
        kinetic_energy=host(kinetic),
        max_force=host(system.max_force),
        stress=host(stress),
        temperature_K=host(heat),
        pressure_GPa=host(pressure),
        volume=host(volume),
        status=host(status),
        messages=messages or ("",) * batch.n_systems,
        masses=host(state.data.masses),
    )
