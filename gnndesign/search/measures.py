"""The numbers a search can look for."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import ase
import numpy as np
import spglib

from gnndesign.errors import ParameterError, StructureError
from gnndesign.properties.base import Property, Steps
from gnndesign.properties.plain import to_plain
from gnndesign.search.chemistry import price_USD_per_kg, supply_risk_hhi
from gnndesign.search.objectives import Measure, Stage, Subject
from gnndesign.units import ATOMIC_MASS_KG

_GRAMS_PER_CM3 = ATOMIC_MASS_KG * 1e27
"""amu/Å³ in g/cm³."""

_UNITS = {
    "_GPa": "GPa",
    "_THz": "THz",
    "_K": "K",
    "_per_K": "1/K",
    "_V": "V",
    "_g_per_cm3": "g/cm³",
    "_J_per_m2": "J/m²",
    "_W_per_m_K": "W/(m K)",
    "_percent": "%",
    "_deg": "°",
    "volume_per_atom": "Å³/atom",
    "_per_atom": "eV/atom",
    "energy": "eV",
    "_depth": "eV",
    "_length": "Å",
}
"""What the ends of the names of quantities say, the first that fits."""

_LATE = {
    "phonons": Stage.PHONONS,
    "quasi_harmonic": Stage.PHONONS,
    "thermal_conductivity": Stage.PHONONS,
    "follow_mode": Stage.PHONONS,
    "diffusion": Stage.DYNAMICS,
    "liquid_structure": Stage.DYNAMICS,
    "vibrations_md": Stage.DYNAMICS,
    "density_temperature": Stage.DYNAMICS,
    "melting": Stage.DYNAMICS,
    "viscosity": Stage.DYNAMICS,
}

Axis = Literal["a", "b", "c"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Direct(Measure):
    """A number that needs no further structures."""

    @abstractmethod
    def value(self, subject: Subject) -> float:
        """The number, in `unit`."""

    def steps(self, subject: Subject) -> Steps[float]:
        """No work, but the number."""
        yield from ()
        return self.value(subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormationEnergy(_Direct):
    """Energy of formation from the elements, eV/atom; negative where it is gained.

        (E - sum over atoms of E_element / n_element) / n_atoms

    E_element / n_element is the energy per atom of the elemental ground state relaxed
    with the same potential. No correction for gases or mixed levels of theory is applied:
    the error of the level of theory the potential was trained on (oxides come out too
    weakly bound with PBE) is in it.

    Attributes:
        relaxed: False takes the structure as it was built, for one evaluation instead
            of a relaxation; an upper bound, to throw out what is far too high.
    """

    kind: ClassVar[str] = "formation_energy"
    needs_references: ClassVar[bool] = True

    relaxed: bool = True

    @property
    def name(self) -> str:
        """Says where it is that of the start."""
        return self.kind if self.relaxed else f"{self.kind}_as_built"

    @property
    def unit(self) -> str:
        """Energies per atom."""
        return "eV/atom"

    @property
    def stage(self) -> Stage:
        """By `relaxed`."""
        return Stage.RELAXED if self.relaxed else Stage.SINGLE_POINT

    def value(self, subject: Subject) -> float:
        """Formation energy, eV/atom."""
        symbols = subject.atoms.get_chemical_symbols()
        elements = sum(subject.reference_energies[symbol] for symbol in symbols)
        return (subject.energy - elements) / len(symbols)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticeConstant(_Direct):
    """A lattice constant of the conventional cell, Å.

    Attributes:
        axis: which one, "a", "b" or "c", of the conventional (standardized) cell of the
            structure as it was built. The relaxed lattice is expressed in the same
            cell, so that values of different candidates compare even where a relaxation
            broke the symmetry.
    """

    kind: ClassVar[str] = "lattice_constant"

    axis: Axis = "a"

    def __post_init__(self) -> None:
        if self.axis not in get_args(Axis):
            raise ParameterError(f"Wanted the axis a, b or c, got '{self.axis}'.")

    @property
    def name(self) -> str:
        """Says the axis where it is not a."""
        return self.kind if self.axis == "a" else f"{self.kind}_{self.axis}"

    @property
    def unit(self) -> str:
        """Lengths."""
        return "Å"

    def value(self, subject: Subject) -> float:
        """Lattice constant, Å."""
        cell = _conventional_cell(subject.start, subject.atoms)
        return float(np.linalg.norm(cell["abc".index(self.axis)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Density(_Direct):
    """Mass density, g/cm³."""

    kind: ClassVar[str] = "density"

    @property
    def unit(self) -> str:
        """Mass per volume."""
        return "g/cm³"

    def value(self, subject: Subject) -> float:
        """Mass density, g/cm³."""
        mass = float(subject.atoms.get_masses().sum())
        return _GRAMS_PER_CM3 * mass / float(subject.atoms.cell.volume)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(_Direct):
    """Price of the elements in it, USD/kg, see `chemistry.price_USD_per_kg`."""

    kind: ClassVar[str] = "price"

    @property
    def unit(self) -> str:
        """Money per mass."""
        return "USD/kg"

    @property
    def stage(self) -> Stage:
        """Of the formula alone."""
        return Stage.COMPOSITION

    def value(self, subject: Subject) -> float:
        """Price, USD/kg."""
        return price_USD_per_kg(subject.candidate.composition)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyRisk(_Direct):
    """Herfindahl-Hirschman index of its elements, see `chemistry.supply_risk_hhi`."""

    kind: ClassVar[str] = "supply_risk"

    @property
    def unit(self) -> str:
        """An index from 0 to 10,000."""
        return "HHI"

    @property
    def stage(self) -> Stage:
        """Of the formula alone."""
        return Stage.COMPOSITION

    def value(self, subject: Subject) -> float:
        """Weighted mean of the indices of the elements."""
        return supply_risk_hhi(subject.candidate.composition)


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyMeasure(Measure):
    """A number of a property of the relaxed structure.

    Attributes:
        of: what is computed, such as `Elasticity()`.
        quantity: key of the number in the property's table: "bulk_modulus_GPa".
    """

    kind: ClassVar[str] = "property"

    of: Property[Any]
    quantity: str

    @property
    def name(self) -> str:
        """That of the quantity."""
        return self.quantity

    @property
    def unit(self) -> str:
        """By the end of the quantity's name; empty where it does not say."""
        return next((u for end, u in _UNITS.items() if self.quantity.endswith(end)), "")

    @property
    def stage(self) -> Stage:
        """By the cost of the property."""
        return _LATE.get(self.of.kind, Stage.PROPERTY)

    def steps(self, subject: Subject) -> Steps[float]:
        """The property's own work, once for all of its quantities."""
        key = repr(self.of)
        if key not in subject.results:
            self.of.refuse(subject.atoms)
            result = yield from self.of.steps(subject.atoms, subject.potential)
            subject.results[key] = result
        numbers = {q.key: q.value for q in subject.results[key].quantities()}
        if self.quantity not in numbers:
            raise StructureError(
                f"{self.of.title} of {subject.candidate.formula} has no "
                f"'{self.quantity}'; it has {', '.join(numbers)}."
            )
        return numbers[self.quantity]

    def to_dict(self) -> dict[str, Any]:
        """With the property as `properties.plain` writes it."""
        return {
            "kind": self.kind,
            "of": to_plain(self.of),
            "quantity": self.quantity,
        }


MEASURES: dict[str, type[Measure]] = {
    measure.kind: measure
    for measure in (FormationEnergy, LatticeConstant, Density, Price, SupplyRisk)
}
"""By kind."""

QUANTITIES = {
    "energy_above_hull": ("energy_above_hull", "energy_above_hull_per_atom"),
    "bulk_modulus": ("elasticity", "bulk_modulus_GPa"),
    "shear_modulus": ("elasticity", "shear_modulus_GPa"),
    "cohesive_energy": ("cohesion", "cohesive_energy_per_atom"),
}
"""Short names of numbers of properties: kind of the property and its quantity."""


def _conventional_cell(start: ase.Atoms, relaxed: ase.Atoms) -> np.ndarray:
    """(3, 3) Å, rows: the relaxed lattice in the conventional cell of the start."""
    cell = (
        start.cell.array.tolist(),
        start.get_scaled_positions().tolist(),
        start.numbers.tolist(),
    )
    with warnings.catch_warnings():
        # spglib announces that it will raise where it now returns None; both are met.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=1e-3)
        except spglib.SpglibError:
            dataset = None
    if dataset is None:
        raise StructureError(
            f"No symmetry found in the built {start.get_chemical_formula()}, so it has "
            "no conventional cell."
        )
    # Columns: (a b c)_conventional = (a b c) P^-1, spglib's definition.
    inverse = np.linalg.inv(np.asarray(dataset.transformation_matrix))
    return inverse.T @ relaxed.cell.array
