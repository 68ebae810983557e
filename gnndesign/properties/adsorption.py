"""Adsorption energies of a molecule on the sites of a slab.

    E_ads = E(slab + molecule) - E(slab) - E(molecule)

negative where the molecule is bound. Sites are pymatgen's: on top of atoms, on bridges,
in hollows (J. H. Montoya and K. A. Persson, npj Comput. Mater. 3, 14 (2017)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
import numpy as np

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.adsorption_sites import (
    BareSite,
    adsorption_sites,
    is_intact,
    put_on,
    refuse_divided,
    surface_normal,
)
from gnndesign.properties.base import End, Property, Quantity, Steps
from gnndesign.properties.bounds import Length, check_bounds
from gnndesign.properties.relaxed import relaxed_where_possible
from gnndesign.properties.work import Relaxing
from gnndesign.structures.supercells import supercell_of_length

_MOLECULE_NOTE = (
    "The free molecule is computed with the same potential, which for those trained on "
    "crystals (MPtrj among them) is outside their domain: differences between sites are "
    "more to be trusted than the energies themselves."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdsorptionSite:
    """A site and what it binds with.

    Attributes:
        name: "ontop 1", "bridge 1", "hollow 2", by where the molecule started.
        energy: eV, negative where the molecule is bound.
        height: Å of its lowest atom above the highest atom of the slab, relaxed.
        is_intact: whether the molecule still has the bonds it had.
        atoms: the relaxed slab with the molecule, whose atoms come last.
    """

    name: str
    energy: float
    height: float
    is_intact: bool
    atoms: ase.Atoms


@dataclass(frozen=True, slots=True, kw_only=True)
class AdsorptionResult:
    """A molecule on a slab.

    Attributes:
        molecule: relaxed alone.
        slab: the relaxed clean slab, as large as those with the molecule.
        sites: the most strongly bound first.
        area: Å² of the slab's face for one molecule.
        notes: what to know beside the numbers.
    """

    molecule: ase.Atoms
    slab: ase.Atoms
    sites: tuple[AdsorptionSite, ...]
    area: float
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> AdsorptionSite:
        """The most strongly bound site."""
        return self.sites[0]

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table: the best site, then all of them."""
        best = Quantity(
            name=f"Adsorption energy (best site: {self.best.name})",
            value=self.best.energy,
            unit="eV",
            key="adsorption_energy",
        )
        each = (
            Quantity(
                name=f"Adsorption energy, {site.name}",
                value=site.energy,
                unit="eV",
                key=f"adsorption_energy_{site.name.replace(' ', '_')}",
            )
            for site in self.sites
        )
        return (best, *each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adsorption(Property[AdsorptionResult]):
    """A molecule on all inequivalent sites of the upper face of a slab, in one batch.

    The molecule is put with its own z axis along the surface normal, its lowest atom
    over the site. Constraints of the slab, such as fixed lower layers, are kept.

    Attributes:
        molecule: what adsorbs, in the orientation in which it is to come down.
        sites: kinds of sites: "ontop", "bridge", "hollow".
        distance: Å of its lowest atom above the site, before relaxation.
        min_length: Å between a molecule and its images along the face at least.
        relaxing: how slab, molecule and both together relax, at fixed cell; None leaves
            the atoms in place.
    """

    kind: ClassVar[str] = "adsorption"
    title: ClassVar[str] = "Adsorption energy"

    molecule: ase.Atoms
    sites: tuple[str, ...] = ("ontop", "bridge", "hollow")
    distance: Length = 2.0
    min_length: Length = 8.0
    relaxing: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell=None, max_force=0.02)
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        unknown = set(self.sites) - {"ontop", "bridge", "hollow"}
        if unknown or not self.sites:
            raise ParameterError(
                f"Wanted sites among 'ontop', 'bridge' and 'hollow', got {self.sites}."
            )
        if not len(self.molecule):
            raise ParameterError("Wanted a molecule, got one without atoms.")
        if self.relaxing is not None and self.relaxing.cell is not None:
            raise ParameterError(
                "Wanted relaxing with cell=None: a slab is as wide as its crystal, got "
                f"{self.relaxing.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a slab with room above it has sites."""
        refuse_divided(atoms)

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[AdsorptionResult]:
        """Relax slab and molecule, then the molecule on all sites together."""
        del potential
        alone = ase.Atoms(self.molecule.numbers, self.molecule.positions)
        ends, failed = yield from relaxed_where_possible(
            [atoms, alone], ["clean slab", "molecule"], self.relaxing
        )
        slab, molecule = ends
        if slab is None or molecule is None:
            raise StructureError(failed[0])
        bare = adsorption_sites(slab.atoms, self.sites)
        wide = _wide(slab.atoms, self.min_length)
        placed = [put_on(wide, molecule.atoms, site, self.distance) for site in bare]
        with_molecule, left_out = yield from relaxed_where_possible(
            placed, [f"molecule at {site.name}" for site in bare], self.relaxing
        )
        n_cells = len(wide) // len(slab.atoms)
        zero = n_cells * slab.energy + molecule.energy
        found = tuple(
            _site(site, end, molecule.atoms, zero)
            for site, end in zip(bare, with_molecule, strict=True)
            if end is not None
        )
        notes = [_MOLECULE_NOTE]
        broken = [site.name for site in found if not site.is_intact]
        if broken:
            notes.append(
                f"The molecule broke or made bonds of its own at {', '.join(broken)}."
            )
        a, b = wide.cell.array[:2]
        return AdsorptionResult(
            molecule=molecule.atoms,
            slab=wide,
            sites=tuple(sorted(found, key=lambda site: site.energy)),
            area=float(np.linalg.norm(np.cross(a, b))),
            notes=(*notes, *left_out),
        )


def _wide(slab: ase.Atoms, min_length: float) -> ase.Atoms:
    """Repeated along the face alone."""
    flat = slab.copy()
    flat.pbc = (True, True, False)
    wide = supercell_of_length(flat, min_length)
    wide.pbc = slab.pbc
    return wide


def _site(site: BareSite, end: End, molecule: ase.Atoms, zero: float) -> AdsorptionSite:
    n = len(molecule)
    heights = end.atoms.positions @ surface_normal(end.atoms)
    return AdsorptionSite(
        name=site.name,
        energy=end.energy - zero,
        height=float(heights[-n:].min() - heights[:-n].max()),
        is_intact=is_intact(end.atoms[-n:], molecule),
        atoms=end.atoms,
    )
