"""The door: which structures a method and a potential can do something with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ase

from gnndesign.batch import AtomicBatch, check_usable, name_of
from gnndesign.errors import StructureError, UnsupportedElementError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import AtomData, Stepper


def let_in(
    structures: Sequence[ase.Atoms], stepper: Stepper[Any], potential: Potential
) -> tuple[list[ase.Atoms], dict[int, StructureError | UnsupportedElementError]]:
    """The structures as the method begins with them, and why others cannot be used.

    The latter by their place in the list; each is named, and stays as it was given.
    """
    found: dict[int, StructureError | UnsupportedElementError] = {}
    prepared = list(structures)
    for index, atoms in enumerate(structures):
        try:
            check_usable(atoms, index)
        except StructureError as error:
            found[index] = error
            continue
        try:
            potential.check_elements(AtomicBatch.from_atoms(atoms))
            stepper.refuse(atoms)
            prepared[index] = stepper.prepare(atoms)
            AtomData.from_atoms([prepared[index]])
        except (StructureError, UnsupportedElementError) as error:
            found[index] = type(error)(f"{name_of(atoms, index)}: {error}")
    return prepared, found
