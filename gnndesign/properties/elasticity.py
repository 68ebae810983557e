"""Elastic tensor: stress against strain.

Copies of the crystal at rest are strained one component of the strain at a time, their
ions relaxed in the strained cell, and the derivative of the stress at zero strain taken
from polynomials through the stresses.

The strain is Green and Lagrange's, E = (FᵀF - 1) / 2, and the deformation gradient F the
symmetric one, F = √(1 + 2 E), so that a copy is stretched but not turned. The stress is
Cauchy's, force an area of the strained crystal. Their ratio is the stress-strain
coefficients of a crystal under stress (D. C. Wallace, Thermodynamics of Crystals (1972),
ch. 1), which K = -V dP/dV and stability go by at any pressure; without pressure they are

    C_ijkl = 1/V d²U / dE_ij dE_kl

The default strains are those of M. de Jong et al. (Sci. Data 2, 150009 (2015)) and of
MatCalc. Sheared by 6 %, crystals are far from linear: the slope of a straight line, which
both take, misses the shear modulus at small strain by a tenth. Cubic polynomials through
the same stresses do not; `degree=2` gives the line's slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import FitError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Steps
from gnndesign.properties.bounds import Symprec, check_bounds
from gnndesign.properties.elastic_moduli import VOIGT, to_mandel
from gnndesign.properties.elasticity_result import ElasticityResult, fitted, turned
from gnndesign.properties.standard_orientation import (
    point_group,
    standard_orientation,
)
from gnndesign.properties.work import Relaxing, equilibrium, evaluated
from gnndesign.units import EV_PER_A3_TO_GPA

_Strain = Annotated[float, Interval(ge=-0.2, le=0.2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elasticity(Property[ElasticityResult]):
    """Elastic tensor.

    Attributes:
        normal_strains: E_xx and its like, of one copy each.
        shear_strains: E_xy and its like: half the engineering shear strain. Where the
            stresses are no polynomials of such shears, as in soft molecular crystals,
            they are made as small as the normal strains, and a note says so.
        relaxing: how the crystal is brought to rest first; None takes it as it is.
        at_each: how the ions follow a strain, in a cell that stays; None clamps them
            to their fractional coordinates.
        degree: of the polynomials in the strain where there are strains enough, 2 or 3.
            For strains of both signs that of degree 2 has the slope of a straight line;
            a cubic one has the slope at small strain.
        use_symmetry: whether only those strains are computed from which the point group
            makes the others: two of six for a cubic crystal. Wants a potential whose
            stress turns with the crystal.
        symprec: Å, within which the symmetry is found.
    """

    kind: ClassVar[str] = "elasticity"
    title: ClassVar[str] = "Elastic tensor"

    normal_strains: tuple[_Strain, ...] = (-0.01, -0.005, 0.005, 0.01)
    shear_strains: tuple[_Strain, ...] = (-0.06, -0.03, 0.03, 0.06)
    relaxing: Relaxing | None = field(default_factory=Relaxing)
    at_each: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell=None, max_force=0.002)
    )
    degree: Annotated[int, Interval(ge=2, le=3)] = 3
    use_symmetry: bool = False
    symprec: Symprec = 1e-2

    def __post_init__(self) -> None:
        check_bounds(self)
        for name in ("normal_strains", "shear_strains"):
            strains = getattr(self, name)
            if not strains or not all(strains):
                raise ParameterError(
                    f"Wanted {name}, at least one and none zero, got {strains}."
                )
        if self.at_each is not None and self.at_each.cell is not None:
            raise ParameterError(
                "Wanted at_each with cell=None, which keeps the strain, got "
                f"{self.at_each.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has an elastic tensor."""
        if not atoms.pbc.all():
            raise StructureError(
                f"{atoms.get_chemical_formula('metal')} is not periodic in three "
                "directions, so it has no elastic tensor. Wanted a crystal."
            )
        if atoms.constraints:
            raise StructureError(
                f"Atoms of {atoms.get_chemical_formula('metal')} are constrained; in "
                "an elastic tensor all of them follow the strain. Remove the "
                "constraints."
            )

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[ElasticityResult]:
        """Relax, turn, strain, relax the ions, fit; if that fails with smaller shears."""
        del potential
        relaxed = yield from equilibrium(atoms, self.relaxing)
        start = standard_orientation(relaxed, self.symprec)
        try:
            return (yield from self._fitted(start, self.shear_strains))
        except FitError:
            wanted, reach = (
                max(map(abs, strains))
                for strains in (self.shear_strains, self.normal_strains)
            )
            if reach >= wanted:
                raise
        smaller = tuple(reach / wanted * strain for strain in self.shear_strains)
        found = yield from self._fitted(start, smaller)
        said = (
            f"Shears of {wanted:.2g} are too large for polynomials of its stress; those "
            f"taken are up to {reach:.2g}."
        )
        return replace(found, notes=(said, *found.notes))

    def _fitted(
        self, start: ase.Atoms, shear_strains: tuple[float, ...]
    ) -> Steps[ElasticityResult]:
        """The tensor from the stresses of strained copies of a crystal at rest."""
        turns = point_group(start, self.symprec)
        chosen = _independent(turns) if self.use_symmetry else tuple(range(6))
        amounts = [
            self.normal_strains if place < 3 else shear_strains for place in chosen
        ]
        strains = np.array(
            [
                np.zeros((3, 3)),
                *(
                    amount * _UNITS[place]
                    for place, several in zip(chosen, amounts, strict=True)
                    for amount in several
                ),
            ]
        )
        copies = [_strained(start, strain) for strain in strains]
        if self.at_each is None:
            ends = yield from evaluated(copies, "strained copy")
        else:
            ends = yield from self.at_each.steps(copies, "strained copy")
        stresses = np.array([end.stress for end in ends]) * EV_PER_A3_TO_GPA
        places = np.cumsum([1, *(len(several) for several in amounts)])[:-1]
        at_rest, *strained = np.split(stresses, places)
        fits = [
            _slope(several, found, at_rest[0], self.degree)
            for several, found in zip(amounts, strained, strict=True)
        ]
        missed, changed = np.array([squares for _, squares in fits]).sum(0)
        return fitted(
            start,
            _UNITS[list(chosen)],
            np.array([slope for slope, _ in fits]),
            turns,
            strains=strains,
            stresses_GPa=stresses,
            fit_residual=float(np.sqrt(missed / changed)),
        )


def _slope(
    amounts: Sequence[float],
    stresses: Float[np.ndarray, "n_amounts 3 3"],
    at_rest: Float[np.ndarray, "3 3"],
    degree: int,
) -> tuple[Float[np.ndarray, "3 3"], tuple[float, float]]:
    """Derivative of the stress at no strain; sums of squares of what the fit misses,
    and of what the stress changes.
    """
    x = np.array([0.0, *amounts])
    y = np.concatenate([at_rest[None], stresses]).reshape(len(x), 9)
    powers = np.vander(x, 1 + min(degree, len(set(amounts))), increasing=True)
    coefficients = np.linalg.lstsq(powers, y, rcond=None)[0]
    missed = ((powers @ coefficients - y) ** 2).sum()
    changed = ((y - y[0]) ** 2).sum()
    return coefficients[1].reshape(3, 3), (float(missed), float(changed))


def _strained(atoms: ase.Atoms, strain: Float[np.ndarray, "3 3"]) -> ase.Atoms:
    """A copy under a Green-Lagrange strain, not turned."""
    values, vectors = np.linalg.eigh(np.eye(3) + 2 * strain)
    gradient = (vectors * np.sqrt(values)) @ vectors.T
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ gradient, scale_atoms=True)
    return copy


def _independent(turns: Float[np.ndarray, "n_operations 3 3"]) -> tuple[int, ...]:
    """Places of the strains from which the point group makes all."""
    chosen: list[int] = []
    rank = 0
    for place in range(6):
        several = [*chosen, place]
        known = to_mandel(turned(_UNITS[several], turns)).reshape(-1, 6)
        found = int(np.linalg.matrix_rank(known, tol=1e-6))
        if found > rank:
            chosen, rank = several, found
    return tuple(chosen)


def _unit_strain(row: int, column: int) -> Float[np.ndarray, "3 3"]:
    strain = np.zeros((3, 3))
    strain[row, column] = strain[column, row] = 1.0
    return strain


_UNITS = np.array([_unit_strain(*pair) for pair in VOIGT])
