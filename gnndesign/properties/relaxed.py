"""Relaxed structures with their energies; relaxations of which some may fail."""

from __future__ import annotations

from collections.abc import Sequence

import ase

from gnndesign.errors import StructureError
from gnndesign.properties.base import End, Steps
from gnndesign.properties.work import AS_GIVEN, Relaxing, evaluated, not_converged
from gnndesign.simulation.base import Status


def relaxed_energy(
    atoms: ase.Atoms, relaxing: Relaxing | None
) -> Steps[tuple[ase.Atoms, float]]:
    """The structure that a property is of, and its energy in eV.

    Args:
        atoms: the input.
        relaxing: how; None takes it as it is.

    Raises:
        ConvergenceError: it did not converge, or cannot be evaluated.
    """
    if relaxing is None:
        (end,) = yield from evaluated([atoms], "structure")
    else:
        (end,) = yield from relaxing.steps([atoms], "structure")
    return end.atoms, end.energy


def relaxed_where_possible(
    structures: Sequence[ase.Atoms],
    names: Sequence[str],
    relaxing: Relaxing | None,
) -> Steps[tuple[list[End | None], tuple[str, ...]]]:
    """Relax, and leave out what does not converge.

    Args:
        structures: one or more.
        names: what each of them is, for notes.
        relaxing: how; None evaluates them as they are.

    Returns:
        For each of them its end, None where it is left out; and one note for each of
        those, which says why.

    Raises:
        ConvergenceError: none of them converged.
    """
    # Where no force is too large, the first evaluation ends it.
    how = relaxing or AS_GIVEN
    ends = yield how.work(structures)
    found = [end if end.status is Status.CONVERGED else None for end in ends]
    errors = [
        not_converged(end, name, how.max_force)
        for end, name in zip(ends, names, strict=True)
        if end.status is not Status.CONVERGED
    ]
    if len(errors) == len(ends):
        raise errors[0]
    return found, tuple(f"Left out: {error}" for error in errors)


def refuse_all_but_crystals(atoms: ase.Atoms, what: str) -> None:
    """Say no to what is not periodic in three directions.

    Args:
        atoms: the structure.
        what: it would have: "formation energy".

    Raises:
        StructureError: it is no crystal.
    """
    if not atoms.pbc.all():
        raise StructureError(
            f"{atoms.get_chemical_formula('metal')} is not periodic in three "
            f"directions, so it has no {what}. Wanted a crystal."
        )
