"""What a search can look for: each objective is a number of a relaxed candidate."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

import ase
import numpy as np
import spglib

from gnndesign.errors import ParameterError, StructureError
from gnndesign.units import ATOMIC_MASS_KG

Direction = Literal["minimize", "maximize"]

_GRAMS_PER_CM3 = ATOMIC_MASS_KG * 1e27
"""amu/Å³ in g/cm³."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaxedCandidate:
    """What an objective is computed from.

    Attributes:
        start: the crystal as it was built, with the prototype's exact symmetry.
        atoms: the relaxed crystal, its atoms in the same order.
        energy: of all its atoms, eV.
        reference_energies: eV/atom of the elemental ground states, by chemical symbol;
            empty where no objective needs them.
    """

    start: ase.Atoms
    atoms: ase.Atoms
    energy: float
    reference_energies: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(ABC):
    """A number to make as small or as large as possible.

    Attributes:
        kind: its name in a job specification.
        unit: of the value.
        needs_references: whether `reference_energies` must be given.
    """

    kind: ClassVar[str]
    unit: ClassVar[str]
    needs_references: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """By which a trial's values are found."""
        return self.kind

    @property
    def direction(self) -> Direction:
        """What is better: "minimize" or "maximize"."""
        return "minimize"

    @abstractmethod
    def value(self, relaxed: RelaxedCandidate) -> float:
        """The number to optimize, in `unit`.

        Raises:
            StructureError: it cannot be computed for this structure.
        """

    def details(self, relaxed: RelaxedCandidate) -> dict[str, float]:
        """Further numbers worth keeping, by name with unit ("lattice_constant_A")."""
        del relaxed
        return {}

    def to_dict(self) -> dict[str, Any]:
        """What defines the objective, as JSON would have it."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormationEnergy(Objective):
    """Energy of formation from the elements, eV/atom; negative where it is gained.

        (E - sum over atoms of E_element / n_element) / n_atoms

    E_element / n_element is the energy per atom of the elemental ground state relaxed
    with the same potential. No correction for gases or mixed levels of theory is applied:
    the error of the level of theory the potential was trained on (oxides come out too
    weakly bound with PBE) is in it.
    """

    kind: ClassVar[str] = "formation_energy"
    unit: ClassVar[str] = "eV/atom"
    needs_references: ClassVar[bool] = True

    def value(self, relaxed: RelaxedCandidate) -> float:
        """Formation energy, eV/atom."""
        symbols = relaxed.atoms.get_chemical_symbols()
        elements = sum(relaxed.reference_energies[symbol] for symbol in symbols)
        return (relaxed.energy - elements) / len(symbols)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticeConstant(Objective):
    """How far a lattice constant of the conventional cell is from a target, Å.

    Attributes:
        target: wanted lattice constant, Å.
        axis: which one, "a", "b" or "c", of the conventional (standardized) cell of the
            prototype. The relaxed lattice is expressed in the same cell, so that values
            of different candidates compare even where a relaxation broke the symmetry.
    """

    target: float
    axis: Literal["a", "b", "c"] = "a"

    kind: ClassVar[str] = "lattice_constant_deviation"
    unit: ClassVar[str] = "Å"

    def __post_init__(self) -> None:
        if not 0.5 < self.target < 100.0:
            raise ParameterError(
                f"Wanted a target lattice constant between 0.5 and 100 Å, got "
                f"{self.target}."
            )
        if self.axis not in ("a", "b", "c"):
            raise ParameterError(f"Wanted the axis a, b or c, got '{self.axis}'.")

    @property
    def name(self) -> str:
        """Says the axis where it is not a."""
        return self.kind if self.axis == "a" else f"{self.kind}_{self.axis}"

    def value(self, relaxed: RelaxedCandidate) -> float:
        """Absolute deviation from the target, Å."""
        return abs(self._length(relaxed) - self.target)

    def details(self, relaxed: RelaxedCandidate) -> dict[str, float]:
        """The lattice constant itself, Å."""
        return {f"lattice_constant_{self.axis}_A": self._length(relaxed)}

    def _length(self, relaxed: RelaxedCandidate) -> float:
        cell = _conventional_cell(relaxed.start, relaxed.atoms)
        return float(np.linalg.norm(cell["abc".index(self.axis)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Density(Objective):
    """Mass density, g/cm³, as small or as large as possible.

    Attributes:
        largest: look for the densest instead of the lightest.
    """

    largest: bool = False

    kind: ClassVar[str] = "density"
    unit: ClassVar[str] = "g/cm³"

    @property
    def direction(self) -> Direction:
        """By `largest`."""
        return "maximize" if self.largest else "minimize"

    def value(self, relaxed: RelaxedCandidate) -> float:
        """Mass density, g/cm³."""
        mass = float(relaxed.atoms.get_masses().sum())
        return _GRAMS_PER_CM3 * mass / float(relaxed.atoms.cell.volume)


_KINDS: dict[str, type[Objective]] = {
    objective.kind: objective
    for objective in (FormationEnergy, LatticeConstant, Density)
}


def objective_from_dict(data: Mapping[str, Any]) -> Objective:
    """The objective that `Objective.to_dict` described.

    Raises:
        ParameterError: unknown kind or parameters.
    """
    parameters = {key: value for key, value in data.items() if key != "kind"}
    kind = _KINDS.get(data.get("kind", ""))
    if kind is None:
        raise ParameterError(
            f"Unknown objective '{data.get('kind')}'; known: {', '.join(_KINDS)}."
        )
    try:
        return kind(**parameters)
    except TypeError as error:
        raise ParameterError(
            f"Objective '{kind.kind}' does not take {sorted(parameters)}."
        ) from error


def checked_objectives(
    objectives: Objective | Sequence[Objective],
) -> tuple[Objective, ...]:
    """One or more objectives as a tuple.

    Raises:
        ParameterError: none, or two of the same name.
    """
    several = (objectives,) if isinstance(objectives, Objective) else tuple(objectives)
    if not several:
        raise ParameterError("Wanted at least one objective, got none.")
    names = [objective.name for objective in several]
    if len(set(names)) < len(names):
        raise ParameterError(f"Each objective may be given once, got {names}.")
    return several


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
