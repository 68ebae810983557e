"""`relax`: one or many structures to their nearest minimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack, overload

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.cell import CellFreedom, CellMode
from gnndesign.simulation.checkpoint import Checkpoints
from gnndesign.simulation.fire import FIRE
from gnndesign.simulation.freedom import moved_at_start
from gnndesign.simulation.lbfgs import LBFGS
from gnndesign.simulation.relaxer import Relaxer
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

_RELAXERS: dict[str, type[FIRE | LBFGS]] = {"fire": FIRE, "lbfgs": LBFGS}

METHODS = tuple(_RELAXERS)
"""What `method` may be."""

DEFAULT_METHOD = "lbfgs"
"""Ends in the same minima after a fourth of the evaluations or fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """Where a relaxation ended.

    Attributes:
        atoms: the last structure, with energy, forces and stress attached.
        energy: eV. This and the two below are NaN where nothing was computed: the
            structure was REFUSED, its atoms overlap at the start, or it was STOPPED
            before it began.
        max_force: eV/Å, length of the longest force on a free atom.
        stress: (3, 3) eV/Å³, positive under tension; zero without a volume.
        status: CONVERGED, STEP_LIMIT, DIVERGED, STOPPED or REFUSED.
        steps: number of steps made.
        symmetrized: Å by which at most an atom or the end of a lattice vector was
            moved at the start to obey a fixed symmetry exactly; 0 without one.
        message: why it was refused or what a guard said; empty otherwise.
        history: energy, largest force and volume at every step.
    """

    atoms: ase.Atoms
    energy: float
    max_force: float
    stress: Float[np.ndarray, "3 3"]
    status: Status
    steps: int
    symmetrized: float
    message: str
    history: History

    @property
    def converged(self) -> bool:
        """Whether the forces came below the wanted bound."""
        return self.status is Status.CONVERGED


class RelaxOptions(TypedDict, total=False):
    """The options of `relax`, which describes them."""

    cell: str | None
    max_force: float
    max_steps: int
    method: str
    pressure_GPa: float
    fixed_axes: str
    fix_center: bool
    fix_symmetry: bool
    symprec: float
    room: Room | None
    trajectory: Path | str | None
    checkpoints: Checkpoints | None
    on_snapshot: Callable[[Snapshot], None] | None
    should_stop: Callable[[], bool] | None


def relaxation_stepper(
    method: str = DEFAULT_METHOD,
    *,
    cell: str | None = None,
    max_force: float = 0.01,
    pressure_GPa: float = 0.0,
    fixed_axes: str = "",
    fix_center: bool = False,
    fix_symmetry: bool = False,
    symprec: float = 1e-2,
) -> FIRE | LBFGS:
    """The stepper of a method's name; the parameters are those of `relax`.

    Raises:
        ParameterError: no such method, or a parameter out of range.
    """
    mode = CellMode.parse(cell)
    freedom = (
        None
        if mode is None
        else CellFreedom(mode=mode, fixed_axes=fixed_axes, pressure_GPa=pressure_GPa)
    )
    if method not in METHODS:
        raise ParameterError(
            f"Wanted method in {', '.join(map(repr, METHODS))}, got {method!r}."
        )
    return _RELAXERS[method](
        max_force=max_force,
        cell=freedom,
        fix_center=fix_center,
        fix_symmetry=fix_symmetry,
        symprec=symprec,
    )


@overload
def relax(
    structures: ase.Atoms, potential: Potential, **options: Unpack[RelaxOptions]
) -> Relaxation: ...
@overload
def relax(
    structures: Sequence[ase.Atoms],
    potential: Potential,
    **options: Unpack[RelaxOptions],
) -> list[Relaxation]: ...
def relax(
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential,
    *,
    cell: str | None = None,
    max_force: float = 0.01,
    max_steps: int = 500,
    method: str = DEFAULT_METHOD,
    pressure_GPa: float = 0.0,
    fixed_axes: str = "",
    fix_center: bool = False,
    fix_symmetry: bool = False,
    symprec: float = 1e-2,
    room: Room | None = None,
    trajectory: Path | str | None = None,
    checkpoints: Checkpoints | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Relaxation | list[Relaxation]:
    """Relax; many structures go in one batch, each converging by itself.

    A structure of a list that cannot be used does not keep the others from being
    relaxed: its result is REFUSED or DIVERGED and says why.

    Args:
        structures: one structure or a list. They are not modified. Constraints
            `FixAtoms`, `FixCartesian`, `FixedPlane`, `FixedLine`, `FixCom` and
            `FixSymmetry` are kept. In a cell that changes, a fixed atom keeps its
            fractional coordinates.
        potential: gives the forces.
        cell: None keeps the cell; "isotropic", "constant_volume" or "full" relax it,
            and then the cell force counts in the test of convergence.
        max_force: eV/Å.
        max_steps: most steps of a structure.
        method: "fire" or "lbfgs".
        pressure_GPa: target pressure, positive under compression.
        fixed_axes: lattice vectors that keep length and direction, as in "c" or "ab".
        fix_center: whether the center of mass stays (with a changing cell: its
            fractional coordinates).
        fix_symmetry: whether the space group stays; forces and stress are made to
            obey it at every step.
        symprec: Å, within which it is found. The start is moved to obey it exactly;
            `Relaxation.symmetrized` says by how much.
        room: how much goes into one batch; None for what the memory allows.
        trajectory: a folder for the frames of every step, one file a structure.
        checkpoints: where and how often to save; a file that is there is gone on from.
        on_snapshot: called with every snapshot.
        should_stop: asked after every snapshot.

    Returns:
        One result for one structure, else a list in the order given.

    Raises:
        StructureError: the one structure given cannot be used, or has no cell
            to relax.
        UnsupportedElementError: likewise, because of an element.
        ParameterError: a parameter is out of range.
        CheckpointError: the checkpoint is of another run.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    stepper = relaxation_stepper(
        method,
        cell=cell,
        max_force=max_force,
        pressure_GPa=pressure_GPa,
        fixed_axes=fixed_axes,
        fix_center=fix_center,
        fix_symmetry=fix_symmetry,
        symprec=symprec,
    )
    going = start_or_resume(
        stepper,
        potential,
        several,
        max_steps=max_steps,
        room=room,
        checkpoints=checkpoints,
    )
    if isinstance(structures, ase.Atoms) and going.refused:
        raise going.refused[0]
    recorder = follow(
        going,
        len(several),
        trajectory=trajectory,
        on_snapshot=on_snapshot,
        should_stop=should_stop,
    )
    results = [
        _result(going, recorder, k, atoms, stepper) for k, atoms in enumerate(several)
    ]
    if not isinstance(structures, ase.Atoms):
        return results
    if results[0].status is Status.DIVERGED and math.isnan(results[0].energy):
        raise StructureError(results[0].message)
    return results[0]


def _result(
    going: Run,
    recorder: Recorder,
    system: int,
    start: ase.Atoms,
    stepper: Relaxer,
) -> Relaxation:
    found = recorder.last(system)
    if found is None:
        status, message = not_run(going, system)
        return Relaxation(
            atoms=start.copy(),
            energy=math.nan,
            max_force=math.nan,
            stress=np.full((3, 3), math.nan),
            status=status,
            steps=0,
            symmetrized=0.0,
            message=message,
            history=recorder.history(system),
        )
    last, index = found
    return Relaxation(
        atoms=finished_atoms(start, last, index),
        energy=float(last.energy[index]),
        max_force=float(last.max_force[index]),
        stress=last.stress[index],
        status=Status(int(last.status[index])),
        steps=int(last.step[index]),
        symmetrized=moved_at_start(stepper.prepare(start)),
        message=last.messages[index],
        history=recorder.history(system),
    )
