"""Changes of a structure that change nothing physical: `Transformation`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float, Int

from gnndesign.errors import ParameterError

_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """A relabelling, a mirroring, a rotation and a translation, in this order.

        r'_i = R M r_p(i) + t,    cell likewise without t

    with p a permutation within each element, M a mirroring, R a rotation (Rodrigues'
    formula). The energy of a physical system stays, its forces become R M F_p(i).

    Attributes:
        axis: of the rotation and of the translation; its mirror is the plane across.
        angle: degrees, right-handed about `axis`.
        shift: Å along `axis`.
        mirrored: whether the sign of the coordinate along `axis` is changed.
        cyclic: steps by which the atoms of each element are renumbered in a circle.
        swapped: two atoms of one element that change places; None for none.

    Raises:
        ParameterError: an unknown axis, or a number that is not finite.
    """

    axis: str = "z"
    angle: float = 0.0
    shift: float = 0.0
    mirrored: bool = False
    cyclic: int = 0
    swapped: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.axis not in _AXES:
            raise ParameterError(f"Wanted an axis 'x', 'y' or 'z', got {self.axis!r}.")
        if not (math.isfinite(self.angle) and math.isfinite(self.shift)):
            raise ParameterError(
                "Wanted an angle in degrees and a shift in Å, got "
                f"{self.angle} and {self.shift}."
            )

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """R M, which acts on column vectors."""
        along = _AXES[self.axis]
        one, other = (along + 1) % 3, (along + 2) % 3
        angle = math.radians(self.angle)
        matrix = np.eye(3)
        matrix[[one, other], [one, other]] = math.cos(angle)
        matrix[other, one] = math.sin(angle)
        matrix[one, other] = -math.sin(angle)
        if self.mirrored:
            matrix[:, along] *= -1.0
        return matrix

    def order(self, atoms: ase.Atoms) -> Int[np.ndarray, " n_atoms"]:
        """(n_atoms,) p: which atom takes each place.

        Raises:
            ParameterError: the atoms to swap are not there, or of two elements.
        """
        order = np.arange(len(atoms))
        for number in np.unique(atoms.numbers):
            places = np.flatnonzero(atoms.numbers == number)
            order[places] = np.roll(places, -self.cyclic)
        if self.swapped is not None:
            one, other = self.swapped
            if not (0 <= one < len(atoms) and 0 <= other < len(atoms)):
                raise ParameterError(
                    f"Wanted two atoms of 0 to {len(atoms) - 1} to swap, got {one} and "
                    f"{other}."
                )
            if atoms.numbers[one] != atoms.numbers[other]:
                raise ParameterError(
                    f"Wanted two atoms of one element to swap, got {one} "
                    f"({atoms.symbols[one]}) and {other} ({atoms.symbols[other]})."
                )
            order[[one, other]] = order[[other, one]]
        return order

    def apply(self, atoms: ase.Atoms) -> ase.Atoms:
        """The changed structure, without constraints and results.

        Raises:
            ParameterError: see `order`.
        """
        order, back = self.order(atoms), self.matrix.T
        changed = ase.Atoms(
            atoms.numbers[order],
            positions=atoms.positions[order] @ back,
            cell=atoms.cell.array @ back,
            pbc=atoms.pbc,
        )
        changed.positions[:, _AXES[self.axis]] += self.shift
        return changed

    def forces(
        self, atoms: ase.Atoms, forces: Float[np.ndarray, "n_atoms 3"]
    ) -> Float[np.ndarray, "n_atoms 3"]:
        """(n_atoms, 3) eV/Å: the forces that the changed structure must have.

        Args:
            atoms: before the change.
            forces: on them.
        """
        return forces[self.order(atoms)] @ self.matrix.T
