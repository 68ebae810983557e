"""The hull of phases: what is stable, and what the rest falls apart into.

By pymatgen (S. P. Ong et al., Chem. Mater. 20, 1798 (2008)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Quantity

Origin = Literal["structure", "element", "given", "library"]

_ON_HULL = 1e-4
"""eV/atom, what two relaxations to the same minimum may differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A structure with an energy, a point of the hull diagram.

    Attributes:
        formula: reduced.
        amounts: number of atoms of each element in that formula.
        energy_per_atom: eV/atom.
        origin: "structure" is what the property is of, "element" a reference, "given"
            by the caller, "library" an element or prototype of the library.
        checksum: of the potential whose energy it is.
        label: what it is called, such as the name of a prototype.
    """

    formula: str
    amounts: Mapping[str, int]
    energy_per_atom: float
    origin: Origin
    checksum: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A phase that a structure falls apart into.

    Attributes:
        formula: reduced.
        fraction: of the atoms that end in it.
    """

    formula: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HullResult:
    """Where a structure is above the hull, and the hull.

    Attributes:
        formula: reduced, of the structure.
        energy_above_hull_per_atom: eV/atom, zero or positive.
        decomposition_energy_per_atom: eV/atom, against the best mixture of other
            compositions alone: negative for what is stable, by how much it is. For an
            element the same as the energy above the hull.
        formation_energy_per_atom: eV/atom against the elements of the hull.
        decomposition: what it falls apart into, of all phases; itself if it is stable.
        phases: all of them, the structure first.
        formation_energies_per_atom: eV/atom of the phases, in their order.
        above_hull_per_atom: eV/atom of the phases, in their order.
        dft_decomposition_energy_per_atom: eV/atom of the Materials Project for the
            ground state of the composition; None where it is not known or at hand.
        notes: what to know beside the numbers.
    """

    formula: str
    energy_above_hull_per_atom: float
    decomposition_energy_per_atom: float
    formation_energy_per_atom: float
    decomposition: tuple[Product, ...]
    phases: tuple[Phase, ...]
    formation_energies_per_atom: tuple[float, ...]
    above_hull_per_atom: tuple[float, ...]
    dft_decomposition_energy_per_atom: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the system, sorted."""
        return tuple(sorted({s for phase in self.phases for s in phase.amounts}))

    @property
    def is_stable(self) -> bool:
        """Whether it is on the hull, to 0.1 meV/atom."""
        return self.energy_above_hull_per_atom <= _ON_HULL

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        found = [
            Quantity(
                name="Energy above the hull",
                value=self.energy_above_hull_per_atom,
                unit="eV/atom",
                key="energy_above_hull_per_atom",
            ),
            Quantity(
                name="Decomposition energy",
                value=self.decomposition_energy_per_atom,
                unit="eV/atom",
                key="decomposition_energy_per_atom",
            ),
            Quantity(
                name="Formation energy",
                value=self.formation_energy_per_atom,
                unit="eV/atom",
                key="formation_energy_per_atom",
            ),
        ]
        if self.dft_decomposition_energy_per_atom is not None:
            found.append(
                Quantity(
                    name="DFT decomposition energy",
                    value=self.dft_decomposition_energy_per_atom,
                    unit="eV/atom",
                    key="dft_decomposition_energy_per_atom",
                )
            )
        return tuple(found)


def hull(
    phases: Sequence[Phase],
    *,
    dft_decomposition_energy_per_atom: float | None = None,
    notes: tuple[str, ...] = (),
) -> HullResult:
    """The hull of phases, and where the first of them is.

    Args:
        phases: the one asked for first; every element in some form among them.
        dft_decomposition_energy_per_atom: passed on.
        notes: passed on.

    Raises:
        ParameterError: energies of more than one potential, or an element is missing.
    """
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    _refuse_mixtures(phases)
    entries = [_entry(phase) for phase in phases]
    diagram = PhaseDiagram(entries)
    own = entries[0]
    products, above = diagram.get_decomp_and_e_above_hull(own)
    assert products is not None
    assert above is not None
    formation = tuple(map(float, map(diagram.get_form_energy_per_atom, entries)))
    return HullResult(
        formula=phases[0].formula,
        energy_above_hull_per_atom=float(above),
        decomposition_energy_per_atom=_decomposition(phases, entries, float(above)),
        formation_energy_per_atom=formation[0],
        decomposition=tuple(
            Product(formula=phases[entries.index(p)].formula, fraction=float(fraction))
            for p, fraction in sorted(products.items(), key=lambda item: -item[1])
        ),
        phases=tuple(phases),
        formation_energies_per_atom=formation,
        above_hull_per_atom=tuple(
            float(diagram.get_e_above_hull(entry) or 0.0) for entry in entries
        ),
        dft_decomposition_energy_per_atom=dft_decomposition_energy_per_atom,
        notes=notes,
    )


def _decomposition(phases: Sequence[Phase], entries: list[Any], above: float) -> float:
    """Against other compositions alone."""
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    if len(phases[0].amounts) == 1:
        return above
    others = [
        entry
        for phase, entry in zip(phases, entries, strict=True)
        if phase.formula != phases[0].formula
    ]
    _, energy = PhaseDiagram(others).get_decomp_and_e_above_hull(
        entries[0], allow_negative=True, check_stable=False
    )
    assert energy is not None
    return float(energy)


def _refuse_mixtures(phases: Sequence[Phase]) -> None:
    checksums = {phase.checksum for phase in phases}
    if len(checksums) != 1:
        raise ParameterError(
            "Wanted energies of one potential on a hull, got those of potentials with "
            f"the checksums {sorted(checksums)}. Compute all phases with the same one."
        )
    elements = {symbol for phase in phases for symbol in phase.amounts}
    present = {next(iter(p.amounts)) for p in phases if len(p.amounts) == 1}
    if elements != present:
        raise ParameterError(
            "Wanted every element of the system among the phases, got none of "
            f"{', '.join(sorted(elements - present))}. Add the elemental references."
        )


def _entry(phase: Phase) -> Any:
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.core import Composition

    composition = Composition(dict(phase.amounts))
    energy = phase.energy_per_atom * composition.num_atoms
    return PDEntry(composition, energy, name=phase.formula)
