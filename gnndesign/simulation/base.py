"""What every simulation speaks: `Status`, `Snapshot`, and the `Stepper` protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

import ase
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import VerletList
from gnndesign.potentials.base import Potential, Prediction


class Status(IntEnum):
    """How far a system has come, and why it ended."""

    RUNNING = 0
    CONVERGED = 1
    """A relaxation whose forces (and cell forces) are below the wanted bound."""
    FINISHED = 2
    """Molecular dynamics that has made all its steps."""
    STEP_LIMIT = 3
    """A relaxation that used up its steps before converging."""
    DIVERGED = 4
    """Stopped by a guard; its last good frame is kept."""
    STOPPED = 5
    """Stopped by the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment of a run on the host: the only thing a user interface is handed.

    Attributes:
        step: number of steps made; 0 is the start.
        time_fs: simulated time; 0 in a relaxation.
        ids: (n_systems,) which input structures these are.
        n_atoms: (n_systems,).
        atomic_numbers: (n_atoms_in_all,).
        positions: (n_atoms_in_all, 3) Å.
        momenta: (n_atoms_in_all, 3) amu Å/(Å sqrt(amu/eV)), ASE's unit; None in a
            relaxation.
        forces: (n_atoms_in_all, 3) eV/Å.
        cell: (n_systems, 3, 3) Å.
        pbc: (n_systems, 3).
        energy: (n_systems,) potential energy, eV.
        max_force: (n_systems,) length of the longest force, eV/Å.
        stress: (n_systems, 3, 3) eV/Å³ of the potential energy alone.
        temperature_K: (n_systems,) of the momenta; NaN in a relaxation.
        pressure_GPa: (n_systems,) including the kinetic part; NaN without a volume.
        volume: (n_systems,) Å³; NaN without a volume.
        status: (n_systems,) values of `Status`.
        messages: what a guard said, by id.
    """

    step: int
    time_fs: float
    ids: Int[ndarray, " n_systems"]
    n_atoms: Int[ndarray, " n_systems"]
    atomic_numbers: Int[ndarray, " n_atoms"]
    positions: Float[ndarray, "n_atoms 3"]
    momenta: Float[ndarray, "n_atoms 3"] | None
    forces: Float[ndarray, "n_atoms 3"]
    cell: Float[ndarray, "n_systems 3 3"]
    pbc: ndarray
    energy: Float[ndarray, " n_systems"]
    max_force: Float[ndarray, " n_systems"]
    stress: Float[ndarray, "n_systems 3 3"]
    temperature_K: Float[ndarray, " n_systems"]
    pressure_GPa: Float[ndarray, " n_systems"]
    volume: Float[ndarray, " n_systems"]
    status: Int[ndarray, " n_systems"]
    messages: dict[int, str]

    def atoms(self, index: int) -> ase.Atoms:
        """The structure at place `index`, with momenta but without a calculator."""
        end = int(self.n_atoms[: index + 1].sum())
        part = slice(end - int(self.n_atoms[index]), end)
        return ase.Atoms(
            numbers=self.atomic_numbers[part],
            positions=self.positions[part],
            momenta=None if self.momenta is None else self.momenta[part],
            cell=self.cell[index],
            pbc=self.pbc[index],
        )
