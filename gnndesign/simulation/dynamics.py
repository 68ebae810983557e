"""`molecular_dynamics`: one or many structures through time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import ase
import numpy as np
from ase.data import atomic_numbers

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.bussi import Bussi
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.checkpoint import Checkpoints
from gnndesign.simulation.langevin import Langevin
from gnndesign.simulation.nose_hoover import NoseHoover
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.phase_space import Dynamics
from gnndesign.simulation.results import (
    History,
    Recorder,
    finished_atoms,
    follow,
    not_run,
)
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import start_or_resume
from gnndesign.simulation.running import Run
from gnndesign.simulation.schedule import check_count

ENSEMBLES: dict[str, type[Dynamics]] = {
    "nve": NVE,
    "langevin": Langevin,
    "nose_hoover": NoseHoover,
    "bussi": Bussi,
    "npt_mtk": MartynaTobiasKlein,
    "npt_cell_rescaling": StochasticCellRescaling,
}
"""What `ensemble` may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MolecularDynamics:
    """Where molecular dynamics ended, and how it got there.

    Attributes:
        atoms: the last structure, with momenta, energy, forces and stress.
        energy: potential energy of the last structure, eV; NaN where nothing was
            computed (see `Relaxation.energy`).
        status: FINISHED, DIVERGED, STOPPED or REFUSED.
        steps: number of steps made.
        time_fs: simulated time.
        temperature_K: mean over the recorded steps after the start; NaN without any.
        message: why it was refused or what a guard said; empty otherwise.
        history: scalars at every recorded step.
    """

    atoms: ase.Atoms
    energy: float
    status: Status
    steps: int
    time_fs: float
    temperature_K: float
    message: str
    history: History


class DynamicsOptions(TypedDict, total=False):
    """The options of `molecular_dynamics`, which describes them."""

    ensemble: str
    temperature_K: Any
    timestep_fs: Any
    steps: int
    seed: int
    masses: dict[str, float] | None
    record_every: int
    room: Room | None
    trajectory: Path | str | None
    contents: str
    checkpoints: Checkpoints | None
    on_snapshot: Callable[[Snapshot], None] | None
    should_stop: Callable[[], bool] | None
    friction_per_ps: Any
    chain_length: int
    chain_order: int
    chain_substeps: int
    pressure_GPa: Any
    cell: str
    fixed_axes: str
    barostat_time_fs: Any
    thermostat_time_fs: Any
    compressibility_per_GPa: Any


def dynamics_stepper(ensemble: str, **parameters: Any) -> Dynamics:
    """The stepper of an ensemble's name.

    Args:
        ensemble: a key of `ENSEMBLES`.
        **parameters: of that ensemble's class; those that it does not have are
            refused.

    Raises:
        ParameterError: no such ensemble or parameter, or a parameter out of range.
    """
    if ensemble not in ENSEMBLES:
        raise ParameterError(
            f"Wanted ensemble in {', '.join(map(repr, ENSEMBLES))}, got {ensemble!r}."
        )
    kind = ENSEMBLES[ensemble]
    known = [field.name for field in fields(kind)]
    for name in parameters:
        if name not in known:
            raise ParameterError(
                f"Ensemble '{ensemble}' has no parameter {name!r}; it has "
                f"{', '.join(known)}."
            )
    return kind(**parameters)


@overload
def molecular_dynamics(
    structures: ase.Atoms, potential: Potential, **options: Unpack[DynamicsOptions]
) -> MolecularDynamics: ...
@overload
def molecular_dynamics(
    structures: Sequence[ase.Atoms],
    potential: Potential,
    **options: Unpack[DynamicsOptions],
) -> list[MolecularDynamics]: ...
def molecular_dynamics(
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential,
    *,
    ensemble: str = "langevin",
    temperature_K: Any = 300.0,
    timestep_fs: Any = 1.0,
    steps: int = 1000,
    seed: int = 0,
    masses: dict[str, float] | None = None,
    record_every: int = 1,
    room: Room | None = None,
    trajectory: Path | str | None = None,
    contents: str = "full",
    checkpoints: Checkpoints | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **more: Any,
) -> MolecularDynamics | list[MolecularDynamics]:
    """Molecular dynamics; many structures go in one batch.

    A structure of a list that cannot be used does not keep the others from going: its
    result is REFUSED or DIVERGED and says why.

    Args:
        structures: one structure or a list. They are not modified. Their momenta are
            used where they have any, else Maxwell-Boltzmann ones are drawn.
            Constraints `FixAtoms` and `FixCom` are kept.
        potential: gives the forces.
        ensemble: "nve" (velocity Verlet, constant energy); at constant temperature
            "langevin", "nose_hoover" (deterministic) or "bussi" (stochastic velocity
            rescaling); at constant temperature and pressure "npt_mtk" (Martyna, Tobias
            and Klein, deterministic) or "npt_cell_rescaling" (stochastic).
        temperature_K: of the thermostat, and of the drawn momenta; a number, a `Ramp`,
            or one of these for each structure.
        timestep_fs: fs; a number, or one for each structure.
        steps: number of steps.
        seed: the same seed, structures and potential give the same run.
        masses: amu, by symbol, instead of the natural ones: {"H": 2.014} for D.
        record_every: steps between recorded moments.
        room: how much goes into one batch; None for what the memory allows.
        trajectory: a folder for the recorded frames, one file a structure.
        contents: of a frame: "full", or "compact", without forces and in single
            precision, a third as large.
        checkpoints: where and how often to save; a file that is there is gone on from.
        on_snapshot: called with every recorded snapshot.
        should_stop: asked after every recorded snapshot.
        **more: further parameters of the ensemble, as its class has them:
            friction_per_ps; thermostat_time_fs; chain_length, chain_order,
            chain_substeps; with a pressure: pressure_GPa (positive under compression),
            cell ("isotropic" or "full"), fixed_axes (as in "c" or "ab"),
            barostat_time_fs, compressibility_per_GPa.

    Returns:
        One result for one structure, else a list in the order given.

    Raises:
        StructureError: the one structure given cannot be used.
        UnsupportedElementError: likewise, because of an element.
        ParameterError: a parameter is unknown or out of range.
        CheckpointError: the checkpoint is of another run.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    stepper = dynamics_stepper(
        ensemble,
        temperature_K=temperature_K,
        timestep_fs=timestep_fs,
        seed=seed,
        **more,
    )
    for field in fields(stepper):
        value = getattr(stepper, field.name)
        if isinstance(value, tuple):
            check_count(value, field.name, len(several))
    several = [with_masses(atoms, masses or {}) for atoms in several]
    going = start_or_resume(
        stepper,
        potential,
        several,
        max_steps=steps,
        every=record_every,
        room=room,
        checkpoints=checkpoints,
    )
    if isinstance(structures, ase.Atoms) and going.refused:
        raise going.refused[0]
    recorder = follow(
        going,
        len(several),
        trajectory=trajectory,
        contents=contents,
        on_snapshot=on_snapshot,
        should_stop=should_stop,
    )
    results = [_result(going, recorder, k, atoms) for k, atoms in enumerate(several)]
    if not isinstance(structures, ase.Atoms):
        return results
    if results[0].status is Status.DIVERGED and math.isnan(results[0].energy):
        raise StructureError(results[0].message)
    return results[0]


def with_masses(atoms: ase.Atoms, masses: Mapping[str, float]) -> ase.Atoms:
    """A copy in which some elements weigh something else.

    Args:
        atoms: not modified.
        masses: amu, by symbol.

    Raises:
        ParameterError: a mass that is not positive, or no such element.
    """
    for symbol, mass in masses.items():
        if symbol not in atomic_numbers or not (0 < mass < math.inf):
            raise ParameterError(
                "Wanted masses as {symbol: positive amu}, got "
                f"{{{symbol!r}: {mass!r}}}."
            )
    copy = atoms.copy()
    if masses:
        own = zip(copy.symbols, copy.get_masses().tolist(), strict=True)
        new = np.array([masses.get(symbol, mass) for symbol, mass in own])
        copy.set_array("masses", new, float, ())
    return copy


def _result(
    going: Run, recorder: Recorder, system: int, start: ase.Atoms
) -> MolecularDynamics:
    found = recorder.last(system)
    history = recorder.history(system)
    if found is None:
        status, message = not_run(going, system)
        return MolecularDynamics(
            atoms=start.copy(),
            energy=math.nan,
            status=status,
            steps=0,
            time_fs=0.0,
            temperature_K=math.nan,
            message=message,
            history=history,
        )
    last, index = found
    recorded = history.temperature_K[1:]
    return MolecularDynamics(
        atoms=finished_atoms(start, last, index),
        energy=float(last.energy[index]),
        status=Status(int(last.status[index])),
        steps=int(last.step[index]),
        time_fs=float(last.time_fs[index]),
        temperature_K=float(
            (recorded if len(recorded) else history.temperature_K).mean()
        ),
        message=last.messages[index],
        history=history,
    )
