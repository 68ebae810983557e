"""Two slabs brought to a common cell, and one put upon the other."""

from __future__ import annotations

from typing import Literal

import ase
import numpy as np
from ase.constraints import FixAtoms
from jaxtyping import Float

from gnndesign.errors import StructureError
from gnndesign.properties.adsorption_sites import surface_normal

CommonCell = Literal["lower", "upper", "mean"]


def flat_slab(atoms: ase.Atoms) -> ase.Atoms:
    """The slab with its first cell vector along x and its normal along z, whole.

    The third vector is normal to the face; atoms that reach through the cell's top come
    back, so that the vacuum is above. Fixed atoms stay fixed; other constraints and
    arrays are not kept.

    Raises:
        StructureError: no slab.
    """
    normal = surface_normal(atoms)
    cell = atoms.cell.array
    first = cell[0] / np.linalg.norm(cell[0])
    axes = np.array([first, np.cross(normal, first), normal])
    scaled = atoms.get_scaled_positions(wrap=False)
    if atoms.pbc[2]:
        heights = np.sort(scaled[:, 2] % 1.0)
        gaps = np.diff(np.append(heights, heights[0] + 1.0))
        # What is above the widest gap comes first.
        start = heights[(int(gaps.argmax()) + 1) % len(heights)]
        scaled[:, 2] = (scaled[:, 2] - start + 1e-6) % 1.0
    positions = (scaled @ cell) @ axes.T
    positions[:, 2] -= positions[:, 2].min()
    flat = cell @ axes.T
    if np.cross(flat[0], flat[1])[2] < 0:
        raise StructureError(
            "The cell vectors of the slab are left-handed; wanted the third one on the "
            "side to which the first two turn."
        )
    flat[2] = (0.0, 0.0, flat[2, 2])
    result = ase.Atoms(atoms.numbers, positions, cell=flat, pbc=True)
    fixed = [c.index for c in atoms.constraints if isinstance(c, FixAtoms)]
    if fixed:
        result.set_constraint(FixAtoms(np.concatenate(fixed)))
    return result


def common_cell(
    lower: ase.Atoms, upper: ase.Atoms, choice: CommonCell
) -> Float[np.ndarray, "2 2"]:
    """(2, 2) Å, rows: vectors of the face that both slabs get."""
    faces = np.array([slab.cell.array[:2, :2] for slab in (lower, upper)])
    weights = {"lower": (1.0, 0.0), "upper": (0.0, 1.0), "mean": (0.5, 0.5)}[choice]
    return np.einsum("s,sij->ij", np.array(weights), faces)


def strained(
    slab: ase.Atoms, face: Float[np.ndarray, "2 2"], max_strain: float
) -> tuple[ase.Atoms, tuple[float, float]]:
    """A flat slab with another face, and its two principal strains.

    Raises:
        StructureError: the strain is larger than allowed.
    """
    gradient = np.linalg.solve(slab.cell.array[:2, :2], face)
    stretches = np.linalg.svd(gradient, compute_uv=False)
    strains = float(stretches[0] - 1), float(stretches[1] - 1)
    if max(map(abs, strains)) > max_strain:
        raise StructureError(
            f"{slab.get_chemical_formula('metal')} would be strained by "
            f"{100 * strains[0]:.1f} and {100 * strains[1]:.1f} %, wanted at most "
            f"{100 * max_strain:.1f} %. Repeat the slabs so that their faces match, or "
            "allow more."
        )
    result = slab.copy()
    constraints, result.constraints = result.constraints, []
    result.positions[:, :2] = slab.positions[:, :2] @ gradient
    cell = slab.cell.array.copy()
    cell[:2, :2] = face
    result.set_cell(cell)
    result.constraints = constraints
    return result, strains


def stacked(
    lower: ase.Atoms,
    upper: ase.Atoms,
    separation: float,
    shift: tuple[float, float],
    vacuum: float,
) -> ase.Atoms:
    """One flat slab upon another of the same face.

    Args:
        lower: its atoms come first.
        upper: the other.
        separation: Å between the highest atom below and the lowest above.
        shift: of the upper one, fractions of the face's vectors.
        vacuum: Å above, for the largest separation of use.
    """
    top = upper.copy()
    constraints, top.constraints = top.constraints, []
    height = float(np.ptp(lower.positions[:, 2]) + np.ptp(upper.positions[:, 2]))
    top.positions[:, :2] += np.array(shift) @ lower.cell.array[:2, :2]
    top.positions[:, 2] += (
        lower.positions[:, 2].max() + separation - upper.positions[:, 2].min()
    )
    result = lower.copy()
    fixed = [c.index for c in result.constraints if isinstance(c, FixAtoms)]
    fixed += [c.index + len(lower) for c in constraints if isinstance(c, FixAtoms)]
    result.constraints = []
    result += top
    top_vector = np.array([0.0, 0.0, height + separation + vacuum])
    result = raised(result, top_vector)
    if fixed:
        result.set_constraint(FixAtoms(np.concatenate(fixed)))
    return result


def raised(slab: ase.Atoms, vector: Float[np.ndarray, " 3"]) -> ase.Atoms:
    """A copy with another third cell vector, its atoms where they are."""
    result = slab.copy()
    result.set_cell(np.array([*slab.cell.array[:2], vector]))
    return result
