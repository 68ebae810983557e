"""The door: which structures a method and a potential can do something with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ase

from gnndesign.batch import check_usable, name_of
from gnndesign.errors import StructureError, UnsupportedElementError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import AtomData, Stepper


def refusals(
    structures: Sequence[ase.Atoms], stepper: Stepper[Any], potential: Potential
) -> dict[int, StructureError | UnsupportedElementError]:
    """Why structures cannot be used, by their place in the list; each is named."""
    found: dict[int, StructureError | UnsupportedElementError] = {}
    for index, atoms in enumerate(structures):
        try:
            check_usable(atoms, index)
        except StructureError as error:
            found[index] = error
            continue
        try:
            potential.card.check_elements(atoms.numbers.tolist())
            AtomData.from_atoms([atoms])
            stepper.refuse(atoms)
        except (StructureError, UnsupportedElementError) as error:
            found[index] = type(error)(f"{name_of(atoms, index)}: {error}")
    return found
