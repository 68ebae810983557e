"""`run`: the one loop behind every relaxation and every molecular dynamics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import AtomData, Snapshot, Status, Stepper
from gnndesign.simulation.checkpoint import load_state, save_state
from gnndesign.simulation.guards import ADVICE, Fault
from gnndesign.simulation.momenta import temperature
from gnndesign.units import EV_PER_A3_TO_GPA


def run(
    stepper: Stepper[Any],
    potential: Potential,
    structures: ase.Atoms | Sequence[ase.Atoms],
    *,
    max_steps: int,
    every: int = 1,
) -> Run:
    """Start a run; iterate over it to make it go.

    Args:
        stepper: what a step is: `FIRE`, `NVE`, `Langevin`.
        potential: gives the forces.
        structures: one or more structures, simulated side by side.
        max_steps: most steps of any structure.
        every: steps between snapshots. The first and the last moment of every
            structure are always given.

    Raises:
        StructureError: a structure cannot be used.
        UnsupportedElementError: the potential does not know an element.
        ParameterError: `max_steps` or `every` is out of range.
    """
    if isinstance(structures, ase.Atoms):
        structures = [structures]
    # Before the first step: all steps are to be computed in the same way.
    potential.prepare()
    batch = AtomicBatch.from_atoms(structures, device=potential.device)
    data = AtomData.from_atoms(structures, device=potential.device)
    state = stepper.init(potential, batch, data)
    return Run(stepper, potential, state, max_steps=max_steps, every=every)


def resume(
    path: Path,
    stepper: Stepper[Any],
    potential: Potential,
    *,
    max_steps: int,
    every: int = 1,
) -> Run:
    """Go on from a checkpoint that `Run.checkpoint` wrote.

    Raises:
        CheckpointError: the file cannot be read or belongs to another method.
    """
    potential.prepare()
    state = load_state(path, potential.device)
    if (state.momenta is None) != (stepper.timestep_fs == 0):
        was = "a relaxation" if state.momenta is None else "molecular dynamics"
        raise CheckpointError(
            f"{path} is a checkpoint of {was}; {type(stepper).__name__} cannot go on "
            "from it. Resume with the method that wrote it."
        )
    neighbors = state.system.neighbors
    cutoff = None if neighbors is None else neighbors.cutoff
    if cutoff != potential.cutoff:
        raise CheckpointError(
            f"{path} was written with a potential of cutoff {cutoff} Å, "
            f"'{potential.card.name}' has {potential.cutoff} Å. Resume with the "
            "potential that wrote it."
        )
    return Run(
        stepper, potential, state, max_steps=max_steps, every=every, resumed=True
    )


class Run:
    """An iterator of `Snapshot`s that makes the steps between them.

    A system that has ended leaves the batch; its last snapshot carries its final
    status. A system stopped by a guard is given with its last good geometry.

    Attributes:
        state: the latest state of the systems that go on; replaced, never changed,
            so another thread may read it at any time.
        max_steps: may be raised while the run goes on.
        before_step: called before every step; it may wait, or call `stop`.
    """

    def __init__(
        self,
        stepper: Stepper[Any],
        potential: Potential,
        state: Any,
        *,
        max_steps: int,
        every: int,
        resumed: bool = False,
    ) -> None:
        if max_steps < 0 or every < 1:
            raise ParameterError(
                f"Wanted max_steps >= 0 and every >= 1, got {max_steps} and {every}."
            )
        self.state = state
        self.max_steps = max_steps
        self.before_step: Callable[[], None] | None = None
        self._every = every
        self._stepper = stepper
        self._potential = potential
        self._resumed = resumed
        self._stopping = False

    def stop(self) -> None:
        """End after the step under way; the last snapshot says STOPPED."""
        self._stopping = True

    def checkpoint(self, path: Path) -> None:
        """Write the latest state, atomically."""
        save_state(path, self.state)

    def __iter__(self) -> Iterator[Snapshot]:
        """Make steps until every system has ended."""
        if not self._resumed:
            yield from self._report(self.state)
        while self.state.system.batch.n_systems and self.state.step < self.max_steps:
            if self.before_step is not None:
                self.before_step()
            if self._stopping:
                yield self._snapshot(self.state, self._all(Status.STOPPED))
                return
            before = self.state
            after = self._stepper.step(self._potential, before)
            faulty = after.system.fault != Fault.NONE
            if bool(faulty.any()):
                yield self._diverged(before.select(faulty), after.system.fault[faulty])
                after = after.select(~faulty)
            self.state = after
            yield from self._report(after)

    def _report(self, state: Any) -> Iterator[Snapshot]:
        """Snapshots due at this state; systems that converged leave the batch."""
        if state.system.batch.n_systems == 0:
            return
        status = self._stepper.status(state)
        running = status == Status.RUNNING
        if bool((~running).any()):
            self.state = state.select(running)
        if state.step >= self.max_steps:
            # These stay in the state: more steps may be asked for later.
            status = torch.where(running, int(self._at_limit), status)
        ended = status != Status.RUNNING
        if state.step % self._every == 0:
            yield self._snapshot(state, status)
        elif bool(ended.any()):
            yield self._snapshot(state.select(ended), status[ended])

    @property
    def _at_limit(self) -> Status:
        relaxing = self._stepper.timestep_fs == 0
        return Status.STEP_LIMIT if relaxing else Status.FINISHED

    def _all(self, status: Status) -> Tensor:
        n_systems = self.state.system.batch.n_systems
        return torch.full((n_systems,), int(status), device=self._potential.device)

    def _diverged(self, state: Any, fault: Tensor) -> Snapshot:
        status = torch.full_like(fault, int(Status.DIVERGED))
        said = tuple(
            f"Diverged at step {state.step + 1}. {ADVICE[int(code)]}" for code in fault
        )
        return self._snapshot(state, status, said)

    def _snapshot(
        self, state: Any, status: Tensor, messages: tuple[str, ...] | None = None
    ) -> Snapshot:
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
            step=state.step,
            time_fs=state.step * self._stepper.timestep_fs,
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
        )
