"""What every property speaks: `Property`, `Work`, `End`, `Quantity`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Generic,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status, Stepper

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Structures, and what is to be done with each of them.

    Attributes:
        stepper: `SinglePoint`, `LBFGS`, `Langevin`, ...
        structures: one or more. They are not modified.
        max_steps: most steps of each.
        every: steps between snapshots.
        on_snapshot: told every snapshot of these structures, whose `ids` are their
            places in `structures`.
    """

    stepper: Stepper[Any]
    structures: Sequence[ase.Atoms]
    max_steps: int = 0
    every: int = 1
    on_snapshot: Callable[[Snapshot], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a piece of work ended for one structure.

    Attributes:
        atoms: the last structure, with energy, forces and stress attached.
        energy: eV; NaN where nothing was computed.
        forces: (n_atoms, 3) eV/Å; NaN where nothing was computed.
        stress: (3, 3) eV/Å³, positive under tension; zero without a volume.
        max_force: eV/Å, length of the longest force on a free atom.
        status: as the stepper ends, or REFUSED.
        steps: number of steps made.
        message: why it was refused or what a guard said; empty otherwise.
    """

    atoms: ase.Atoms
    energy: float
    forces: Float[np.ndarray, "n_atoms 3"]
    stress: Float[np.ndarray, "3 3"]
    max_force: float
    status: Status
    steps: int
    message: str


Steps: TypeAlias = Generator[Work, list[End], T]
"""Yields work, is sent one end for each of its structures, and returns a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number of a result, as a table shows it.

    Attributes:
        name: the field's words for it, such as "Bulk modulus".
        value: in `unit`; NaN for what this structure does not have.
        unit: "GPa", "eV/atom"; empty for a pure number.
        key: by which a table's columns and `gnndesign validate` find it, the name of
            the result's attribute: "bulk_modulus_GPa".
    """

    name: str
    value: float
    unit: str
    key: str


def quantities_of(
    result: object, rows: Iterable[tuple[str, str, str]]
) -> tuple[Quantity, ...]:
    """The quantities that are attributes of a result.

    Args:
        result: has them.
        rows: name, unit and key of each, see `Quantity`.
    """
    return tuple(
        Quantity(name=name, value=float(getattr(result, key)), unit=unit, key=key)
        for name, unit, key in rows
    )


@runtime_checkable
class Result(Protocol):
    """What a property gives: a frozen dataclass, units in the names of its fields."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know beside the numbers, one sentence each."""
        ...

    def quantities(self) -> tuple[Quantity, ...]:
        """The numbers that go into a table, the most important one first."""
        ...


ResultT = TypeVar("ResultT", bound=Result)


class Property(ABC, Generic[ResultT]):
    """A property and how it is computed: a frozen dataclass of parameters.

    Attributes:
        kind: its name in jobs, on the command line and in `PROPERTIES`.
        title: what a person calls it.
    """

    __slots__ = ()
    kind: ClassVar[str]
    title: ClassVar[str]

    def refuse(self, atoms: ase.Atoms) -> None:
        """Say no to a structure that has no such property.

        Raises:
            StructureError: what it cannot do, and what to do instead.
        """
        del atoms

    @abstractmethod
    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[ResultT]:
        """The work, piece by piece, and the result.

        Written as if it were alone: whoever runs it puts its structures into one batch
        with those of others. The potential is there to be asked for its card, not for
        energies.

        Raises:
            ConvergenceError: a relaxation or a simulation did not get where it should.
            FitError: a fit has no trustworthy answer.
            StructureError: the structure has no such property.
        """
