"""`molecular_dynamics`: one or many structures through time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import ase

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.langevin import Langevin
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.results import History, Recorder, finished_atoms
from gnndesign.simulation.run import run
from gnndesign.simulation.trajectory import TrajectoryFolder

ENSEMBLES = ("nve", "langevin")
"""What `ensemble` may be: constant energy, or constant temperature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MolecularDynamics:
    """Where molecular dynamics ended, and how it got there.

    Attributes:
        atoms: the last structure, with momenta, energy, forces and stress.
        energy: potential energy of the last structure, eV.
        status: FINISHED, DIVERGED or STOPPED.
        steps: number of steps made.
        time_fs: simulated time.
        temperature_K: mean over the recorded steps after the start.
        message: what a guard said; empty otherwise.
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


def dynamics_stepper(
    ensemble: str,
    *,
    temperature_K: float,
    timestep_fs: float,
    friction_per_ps: float = 10.0,
    seed: int = 0,
) -> NVE | Langevin:
    """The stepper of an ensemble's name.

    Raises:
        ParameterError: no such ensemble, or a parameter out of range.
    """
    match ensemble:
        case "nve":
            return NVE(timestep_fs=timestep_fs, temperature_K=temperature_K, seed=seed)
        case "langevin":
            return Langevin(
                timestep_fs=timestep_fs,
                temperature_K=temperature_K,
                friction_per_ps=friction_per_ps,
                seed=seed,
            )
        case _:
            raise ParameterError(
                f"Wanted ensemble in {', '.join(map(repr, ENSEMBLES))}, got "
                f"{ensemble!r}."
            )


@overload
def molecular_dynamics(
    structures: ase.Atoms,
    potential: Potential,
    *,
    ensemble: str = "langevin",
    temperature_K: float = 300.0,
    timestep_fs: float = 1.0,
    steps: int = 1000,
    friction_per_ps: float = 10.0,
    seed: int = 0,
    record_every: int = 1,
    trajectory: Path | str | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> MolecularDynamics: ...
@overload
def molecular_dynamics(
    structures: Sequence[ase.Atoms],
    potential: Potential,
    *,
    ensemble: str = "langevin",
    temperature_K: float = 300.0,
    timestep_fs: float = 1.0,
    steps: int = 1000,
    friction_per_ps: float = 10.0,
    seed: int = 0,
    record_every: int = 1,
    trajectory: Path | str | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[MolecularDynamics]: ...
def molecular_dynamics(
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential,
    *,
    ensemble: str = "langevin",
    temperature_K: float = 300.0,
    timestep_fs: float = 1.0,
    steps: int = 1000,
    friction_per_ps: float = 10.0,
    seed: int = 0,
    record_every: int = 1,
    trajectory: Path | str | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> MolecularDynamics | list[MolecularDynamics]:
    """Molecular dynamics; many structures go in one batch.

    Args:
        structures: one structure or a list. They are not modified. Their momenta are
            used where they have any, else Maxwell-Boltzmann ones are drawn.
            `FixAtoms` constraints are kept.
        potential: gives the forces.
        ensemble: "nve" (velocity Verlet) or "langevin" (constant temperature).
        temperature_K: of the thermostat, or of the drawn momenta.
        timestep_fs: fs.
        steps: number of steps.
        friction_per_ps: of the Langevin thermostat, 1/ps.
        seed: the same seed, structures and potential give the same run.
        record_every: steps between recorded moments.
        trajectory: a folder for the recorded frames, one `.traj` file a structure.
        on_snapshot: called with every recorded snapshot.
        should_stop: asked after every recorded snapshot.

    Returns:
        One result for one structure, else a list in the order given.

    Raises:
        StructureError: a structure cannot be used.
        UnsupportedElementError: the potential does not know an element.
        ParameterError: a parameter is out of range.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    stepper = dynamics_stepper(
        ensemble,
        temperature_K=temperature_K,
        timestep_fs=timestep_fs,
        friction_per_ps=friction_per_ps,
        seed=seed,
    )
    recorder = Recorder(len(several))
    folder = None if trajectory is None else TrajectoryFolder(Path(trajectory))
    going = run(stepper, potential, several, max_steps=steps, every=record_every)
    try:
        for snapshot in going:
            recorder.add(snapshot)
            if folder is not None:
                folder.write(snapshot)
            if on_snapshot is not None:
                on_snapshot(snapshot)
            if should_stop is not None and should_stop():
                going.stop()
    finally:
        if folder is not None:
            folder.close()
    results = [_result(recorder, k, atoms) for k, atoms in enumerate(several)]
    return results[0] if isinstance(structures, ase.Atoms) else results


def _result(recorder: Recorder, system: int, start: ase.Atoms) -> MolecularDynamics:
    last, index = recorder.last(system)
    history = recorder.history(system)
    recorded = history.temperature_K[1:]
    return MolecularDynamics(
        atoms=finished_atoms(start, last, index),
        energy=float(last.energy[index]),
        status=Status(int(last.status[index])),
        steps=last.step,
        time_fs=last.time_fs,
        temperature_K=float(
            (recorded if len(recorded) else history.temperature_K).mean()
        ),
        message=last.messages[index],
        history=history,
    )
