"""What the methods of constant pressure share: a cell that moves with its atoms.

A symmetric strain rate v carries lattice vectors h and positions r, as rows, and drags
the momenta p with a symmetric matrix a,

    dh/dt = h v,   dr/dt = p/m + r v,   dp/dt = F - p a

For constant v, a and F the motion over a time t is known: with E(x) = exp(x) and its
mean M(x) = ∫_0^1 exp(x u) du

    h <- h E(v t),   r <- r E(v t) + t (p/m) M(v t),   p <- p E(-a t) + t F M(-a t)

Because v is symmetric and acts on rows from the right, the cell is strained but not
turned (strains that come back to the same cell may leave a turn of the second order in
them). Positions are scaled about the origin and never wrapped: the center of mass, at
rest otherwise, keeps its place in fractions of the cell; one that is fixed (`FixCom`)
stays where it is.

The methods sample the cell h and the coordinates and momenta relative to the center of
mass with the probability

    exp(-(K + U + P V) / k_B T) dr dp V dμ(h),   dμ(h) = dh / V³,

which for a cell that keeps its shape is dV instead of V dμ(h). The average of the
internal pressure tensor

    P_int = (Σ p p / m - V σ) / V,   σ: stress of the potential

is then P 1 exactly, also in small systems: ∫ dμ(h) d/dε of anything is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
import torch
from ase.constraints import FixAtoms
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.errors import ParameterError, StructureError
from gnndesign.simulation.cell import CellFreedom, CellMode
from gnndesign.simulation.momenta import BAROSTAT_STREAM, generator, remove_drift
from gnndesign.simulation.phase_space import Dynamics, DynamicsState, spread
from gnndesign.simulation.schedule import Schedule, schedule, values_at
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA, FS

_SMALL = 0.1
"""Below it sinh(x)/x is summed as a series, whose next term is 3e-18."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What is wanted of each system in a step, in internal units.

    Attributes:
        dt: (n_systems,) the time step.
        kT: (n_systems,) eV.
        pressure: (n_systems,) eV/Å³, at the step's start.
        pressure_rise: (n_systems,) eV/Å³, until the next step.
        barostat_time: (n_systems,).
        thermostat_time: (n_systems,).
    """

    dt: Float[Tensor, " n_systems"]
    kT: Float[Tensor, " n_systems"]
    pressure: Float[Tensor, " n_systems"]
    pressure_rise: Float[Tensor, " n_systems"]
    barostat_time: Float[Tensor, " n_systems"]
    thermostat_time: Float[Tensor, " n_systems"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantPressure(Dynamics):
    """A thermostat, and a barostat that changes the cell.

    Attributes:
        pressure_GPa: target, positive under compression; a number, a `Ramp`, or one of
            these for each structure.
        cell: "isotropic" (the volume changes, the shape stays) or "full".
        fixed_axes: lattice vectors that keep their length and direction: letters of
            "abc".
        barostat_time_fs: in which the cell answers, fs; one for all, or one for each
            structure.
        thermostat_time_fs: in which the temperature answers, fs; likewise.
    """

    pressure_GPa: Schedule = 0.0
    cell: str = "isotropic"
    fixed_axes: str = ""
    barostat_time_fs: Schedule = 1000.0
    thermostat_time_fs: Schedule = 100.0

    def __post_init__(self) -> None:
        Dynamics.__post_init__(self)
        pressure = schedule(self.pressure_GPa, "pressure_GPa", low=-1e4, high=1e4)
        object.__setattr__(self, "pressure_GPa", pressure)
        for name in ("barostat_time_fs", "thermostat_time_fs"):
            time = schedule(getattr(self, name), name, low=1e-3)
            object.__setattr__(self, name, time)
        modes = (CellMode.ISOTROPIC, CellMode.FULL)
        if self.cell not in modes:
            wanted = " or ".join(repr(mode.value) for mode in modes)
            raise ParameterError(f"Wanted cell={wanted}, got {self.cell!r}.")
        _ = self.freedom  # Refuses axes that there are not.

    @property
    def freedom(self) -> CellFreedom:
        """What of the cell may change."""
        return CellFreedom(mode=CellMode(self.cell), fixed_axes=self.fixed_axes)

    def refuse(self, atoms: ase.Atoms) -> None:
        """Say no to structures that cannot have a pressure.

        Raises:
            StructureError: not periodic along three axes; a single atom; fixed atoms.
        """
        if not atoms.pbc.all():
            raise StructureError(
                "Constant pressure wants structures that are periodic along three "
                f"axes; this one has pbc {atoms.pbc.tolist()}. Use an ensemble of "
                "constant volume, or set a cell and pbc."
            )
        if len(atoms) < 2:
            raise StructureError(
                "Constant pressure wants two or more atoms: of one, whose center of "
                "mass rests, nothing has a temperature. Repeat the cell."
            )
        if any(isinstance(entry, FixAtoms) for entry in atoms.constraints):
            raise StructureError(
                "Constant pressure moves all atoms with the cell, so none can be fixed. "
                "Remove FixAtoms, or use an ensemble of constant volume."
            )

    def n_cell(self, state: DynamicsState) -> Int[Tensor, " n_systems"]:
        """(n_systems,) degrees of freedom of the cell."""
        n_axes = 3 - len(self.fixed_axes)
        full = n_axes * (n_axes + 1) // 2
        return torch.full_like(state.step, full if self.cell == CellMode.FULL else 1)

    def targets(self, state: DynamicsState) -> Targets:
        """What is wanted in the step that begins at the state's time."""
        ids, now = state.system.ids, self.time_fs(state)
        timestep_fs = self.timestep_fs_of(state)
        pressure = self._pressure_at(state, now)
        rises = not isinstance(self.pressure_GPa, float)
        return Targets(
            dt=timestep_fs * FS,
            kT=BOLTZMANN_EV_PER_K * values_at(self.temperature_K, ids, now),
            pressure=pressure,
            pressure_rise=self._pressure_at(state, now + timestep_fs) - pressure
            if rises
            else torch.zeros_like(pressure),
            barostat_time=FS * values_at(self.barostat_time_fs, ids, now),
            thermostat_time=FS * values_at(self.thermostat_time_fs, ids, now),
        )

    def enthalpy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV: K + U + P V."""
        pressure = self._pressure_at(state, self.time_fs(state))
        energy = state.kinetic_energy + state.system.prediction.energy
        return energy + pressure * state.system.batch.volume

    def _pressure_at(self, state: DynamicsState, time_fs: Tensor) -> Tensor:
        wanted = values_at(self.pressure_GPa, state.system.ids, time_fs)
        return wanted / EV_PER_A3_TO_GPA


def excess_pressure(
    state: DynamicsState, pressure: Float[Tensor, " n_systems"]
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) eV, V (P_int - P 1), symmetric; P in eV/Å³."""
    batch = state.system.batch
    velocities = state.momenta / state.data.masses[:, None]
    flow = batch.sum_over_atoms(state.momenta[:, :, None] * velocities[:, None])
    stress = state.system.prediction.stress
    wanted = identity_like(stress) * pressure[:, None, None]
    volume = batch.volume[:, None, None]
    return flow - volume * (0.5 * (stress + stress.mT) + wanted)


def symmetric_numbers(
    state: DynamicsState, seed: int
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) symmetric ξ, normal: <(ξ:e)²> = 1 for every e with e:e = 1."""
    system = state.system
    drawn = [
        generator(seed, index, BAROSTAT_STREAM, step).standard_normal((3, 3))
        for index, step in zip(system.ids.tolist(), state.step.tolist(), strict=True)
    ]
    random = torch.from_numpy(np.stack(drawn)).to(system.batch.cell)
    return 0.5 * (random + random.mT)


def identity_like(
    matrices: Float[Tensor, "n_systems 3 3"],
) -> Float[Tensor, "3 3"]:
    """The unit matrix, of their type and on their device."""
    return torch.eye(3, dtype=matrices.dtype, device=matrices.device)


def carried(
    state: DynamicsState,
    rate: Float[Tensor, "n_systems 3 3"],
    time: Float[Tensor, " n_systems"],
) -> tuple[Float[Tensor, "n_atoms 3"], Float[Tensor, "n_systems 3 3"]]:
    """Positions and cell after moving with a strain rate for a time."""
    batch = state.system.batch
    growth, mean = exponential(rate * time[:, None, None])
    way = spread(time, batch) * state.momenta / state.data.masses[:, None]
    index = batch.system_index
    positions = _rows(batch.positions, growth[index]) + _rows(way, mean[index])
    held = state.data.constraints.center_fixed
    if bool(held.any()):
        masses = state.data.masses[:, None]
        moved = batch.sum_over_atoms(masses * (positions - batch.positions))
        moved = moved / batch.sum_over_atoms(masses)
        positions = positions - moved.masked_fill(~held[:, None], 0.0)[index]
    return positions, batch.cell @ growth


def dragged(
    state: DynamicsState,
    drag: Float[Tensor, "n_systems 3 3"],
    time: Float[Tensor, " n_systems"],
) -> Float[Tensor, "n_atoms 3"]:
    """Momenta after forces and a drag have acted for a time; see `kicked`."""
    batch = state.system.batch
    decay, mean = exponential(-drag * time[:, None, None])
    push = spread(time, batch) * state.system.prediction.forces
    index = batch.system_index
    momenta = _rows(state.momenta, decay[index]) + _rows(push, mean[index])
    return remove_drift(batch, momenta, state.center_shares)


def exponential(
    symmetric: Float[Tensor, "n_systems 3 3"],
) -> tuple[Float[Tensor, "n_systems 3 3"], Float[Tensor, "n_systems 3 3"]]:
    """exp(x) and its mean ∫_0^1 exp(x u) du = exp(x/2) sinh(x/2) / (x/2).

    On the host, whose numpy gives each matrix the same answer in any company.
    """
    values, vectors = np.linalg.eigh(symmetric.detach().cpu().double().numpy())
    half = 0.5 * values
    root = np.exp(half)

    def matrix(diagonal: np.ndarray) -> Tensor:
        whole = (vectors * diagonal[:, None, :]) @ vectors.transpose(0, 2, 1)
        return torch.from_numpy(whole).to(symmetric)

    return matrix(root * root), matrix(root * sinh_over(half))


def sinh_over(x: Float[np.ndarray, "n_systems 3"]) -> Float[np.ndarray, "n_systems 3"]:
    """sinh(x) / x, also where x is small or zero."""
    square = x * x
    series = 1.0 + square / 6.0 * (
        1.0 + square / 20.0 * (1.0 + square / 42.0 * (1.0 + square / 72.0))
    )
    small = np.abs(x) < _SMALL
    return np.where(small, series, np.sinh(x) / np.where(small, 1.0, x))


def _rows(vectors: Tensor, matrices: Tensor) -> Tensor:
    return torch.einsum("ni,nij->nj", vectors, matrices)
