"""`Moment`: one structure at one time, from a running simulation or from disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import ase
import numpy as np
from ase.data import atomic_masses
from jaxtyping import Bool, Float, Int

from gnndesign.simulation.base import Snapshot, Status
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One structure of a `Snapshot`, or a frame of a trajectory.

    Attributes:
        step: number of steps made.
        time_fs: simulated time.
        is_last: whether the structure ended here, which may be off the beat.
        atomic_numbers: (n_atoms,).
        masses: (n_atoms,) amu.
        positions: (n_atoms, 3) Å, never wrapped into the cell.
        momenta: (n_atoms, 3) sqrt(amu eV); None where there are none.
        cell: (3, 3) Å.
        pbc: (3,).
        energy: potential energy, eV.
        kinetic_energy: eV.
        temperature_K: K.
        pressure_GPa: with its kinetic part; NaN without a volume.
        volume: Å³; NaN unless periodic in three directions.
        stress: (3, 3) eV/Å³ of the potential energy alone.
    """

    step: int
    time_fs: float
    is_last: bool
    atomic_numbers: Int[np.ndarray, " n_atoms"]
    masses: Float[np.ndarray, " n_atoms"]
    positions: Float[np.ndarray, "n_atoms 3"]
    momenta: Float[np.ndarray, "n_atoms 3"] | None
    cell: Float[np.ndarray, "3 3"]
    pbc: Bool[np.ndarray, " 3"]
    energy: float
    kinetic_energy: float
    temperature_K: float
    pressure_GPa: float
    volume: float
    stress: Float[np.ndarray, "3 3"]

    @property
    def is_usable(self) -> bool:
        """Whether the potential could say something here."""
        return math.isfinite(self.energy)


def moments(
    snapshot: Snapshot, masses: Mapping[int, np.ndarray]
) -> Iterator[tuple[int, Moment]]:
    """Every structure of a snapshot with its id.

    Args:
        snapshot: of a run.
        masses: (n_atoms,) amu of the structures, by id, whose masses are not the
            standard ones of their elements.
    """
    ends = np.cumsum(snapshot.n_atoms)
    for index, system in enumerate(snapshot.ids.tolist()):
        atoms = slice(int(ends[index] - snapshot.n_atoms[index]), int(ends[index]))
        numbers = snapshot.atomic_numbers[atoms]
        yield (
            system,
            Moment(
                step=int(snapshot.step[index]),
                time_fs=float(snapshot.time_fs[index]),
                is_last=int(snapshot.status[index]) != Status.RUNNING,
                atomic_numbers=numbers,
                masses=masses[system] if system in masses else atomic_masses[numbers],
                positions=snapshot.positions[atoms],
                momenta=None if snapshot.momenta is None else snapshot.momenta[atoms],
                cell=snapshot.cell[index],
                pbc=snapshot.pbc[index],
                energy=float(snapshot.energy[index]),
                kinetic_energy=float(snapshot.kinetic_energy[index]),
                temperature_K=float(snapshot.temperature_K[index]),
                pressure_GPa=float(snapshot.pressure_GPa[index]),
                volume=float(snapshot.volume[index]),
                stress=snapshot.stress[index],
            ),
        )


def moment_of_frame(frame: ase.Atoms, degrees_of_freedom: int) -> Moment:
    """A frame that `simulation.trajectory` wrote.

    Args:
        frame: with "step" and "time_fs" in its info, and energy and stress.
        degrees_of_freedom: that share the kinetic energy.
    """
    momenta = frame.get_momenta() if frame.has("momenta") else None
    masses = frame.get_masses()
    volume = frame.cell.volume if frame.pbc.all() else np.nan
    stress = np.full((3, 3), np.nan)
    if frame.calc is not None and "stress" in frame.calc.results:
        stress = np.asarray(frame.get_stress(voigt=False))
    kinetic = np.nan
    if momenta is not None:
        kinetic = float((momenta * momenta / masses[:, None]).sum() / 2.0)
    pressure = -np.trace(stress) / 3.0 + 2.0 * kinetic / (3.0 * volume)
    heat = 2.0 * kinetic / (max(degrees_of_freedom, 1) * BOLTZMANN_EV_PER_K)
    return Moment(
        step=int(frame.info["step"]),
        time_fs=float(frame.info["time_fs"]),
        is_last=False,
        atomic_numbers=frame.numbers,
        masses=masses,
        positions=frame.positions,
        momenta=momenta,
        cell=frame.cell.array,
        pbc=frame.pbc,
        energy=float(frame.get_potential_energy()),
        kinetic_energy=kinetic,
        temperature_K=heat,
        pressure_GPa=float(pressure * EV_PER_A3_TO_GPA),
        volume=float(volume),
        stress=stress,
    )


def free_degrees(frame: ase.Atoms) -> int:
    """Degrees of freedom that share the kinetic energy, read off the momenta.

    3 an atom that moves; less 3 where the momenta sum to nothing, because the centre of
    mass was put to rest; of a molecule, less its rotations where these were, too. (The
    sum of thermal momenta is as large as the root of the sum of their squares.)
    """
    momenta = frame.get_momenta()
    moving = int(momenta.any(1).sum())
    size = 1e-3 * np.linalg.norm(momenta)
    if moving < len(frame) or np.linalg.norm(momenta.sum(0)) > size:
        return 3 * moving
    n = 3 * moving - 3
    arms = frame.positions - frame.get_center_of_mass()
    spin = np.linalg.norm(np.cross(arms, momenta).sum(0))
    if frame.pbc.any() or spin > size * np.linalg.norm(arms):
        return max(n, 0)
    rotations = {0: 0, 1: 2}.get(int(np.linalg.matrix_rank(arms, tol=1e-3)), 3)
    return max(n - rotations, 0)
