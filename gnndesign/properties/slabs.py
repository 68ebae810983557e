"""Slabs of a crystal whose two faces are alike, by pymatgen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np

from gnndesign.errors import StructureError
from gnndesign.structures.convert import from_pymatgen, to_pymatgen
from gnndesign.structures.symmetry import quiet_pymatgen

_Index = tuple[int, int, int]

_OTHER = "another composition than the crystal"
_UNLIKE = "two unlike (polar or one-sided) faces"


@dataclass(frozen=True, slots=True, kw_only=True)
class BareSlab:
    """A slab, not relaxed.

    Attributes:
        miller_index: (h, k, l).
        termination: from 1, among those of this index.
        thickness: Å from the lowest to the highest atom.
        atoms: periodic along all axes, with a vacuum.
    """

    miller_index: tuple[int, int, int]
    termination: int
    thickness: float
    atoms: ase.Atoms

    @property
    def name(self) -> str:
        """Such as "(1 0 0) termination 2"."""
        return (
            f"({' '.join(map(str, self.miller_index))}) termination {self.termination}"
        )


def standard_conventional_cell(atoms: ase.Atoms, symprec: float) -> ase.Atoms:
    """The cell that Miller indices refer to (W. Setyawan and S. Curtarolo, 2010).

    Raises:
        StructureError: no symmetry is found.
    """
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

    bare = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    structure: Any = to_pymatgen(bare)
    try:
        with quiet_pymatgen():
            analyzer = SpacegroupAnalyzer(structure, symprec=symprec)
            return from_pymatgen(analyzer.get_conventional_standard_structure())
    except (SymmetryUndeterminedError, ValueError) as error:
        raise StructureError(
            f"No symmetry is found in {atoms.get_chemical_formula('metal')}: {error}"
        ) from error


def bare_slabs(
    bulk: ase.Atoms, max_index: int, min_thickness: float, vacuum: float
) -> tuple[list[BareSlab], tuple[str, ...]]:
    """Slabs of all directions up to an index that symmetry does not make one.

    Args:
        bulk: the standard conventional cell.
        max_index: largest Miller index.
        min_thickness: Å at least.
        vacuum: Å at least.

    Returns:
        Slabs with two like faces and the composition of the crystal, and notes on the
        terminations that were left out for lacking that.

    Raises:
        StructureError: no such slab.
    """
    from pymatgen.core.surface import get_symmetrically_distinct_miller_indices

    crystal: Any = to_pymatgen(bulk)
    composition = crystal.composition.reduced_composition
    found: list[BareSlab] = []
    left_out: Counter[tuple[str, str]] = Counter()
    with quiet_pymatgen():
        for index in get_symmetrically_distinct_miller_indices(crystal, max_index):
            h, k, m = map(int, index)
            n_kept = 0
            for slab in _cut(crystal, (h, k, m), min_thickness, vacuum):
                if slab.composition.reduced_composition != composition:
                    left_out[f"({h} {k} {m})", _OTHER] += 1
                elif not slab.is_symmetric():
                    left_out[f"({h} {k} {m})", _UNLIKE] += 1
                else:
                    n_kept += 1
                    found.append(_bare(slab, (h, k, m), n_kept))
    notes = tuple(
        f"Left out: {n} termination{'s' * (n > 1)} of {name}, with {why}."
        for (name, why), n in left_out.items()
    )
    if not found:
        raise StructureError(
            f"{bulk.get_chemical_formula('metal')} has no slab of two like faces and "
            f"its own composition up to the index {max_index}. {' '.join(notes)} Such "
            "surfaces need chemical potentials or a compensation of dipoles, which are "
            "not handled."
        )
    return found, notes


def _cut(crystal: Any, index: _Index, min_thickness: float, vacuum: float) -> list[Any]:
    """All terminations."""
    from pymatgen.core.surface import SlabGenerator

    generator = SlabGenerator(
        crystal,
        index,
        min_thickness,
        vacuum,
        center_slab=True,
        max_normal_search=max(map(abs, index)),
    )
    return list(generator.get_slabs())


def _bare(slab: Any, index: _Index, termination: int) -> BareSlab:
    plain = from_pymatgen(slab)
    atoms = ase.Atoms(plain.numbers, plain.positions, cell=plain.cell, pbc=True)
    a, b = atoms.cell.array[:2]
    normal = np.cross(a, b)
    heights = atoms.positions @ normal / np.linalg.norm(normal)
    return BareSlab(
        miller_index=index,
        termination=termination,
        thickness=float(np.ptp(heights)),
        atoms=atoms,
    )
