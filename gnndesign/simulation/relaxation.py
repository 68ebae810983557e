"""`relax`: one or many structures to their nearest minimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.cell import CellMode
from gnndesign.simulation.fire import FIRE
from gnndesign.simulation.results import History, Recorder, finished_atoms
from gnndesign.simulation.run import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """Where a relaxation ended.

    Attributes:
        atoms: the last structure, with energy, forces and stress attached.
        energy: eV.
        max_force: eV/Å, length of the longest force on a free atom.
        stress: (3, 3) eV/Å³, positive under tension; zero without a volume.
        status: CONVERGED, STEP_LIMIT, DIVERGED or STOPPED.
        steps: number of steps made.
        message: what a guard said; empty otherwise.
        history: energy, largest force and volume at every step.
    """

    atoms: ase.Atoms
    energy: float
    max_force: float
    stress: Float[np.ndarray, "3 3"]
    status: Status
    steps: int
    message: str
    history: History

    @property
    def converged(self) -> bool:
        """Whether the forces came below the wanted bound."""
        return self.status is Status.CONVERGED


@overload
def relax(
    structures: ase.Atoms,
    potential: Potential,
    cell: str | None = None,
    max_force: float = 0.01,
    max_steps: int = 500,
    *,
    pressure_GPa: float = 0.0,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Relaxation: ...
@overload
def relax(
    structures: Sequence[ase.Atoms],
    potential: Potential,
    cell: str | None = None,
    max_force: float = 0.01,
    max_steps: int = 500,
    *,
    pressure_GPa: float = 0.0,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Relaxation]: ...
def relax(
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential,
    cell: str | None = None,
    max_force: float = 0.01,
    max_steps: int = 500,
    *,
    pressure_GPa: float = 0.0,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Relaxation | list[Relaxation]:
    """Relax with FIRE; many structures go in one batch, each converging by itself.

    Args:
        structures: one structure or a list. They are not modified. `FixAtoms`
            constraints are kept.
        potential: gives the forces.
        cell: None keeps the cell; "isotropic", "constant_volume" or "full" relax it,
            and then the cell force counts in the test of convergence.
        max_force: eV/Å.
        max_steps: most steps of a structure.
        pressure_GPa: target pressure, positive under compression.
        on_snapshot: called with every snapshot.
        should_stop: asked after every snapshot.

    Returns:
        One result for one structure, else a list in the order given.

    Raises:
        StructureError: a structure cannot be used, or has no cell to relax.
        UnsupportedElementError: the potential does not know an element.
        ParameterError: a parameter is out of range.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    stepper = FIRE(
        max_force=max_force, cell=CellMode.parse(cell), pressure_GPa=pressure_GPa
    )
    recorder = Recorder(len(several))
    going = run(stepper, potential, several, max_steps=max_steps)
    for snapshot in going:
        recorder.add(snapshot)
        if on_snapshot is not None:
            on_snapshot(snapshot)
        if should_stop is not None and should_stop():
            going.stop()
    results = [_result(recorder, k, atoms) for k, atoms in enumerate(several)]
    return results[0] if isinstance(structures, ase.Atoms) else results


def _result(recorder: Recorder, system: int, start: ase.Atoms) -> Relaxation:
    last, index = recorder.last(system)
    return Relaxation(
        atoms=finished_atoms(start, last, index),
        energy=float(last.energy[index]),
        max_force=float(last.max_force[index]),
        stress=last.stress[index],
        status=Status(int(last.status[index])),
        steps=last.step,
        message=last.messages[index],
        history=recorder.history(system),
    )
