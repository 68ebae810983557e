"""`run` and `resume`: how every relaxation and every molecular dynamics begins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ase

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Stepper
from gnndesign.simulation.checkpoint import Checkpoints, Progress, load_progress
from gnndesign.simulation.door import let_in
from gnndesign.simulation.room import Room
from gnndesign.simulation.running import Run


def run(
    stepper: Stepper[Any],
    potential: Potential,
    structures: ase.Atoms | Sequence[ase.Atoms],
    *,
    max_steps: int,
    every: int = 1,
    room: Room | None = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Prepare a run; iterate over it to make it go.

    Args:
        stepper: what a step is: `FIRE`, `NVE`, `Langevin`, ...
        potential: gives the forces.
        structures: one or more, simulated side by side, as many at once as there is
            room for; the others wait and enter where one leaves. One that cannot be
            used is left out and named in `Run.refused`.
        max_steps: most steps of any structure.
        every: steps between snapshots. The first and the last moment of every
            structure are always given.
        room: how much goes into one batch; None for what the device's memory allows.
        checkpoints: where and how often to save; None for never.

    Raises:
        StructureError: the one structure given cannot be used, or the list is empty.
        UnsupportedElementError: the one structure has elements that are not known.
        ParameterError: `max_steps` or `every` is out of range.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    if not several:
        raise StructureError("Wanted at least one structure, got an empty list.")
    several, refused = let_in(several, stepper, potential)
    if isinstance(structures, ase.Atoms) and refused:
        raise refused[0]
    # Before the first step: all steps are to be computed in the same way.
    potential.prepare()
    return Run(
        stepper,
        potential,
        several,
        progress=Progress(
            method=type(stepper).__name__,
            members=None,
            parked=None,
            ended=(),
            n_entered=0,
        ),
        refused=refused,
        max_steps=max_steps,
        every=every,
        room=room,
        checkpoints=checkpoints,
    )


def resume(
    path: Path,
    stepper: Stepper[Any],
    potential: Potential,
    structures: ase.Atoms | Sequence[ase.Atoms] = (),
    *,
    max_steps: int,
    every: int = 1,
    room: Room | None = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Go on from a checkpoint that `Run.checkpoint` wrote.

    Args:
        path: of the checkpoint.
        stepper: as the run had it.
        potential: as the run had it.
        structures: as the run had them; needed for those that had not begun yet.
        max_steps: most steps of any structure, those before counted.
        every: steps between snapshots.
        room: how much goes into one batch.
        checkpoints: where and how often to save.

    Raises:
        CheckpointError: the file cannot be read or belongs to another method.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    potential.prepare()
    several, refused = let_in(several, stepper, potential)
    progress = load_progress(path, stepper, potential)
    return Run(
        stepper,
        potential,
        several,
        progress=progress,
        refused=refused,
        max_steps=max_steps,
        every=every,
        room=room,
        checkpoints=checkpoints,
    )


def start_or_resume(
    stepper: Stepper[Any],
    potential: Potential,
    structures: Sequence[ase.Atoms],
    *,
    max_steps: int,
    every: int = 1,
    room: Room | None = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """`resume` where the checkpoint is there, else `run`."""
    begin = run
    if checkpoints is not None and checkpoints.path.is_file():
        begin = partial(resume, checkpoints.path)
    return begin(
        stepper,
        potential,
        structures,
        max_steps=max_steps,
        every=every,
        room=room,
        checkpoints=checkpoints,
    )
