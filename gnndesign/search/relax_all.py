"""Relaxing many structures of which some may be beyond help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ase

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.relaxation import Relaxation, relax


def relax_all(
    structures: Sequence[ase.Atoms],
    potential: Potential,
    *,
    cell: str | None,
    max_force: float,
    max_steps: int,
    should_stop: Callable[[], bool] | None = None,
) -> list[Relaxation | StructureError]:
    """Relax in one batch; a start without meaning costs only itself.

    `relax` refuses a batch in which atoms of one start overlap or its energy is not
    finite. Then the batch is halved until those starts are alone.

    Args:
        structures: not modified.
        potential: gives the forces.
        cell: what of the cell may change.
        max_force: eV/Å.
        max_steps: most steps of a structure.
        should_stop: asked after every step.

    Returns:
        For each structure its relaxation, or the error that says why there is none.
    """
    try:
        done = relax(
            list(structures),
            potential,
            cell=cell,
            max_force=max_force,
            max_steps=max_steps,
            should_stop=should_stop,
        )
    except StructureError as error:
        if len(structures) == 1:
            return [error]
        half = len(structures) // 2
        results: list[Relaxation | StructureError] = []
        for part in (structures[:half], structures[half:]):
            results += relax_all(
                part,
                potential,
                cell=cell,
                max_force=max_force,
                max_steps=max_steps,
                should_stop=should_stop,
            )
        return results
    return list(done)
