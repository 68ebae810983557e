"""Reaction path: the way of least energy between two minima, and its barrier.

A nudged elastic band with a climbing image (see `nudged_elastic_band`), begun with the
image-dependent pair potential (see `image_path`). All images are evaluated in one
batch, together with those of all other paths that are looked for. The cell is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
import numpy as np
from ase.constraints import FixCom
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Steps
from gnndesign.properties.bounds import Count, Positive, check_bounds
from gnndesign.properties.energy_profile import (
    ReactionPathResult,
    RelaxedBand,
    energy_profile,
)
from gnndesign.properties.image_path import (
    displacement,
    paired_path,
    shorter_order,
    straight_path,
)
from gnndesign.properties.nudged_elastic_band import (
    BandSearch,
    nudged,
)
from gnndesign.properties.work import Relaxing, evaluated
from gnndesign.simulation.freedom import Freedom, kept_symprec

_SAME_CELL = 1e-3
"""Å, by which the lattice vectors of the two ends may differ."""
_SAME_PLACE = 0.05
"""Å; ends nearer to each other than this, in all coordinates, are one minimum."""
_CLIMB_BELOW = 0.5
"""eV/Å; a band that is farther from the path has no image worth climbing with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionPath(Property[ReactionPathResult]):
    """The path of least energy from a structure to another one, in a fixed cell.

    Attributes:
        end: where the path ends: the same atoms in the same order and the same cell.
            The constraints are those of the start.
        n_images: images between the two ends; with an odd number a symmetric path has
            one in its middle.
        climb: whether the highest image climbs to the saddle point.
        max_force: eV/Å; converged when no force of the band on any atom of any image,
            the climbing one included, is longer.
        max_iterations: most evaluations of the band.
        spring: eV/Å², between images.
        relaxing: how the two ends are brought to their minima first, in the cell given;
            None to take them as they are.
        pair_potential: whether the first path is that of the image-dependent pair
            potential; else straight lines.
        match_atoms: whether atoms of one element in the end are exchanged to have the
            shortest way, for ends that were made independently.
    """

    kind: ClassVar[str] = "reaction_path"
    title: ClassVar[str] = "Reaction path"

    end: ase.Atoms
    n_images: Count = 7
    climb: bool = True
    max_force: Positive = 0.02
    max_iterations: Count = 500
    spring: Positive = 0.1
    relaxing: Relaxing | None = field(default_factory=lambda: Relaxing(cell=None))
    pair_potential: bool = True
    match_atoms: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.relaxing is not None and self.relaxing.cell is not None:
            raise ParameterError(
                "A path has one cell from start to end: wanted relaxing with "
                f"cell=None, got {self.relaxing.cell!r}. Relax the cell before."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Start and end must be the same atoms in the same cell."""
        refuse_other_atoms(atoms, self.end)
        if kept_symprec(atoms) is not None:
            raise StructureError(
                "A path leaves the symmetry of its ends. Remove FixSymmetry with "
                "atoms.set_constraint()."
            )
        Freedom.of(atoms)

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[ReactionPathResult]:
        """Relax the ends, interpolate, and relax the band."""
        del potential
        start, end = atoms, self.end.copy()
        notes: list[str] = []
        order = shorter_order(start, end)
        if self.match_atoms:
            end = end[order]
        elif (order != np.arange(len(order))).any():
            notes.append(
                f"{int((order != np.arange(len(order))).sum())} atoms would have a "
                "shorter way if atoms of one element were exchanged in the end; "
                "match_atoms does that."
            )
        end.set_constraint(start.constraints)
        if self.relaxing is not None:
            ends = yield from self.relaxing.steps([start, end], "end point")
            start, end = ends[0].atoms, ends[1].atoms
        band = yield from self._converged(start, self._first_path(start, end))
        return energy_profile(band, notes)

    def _first_path(self, start: ase.Atoms, end: ase.Atoms) -> np.ndarray:
        """(n_images + 2, n_atoms, 3) Å."""
        freedom = Freedom.of(start)
        let_through = np.einsum("aji,ajk->aik", freedom.frames, freedom.frames)
        free = all(isinstance(entry, FixCom) for entry in start.constraints)
        moves = displacement(start, end, free=free)
        kept = np.einsum("ax,axy->ay", moves, let_through)
        if float(abs(kept - moves).max()) > _SAME_PLACE:
            raise StructureError(
                "Atoms that must not move are at different places in start and end, "
                f"up to {abs(kept - moves).max():.2f} Å apart. Free them, or build the "
                "end from the start."
            )
        distance = float(np.linalg.norm(kept))
        if distance < _SAME_PLACE:
            raise StructureError(
                f"Start and end are the same structure, {distance:.3f} Å apart in all "
                "coordinates together"
                + (", after both were relaxed" if self.relaxing else "")
                + ". Wanted two different minima."
            )
        positions = straight_path(start.positions, kept, self.n_images)
        if self.pair_potential:
            positions = paired_path(start, positions, let_through)
        return positions

    def _converged(self, start: ase.Atoms, positions: np.ndarray) -> Steps[RelaxedBand]:
        """Move the band until nothing pulls on it."""
        search = BandSearch()
        images = [_image(start, place) for place in positions]
        ends = yield from evaluated([images[0], images[-1]], "end of the path")
        climbs = False
        max_force = least = np.inf
        for iteration in range(1, self.max_iterations + 1):
            inner = [_image(start, place) for place in positions[1:-1]]
            found = yield from evaluated(inner, "image")
            along = [ends[0], *found, ends[1]]
            energies = np.array([end.energy for end in along])
            # These, and so the tangents, have lost what the constraints take.
            forces = np.stack([end.forces for end in found])
            band = nudged(positions, energies, forces, spring=self.spring, climb=climbs)
            if self.climb and not climbs and band.max_force < _CLIMB_BELOW:
                climbs = True
                band = nudged(positions, energies, forces, spring=self.spring)
            max_force = band.max_force
            least = min(least, max_force)
            if max_force <= self.max_force:
                return RelaxedBand(
                    positions=positions, ends=along, band=band, n_iterations=iteration
                )
            positions = positions.copy()
            positions[1:-1] += search.move(band.forces)
        raise ConvergenceError(
            f"The path did not converge: the longest force of the band is "
            f"{max_force:.3g} eV/Å after {self.max_iterations} iterations (it was "
            f"{least:.3g} at best), wanted {self.max_force:.3g}. Allow more iterations, "
            "or begin nearer: with another number of images, or with an end that is "
            "one step away."
        )


def refuse_other_atoms(start: ase.Atoms, end: ase.Atoms) -> None:
    """Say no to ends that no path connects.

    Raises:
        StructureError: other atoms, another order, or another cell.
    """
    formulas = [atoms.get_chemical_formula("metal") for atoms in (start, end)]
    if sorted(start.numbers) != sorted(end.numbers):
        raise StructureError(
            f"A path goes from atoms to the same atoms; the start is {formulas[0]}, "
            f"the end {formulas[1]}."
        )
    if (start.numbers != end.numbers).any():
        first = int(np.flatnonzero(start.numbers != end.numbers)[0])
        raise StructureError(
            f"Wanted the atoms of the end in the order of the start; atom {first} is "
            f"{start.symbols[first]} in the start and {end.symbols[first]} in the end. "
            "Sort both in the same way."
        )
    apart = float(abs(start.cell.array - end.cell.array).max())
    if apart > _SAME_CELL or (start.pbc != end.pbc).any():
        raise StructureError(
            "A path has one cell from start to end; those of these two differ by up to "
            f"{apart:.3g} Å, and they are periodic along {start.pbc.tolist()} and "
            f"{end.pbc.tolist()}. Give the end the cell of the start."
        )


def _image(start: ase.Atoms, positions: Float[np.ndarray, "n_atoms 3"]) -> ase.Atoms:
    """The start with its atoms elsewhere."""
    image = start.copy()
    image.set_positions(positions, apply_constraint=False)
    return image
