"""Equation of state: energy against volume, and the bulk modulus.

Birch-Murnaghan, third order (F. Birch, Phys. Rev. 71, 809 (1947)), x = (V0/V)^(2/3):

    E(V) = E0 + 9 V0 B0 / 16 [ (x - 1)³ B0' + (x - 1)² (6 - 4 x) ]

Vinet (P. Vinet et al., J. Phys.: Condens. Matter 1, 1941 (1989)), y = (V/V0)^(1/3),
η = 3/2 (B0' - 1):

    E(V) = E0 + 2 B0 V0 / (B0' - 1)² [ 2 - (5 + 3 B0' (y - 1) - 3 y) exp(η (1 - y)) ]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float
from scipy.optimize import curve_fit

from gnndesign.errors import FitError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps, quantities_of
from gnndesign.properties.bounds import check_bounds
from gnndesign.properties.work import AS_GIVEN, Relaxing, equilibrium
from gnndesign.units import EV_PER_A3_TO_GPA

Form = Literal["birch-murnaghan", "vinet"]

_MOST_RESIDUAL = 0.02
"""Of the span of the energies: a fit that misses by more describes something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EquationOfStateResult:
    """Energy against volume and what the fit says.

    Attributes:
        atoms: the structure at zero pressure that the volumes were made from.
        form: of the fit.
        volumes: (n_points,) Å³ of the cell, ascending.
        energies: (n_points,) eV of the cell.
        volume: V0, Å³ of the cell.
        volume_per_atom: V0 an atom, Å³.
        energy_per_atom: E0 an atom, eV.
        bulk_modulus_GPa: B0.
        bulk_modulus_derivative: B0', no unit.
        residual_meV_per_atom: root mean square of what the fit misses.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    form: Form
    volumes: Float[np.ndarray, " n_points"]
    energies: Float[np.ndarray, " n_points"]
    volume: float
    volume_per_atom: float
    energy_per_atom: float
    bulk_modulus_GPa: float
    bulk_modulus_derivative: float
    residual_meV_per_atom: float
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Bulk modulus", "GPa", "bulk_modulus_GPa"),
            ("Volume", "Å³/atom", "volume_per_atom"),
            ("Derivative of the bulk modulus", "", "bulk_modulus_derivative"),
            ("Energy", "eV/atom", "energy_per_atom"),
        )
        return quantities_of(self, rows)

    def curve(self, volumes: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """(n,) eV, the fit at volumes of the cell in Å³."""
        modulus = self.bulk_modulus_GPa / EV_PER_A3_TO_GPA
        energy = self.energy_per_atom * len(self.atoms)
        curve = FORMS[self.form]
        return curve(
            volumes, energy, self.volume, modulus, self.bulk_modulus_derivative
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EquationOfState(Property[EquationOfStateResult]):
    """Energy against volume, fitted.

    Attributes:
        n_points: number of volumes, evenly spaced.
        strain: largest change of the volume, as a fraction.
        form: "birch-murnaghan" or "vinet".
        relaxing: how the structure is brought to zero pressure first; None to take the
            volumes around the one given.
        at_each: how atoms (and the cell's shape) follow at each volume; None to scale
            their coordinates alone.
    """

    kind: ClassVar[str] = "equation_of_state"
    title: ClassVar[str] = "Equation of state"

    n_points: Annotated[int, Interval(ge=5, le=1000)] = 11
    strain: Annotated[float, Interval(ge=0.005, le=0.3)] = 0.06
    form: Form = "birch-murnaghan"
    relaxing: Relaxing | None = field(default_factory=Relaxing)
    at_each: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell="constant_volume")
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.form not in FORMS:
            raise ParameterError(f"Wanted form in {tuple(FORMS)}, got {self.form!r}.")
        if self.at_each is not None and self.at_each.cell not in (
            None,
            "constant_volume",
        ):
            raise ParameterError(
                "Wanted at_each with cell=None or 'constant_volume', which keep the "
                f"volume, got {self.at_each.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has a volume."""
        if not atoms.pbc.all():
            raise StructureError(
                f"{atoms.get_chemical_formula('metal')} is not periodic in three "
                "directions, so it has no volume and no equation of state. Wanted a "
                "crystal."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[EquationOfStateResult]:
        """Relax, scale, relax at each volume, fit."""
        del potential
        start = yield from equilibrium(atoms, self.relaxing)
        fractions = 1.0 + np.linspace(-self.strain, self.strain, self.n_points)
        copies = [_scaled(start, float(fraction)) for fraction in fractions]
        # Where nothing is free to move, the first evaluation ends it.
        relaxing = self.at_each or AS_GIVEN
        ends = yield from relaxing.steps(copies, "copy at volume")
        volumes = np.array([end.atoms.get_volume() for end in ends])
        energies = np.array([end.energy for end in ends])
        return fitted(start, volumes, energies, self.form)


def fitted(
    atoms: ase.Atoms,
    volumes: Float[np.ndarray, " n_points"],
    energies: Float[np.ndarray, " n_points"],
    form: Form = "birch-murnaghan",
) -> EquationOfStateResult:
    """Fit energies against volumes.

    Args:
        atoms: whose cell they are of.
        volumes: (n_points,) Å³.
        energies: (n_points,) eV.
        form: "birch-murnaghan" or "vinet".

    Raises:
        FitError: no minimum between the volumes, or the form does not fit.
    """
    name = atoms.get_chemical_formula("metal")
    if not 0 < int(energies.argmin()) < len(energies) - 1:
        raise FitError(
            f"The energy of {name} has no minimum between {volumes.min():.2f} and "
            f"{volumes.max():.2f} Å³. Relax the structure first, or take a larger "
            "strain."
        )
    curvature, slope, _ = np.polyfit(volumes - volumes.mean(), energies, 2)
    guess_volume = volumes.mean() - slope / (2 * curvature)
    guess = (energies.min(), guess_volume, abs(2 * curvature * guess_volume), 4.0)
    try:
        found, _ = curve_fit(FORMS[form], volumes, energies, p0=guess, maxfev=20_000)
    except RuntimeError as error:
        raise FitError(
            f"No {form} curve goes through the energies of {name}: {error}"
        ) from error
    energy, volume, modulus, derivative = map(float, found)
    missed = FORMS[form](volumes, *found) - energies
    residual = float(np.sqrt((missed**2).mean()))
    good = (
        np.isfinite(found).all()
        and volumes.min() < volume < volumes.max()
        and modulus > 0
        and residual <= _MOST_RESIDUAL * np.ptp(energies)
    )
    if not good:
        raise FitError(
            f"The {form} fit for {name} is not to be trusted: V0 = {volume:.3f} Å³ in "
            f"{volumes.min():.2f} to {volumes.max():.2f}, B0 = "
            f"{modulus * EV_PER_A3_TO_GPA:.1f} GPa, residual "
            f"{1e3 * residual / len(atoms):.2g} meV/atom of a span of "
            f"{1e3 * np.ptp(energies) / len(atoms):.2g}. Look at the energies: the "
            "structure may change phase on the way."
        )
    return EquationOfStateResult(
        atoms=atoms,
        form=form,
        volumes=volumes,
        energies=energies,
        volume=volume,
        volume_per_atom=volume / len(atoms),
        energy_per_atom=energy / len(atoms),
        bulk_modulus_GPa=modulus * EV_PER_A3_TO_GPA,
        bulk_modulus_derivative=derivative,
        residual_meV_per_atom=1e3 * residual / len(atoms),
    )


def _birch_murnaghan(
    volume: Float[np.ndarray, " n"],
    energy: float,
    volume_0: float,
    modulus: float,
    derivative: float,
) -> Float[np.ndarray, " n"]:
    x = np.cbrt(volume_0 / volume) ** 2
    bracket = (x - 1) ** 3 * derivative + (x - 1) ** 2 * (6 - 4 * x)
    return energy + 9 * volume_0 * modulus / 16 * bracket


def _vinet(
    volume: Float[np.ndarray, " n"],
    energy: float,
    volume_0: float,
    modulus: float,
    derivative: float,
) -> Float[np.ndarray, " n"]:
    y = np.cbrt(volume / volume_0)
    rest = 5 + 3 * derivative * (y - 1) - 3 * y
    decay = np.exp(1.5 * (derivative - 1) * (1 - y))
    factor = 2 * modulus * volume_0 / (derivative - 1) ** 2
    return energy + factor * (2 - rest * decay)


FORMS: dict[str, Callable[..., Float[np.ndarray, " n"]]] = {
    "birch-murnaghan": _birch_murnaghan,
    "vinet": _vinet,
}
"""Energy (eV) of a volume, E0, V0, B0 (eV/Å³) and B0'."""


def _scaled(atoms: ase.Atoms, fraction: float) -> ase.Atoms:
    """A copy with a volume changed by a factor."""
    copy = atoms.copy()
    constraints, copy.constraints = copy.constraints, []
    copy.set_cell(atoms.cell.array * fraction ** (1 / 3), scale_atoms=True)
    copy.constraints = constraints
    return copy
