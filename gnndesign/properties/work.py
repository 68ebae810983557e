"""Pieces of work that most properties are made of: evaluate, relax, find the minimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import ase

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.properties.base import End, Steps, Work
from gnndesign.properties.bounds import Count, Positive, Pressure, Symprec, check_bounds
from gnndesign.simulation.base import Status
from gnndesign.simulation.cell import CellMode
from gnndesign.simulation.relaxation import METHODS, relaxation_stepper
from gnndesign.simulation.single_point import SinglePoint


def evaluated(structures: Sequence[ase.Atoms], what: str) -> Steps[list[End]]:
    """Energy, forces and stress of structures as they are.

    Args:
        structures: strained or displaced copies, images.
        what: what they are, for messages: "displaced copy".

    Raises:
        ConvergenceError: one of them cannot be evaluated.
    """
    ends = yield Work(stepper=SinglePoint(), structures=structures)
    for place, end in enumerate(ends):
        if end.status is not Status.FINISHED:
            raise ConvergenceError(
                f"{what.capitalize()} {place + 1} of {len(ends)} could not be "
                f"evaluated: {end.message}"
            )
    return ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxing:
    """How a structure is relaxed on the way to a property.

    Attributes:
        cell: None keeps the cell; "isotropic", "constant_volume" or "full" relax it.
        max_force: eV/Å; a relaxation that does not get there gives no property.
        max_steps: most steps.
        method: "lbfgs" or "fire".
        pressure_GPa: target pressure, positive under compression.
        fix_symmetry: whether the space group stays.
        symprec: Å, within which it is found.
    """

    cell: str | None = field(default="full", metadata={"choices": tuple(CellMode)})
    max_force: Positive = 0.01
    max_steps: Count = 1000
    method: str = field(default="lbfgs", metadata={"choices": METHODS})
    pressure_GPa: Pressure = 0.0
    fix_symmetry: bool = False
    symprec: Symprec = 1e-2

    def __post_init__(self) -> None:
        check_bounds(self)
        CellMode.parse(self.cell)
        if self.method not in METHODS:
            raise ParameterError(f"Wanted method in {METHODS}, got {self.method!r}.")

    def work(self, structures: Sequence[ase.Atoms]) -> Work:
        """These structures, to be relaxed like this."""
        stepper = relaxation_stepper(
            self.method,
            cell=self.cell,
            max_force=self.max_force,
            pressure_GPa=self.pressure_GPa,
            fix_symmetry=self.fix_symmetry,
            symprec=self.symprec,
        )
        return Work(stepper=stepper, structures=structures, max_steps=self.max_steps)

    def steps(self, structures: Sequence[ase.Atoms], what: str) -> Steps[list[End]]:
        """Relax; all of them must converge.

        Args:
            structures: one or more.
            what: what they are, for messages: "strained copy".

        Raises:
            ConvergenceError: one of them did not; says how far it got.
        """
        ends = yield self.work(structures)
        for place, end in enumerate(ends):
            if end.status is not Status.CONVERGED:
                which = f"{what} {place + 1} of {len(ends)}" if len(ends) > 1 else what
                raise not_converged(end, which, self.max_force)
        return ends


AS_GIVEN = Relaxing(cell=None, max_force=1e12)
"""Takes structures as they are: any force is small enough."""


def not_converged(end: End, what: str, max_force: float) -> ConvergenceError:
    """What to raise of a relaxation that did not get there."""
    if end.status is Status.STEP_LIMIT and end.max_force <= max_force:
        reason = (
            f"the atoms are at rest, but after {end.steps} steps the cell is not; "
            "allow more steps or a larger force"
        )
    elif end.status is Status.STEP_LIMIT:
        reason = (
            f"the largest force is {end.max_force:.3g} eV/Å after {end.steps} steps, "
            f"wanted {max_force:.3g}; allow more steps or a larger force"
        )
    else:
        reason = end.message or end.status.name.lower()
    return ConvergenceError(f"The relaxation of the {what} did not converge: {reason}.")


def equilibrium(atoms: ase.Atoms, relaxing: Relaxing | None) -> Steps[ase.Atoms]:
    """The structure that a property is of: relaxed, or as it is.

    Structures that several properties ask for are relaxed once.

    Args:
        atoms: the input; its constraints are kept.
        relaxing: how; None takes the input as it is.

    Returns:
        With energy, forces and stress attached where it was relaxed.

    Raises:
        ConvergenceError: it did not converge.
    """
    if relaxing is None:
        return atoms
    (end,) = yield from relaxing.steps([atoms], "structure")
    return end.atoms
