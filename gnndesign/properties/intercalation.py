"""Average intercalation voltage of a battery electrode against the metal of its ion.

Between the crystal with all of its working ions A, of charge z, and the host without
them (M. K. Aydinol et al., Phys. Rev. B 56, 1354 (1997)); entropy and volume work, some
10 meV, are left out:

    V = -[ E(A_x Host) - E(Host) - x E(A) ] / (x z)

The host and the metal are relaxed with the same potential.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
from scipy.constants import N_A, e

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps, quantities_of
from gnndesign.properties.work import Relaxing
from gnndesign.structures.edit import delete
from gnndesign.structures.library import elemental_ground_state

CHARGES = {
    **dict.fromkeys(("Li", "Na", "K", "Rb", "Cs"), 1),
    **dict.fromkeys(("Mg", "Ca", "Sr", "Ba", "Zn"), 2),
    **dict.fromkeys(("Al", "Y"), 3),
}
"""Of the ions that batteries work with."""

_AS_GOOD_AS = (
    "The energy of the host's other valence state and that of the metal must be of one "
    "kind: potentials trained on Materials Project data learned oxides of V, Cr, Mn, "
    "Fe, Co, Ni, Mo and W with a Hubbard U and metals without, uncorrected for the "
    "difference."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntercalationResult:
    """An electrode, full and empty.

    Attributes:
        atoms: the full (discharged) crystal, relaxed.
        host: the empty (charged) one, relaxed.
        metal: the metal of the working ion, relaxed.
        working_ion: its symbol.
        n_ions: x, working ions in `atoms`.
        charge: z, of an ion.
        voltage_V: against the metal.
        energy: eV of `atoms`.
        host_energy: eV of `host`.
        metal_energy_per_atom: eV.
        capacity_mAh_per_g: charge a mass of the full crystal.
        specific_energy_Wh_per_kg: voltage times capacity.
        volume_change_percent: from full to empty.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    host: ase.Atoms
    metal: ase.Atoms
    working_ion: str
    n_ions: int
    charge: int
    voltage_V: float
    energy: float
    host_energy: float
    metal_energy_per_atom: float
    capacity_mAh_per_g: float
    specific_energy_Wh_per_kg: float
    volume_change_percent: float
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            (f"Voltage against {self.working_ion}", "V", "voltage_V"),
            ("Capacity", "mAh/g", "capacity_mAh_per_g"),
            ("Specific energy", "Wh/kg", "specific_energy_Wh_per_kg"),
            ("Volume change when charged", "%", "volume_change_percent"),
        )
        return quantities_of(self, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intercalation(Property[IntercalationResult]):
    """Average intercalation voltage.

    Attributes:
        working_ion: which element goes in and out, all of its atoms.
        relaxing: how crystal, host and metal are relaxed.
    """

    kind: ClassVar[str] = "intercalation"
    title: ClassVar[str] = "Intercalation voltage"

    working_ion: str = "Li"
    relaxing: Relaxing = field(default_factory=Relaxing)

    def __post_init__(self) -> None:
        if self.working_ion not in CHARGES:
            raise ParameterError(
                f"Wanted working_ion in {', '.join(CHARGES)}, got {self.working_ion!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Wanted: a crystal with the working ion and something else."""
        symbols = set(atoms.get_chemical_symbols())
        name = atoms.get_chemical_formula("metal")
        if not atoms.pbc.all():
            raise StructureError(
                f"{name} is not periodic in three directions. Wanted a crystal, the "
                "electrode with its working ions."
            )
        if self.working_ion not in symbols or len(symbols) == 1:
            raise StructureError(
                f"Wanted a crystal of {self.working_ion} and other elements, the "
                f"electrode with its working ions, got {name}. Choose another "
                "working_ion or put the ions in."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[IntercalationResult]:
        """Relax the full crystal, the empty one and the metal together."""
        del potential
        ion = self.working_ion
        three = [atoms, delete(atoms, ion), elemental_ground_state(ion)]
        full, host, metal = yield from self.relaxing.steps(
            three, f"full crystal, the host and the metal {ion}: structure"
        )
        n_ions, charge = atoms.get_chemical_symbols().count(ion), CHARGES[ion]
        of_metal = metal.energy / len(metal.atoms)
        voltage = -(full.energy - host.energy - n_ions * of_metal) / (n_ions * charge)
        moles_per_gram = n_ions * charge / float(full.atoms.get_masses().sum())
        capacity = moles_per_gram * N_A * e / 3.6
        change = float(host.atoms.get_volume() / full.atoms.get_volume()) - 1
        notes = [_AS_GOOD_AS]
        if voltage < 0:
            notes.append(f"{ion} does not go into this host: the voltage is negative.")
        return IntercalationResult(
            atoms=full.atoms,
            host=host.atoms,
            metal=metal.atoms,
            working_ion=ion,
            n_ions=n_ions,
            charge=charge,
            voltage_V=voltage,
            energy=full.energy,
            host_energy=host.energy,
            metal_energy_per_atom=of_metal,
            capacity_mAh_per_g=capacity,
            specific_energy_Wh_per_kg=capacity * voltage,
            volume_change_percent=100 * change,
            notes=tuple(notes),
        )
