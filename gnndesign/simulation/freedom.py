"""What the constraints of one structure leave free, found on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from ase.constraints import (
    FixAtoms,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixSymmetry,
)
from jaxtyping import Bool, Float, Int

from gnndesign.errors import StructureError
from gnndesign.structures.symmetrize import (
    SymmetryOperations,
    symmetrized,
    symmetry_operations,
)

PER_DIRECTION = (FixCartesian, FixedPlane, FixedLine)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceGroupKept:
    """A constraint: the space group found within `symprec` (Å) stays.

    The structure obeys it already: `with_its_symmetry` has `moved` it (Å).
    """

    symprec: float
    moved: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freedom:
    """Of the atoms and the cell of one structure; see `constraints.Constraints`.

    Attributes:
        fixed: (n_atoms,).
        center_fixed: whether the center of mass must not move.
        frames: (n_atoms, 3, 3).
        first: (n_atoms,).
        strains: (9, 9).
        beyond_fixed: whether more is kept than fixed atoms and the center.
    """

    fixed: Bool[np.ndarray, " n_atoms"]
    center_fixed: bool
    frames: Float[np.ndarray, "n_atoms 3 3"]
    first: Int[np.ndarray, " n_atoms"]
    strains: Float[np.ndarray, "9 9"]
    beyond_fixed: bool

    @classmethod
    def of(cls, atoms: ase.Atoms) -> Freedom:
        """What the constraints of a structure leave.

        Raises:
            StructureError: a constraint that would be ignored in silence, or two that
                do not go together.
        """
        frames = np.tile(np.eye(3), (len(atoms), 1, 1))
        fixed = np.zeros(len(atoms), dtype=bool)
        for entry in atoms.constraints:
            match entry:
                case FixAtoms():
                    fixed[entry.get_indices()] = True
                case FixCartesian() | FixedPlane() | FixedLine():
                    free = _free_directions(entry)
                    for atom in entry.get_indices():
                        frames[atom] = _common(frames[atom], free)
                case FixCom() | FixSymmetry() | SpaceGroupKept():
                    pass
                case _:
                    raise StructureError(
                        f"It has the constraint {type(entry).__name__}; wanted "
                        "FixAtoms, FixCartesian, FixedPlane, FixedLine, FixCom or "
                        "FixSymmetry. Remove it with atoms.set_constraint()."
                    )
        first = np.arange(len(atoms))
        strains = np.eye(9)
        symprec = kept_symprec(atoms)
        if symprec is not None:
            operations = symmetry_operations(atoms, symprec)
            _check_invariant(fixed, operations)
            frames, first, strains = _under(operations)
        frames[fixed] = 0.0
        return cls(
            fixed=(frames == 0.0).all((1, 2)),
            center_fixed=any(isinstance(entry, FixCom) for entry in atoms.constraints),
            frames=frames,
            first=first,
            strains=strains,
            beyond_fixed=symprec is not None or moves_in_some_directions(atoms),
        )


def moves_in_some_directions(atoms: ase.Atoms) -> bool:
    """Whether there are atoms that may move in some directions and not in others."""
    return any(isinstance(entry, PER_DIRECTION) for entry in atoms.constraints)


def kept_symprec(atoms: ase.Atoms) -> float | None:
    """The symprec (Å) of a constraint that keeps the symmetry; None without one."""
    for entry in atoms.constraints:
        if isinstance(entry, SpaceGroupKept | FixSymmetry):
            return float(entry.symprec)
    return None


def with_its_symmetry(atoms: ase.Atoms, symprec: float) -> ase.Atoms:
    """A copy that obeys its space group exactly and is constrained to keep it.

    Raises:
        StructureError: there is no symmetry to keep, an atom would have to move by more
            than `symprec`, or another constraint does not go with it.
    """
    others = [
        entry
        for entry in atoms.constraints
        if not isinstance(entry, FixSymmetry | SpaceGroupKept)
    ]
    if moves_in_some_directions(atoms):
        names = {type(e).__name__ for e in others if isinstance(e, PER_DIRECTION)}
        raise StructureError(
            f"A fixed symmetry does not go together with {', '.join(sorted(names))}. "
            "Remove one of them."
        )
    free = atoms.copy()
    free.set_constraint()
    result, moved = symmetrized(free, symprec)
    result.set_constraint([*others, SpaceGroupKept(symprec=symprec, moved=moved)])
    return result


def moved_at_start(atoms: ase.Atoms) -> float:
    """Å by which `with_its_symmetry` has moved a structure; 0 where it was not used."""
    kept = (e.moved for e in atoms.constraints if isinstance(e, SpaceGroupKept))
    return max(kept, default=0.0)


def _free_directions(entry: Any) -> Float[np.ndarray, "3 3"]:
    """The projector on the directions that a constraint leaves."""
    match entry:
        case FixCartesian():
            return np.diag(1.0 - np.asarray(entry.mask, dtype=float))
        case FixedPlane():
            return np.eye(3) - np.outer(entry.dir, entry.dir)
        case _:
            return np.outer(entry.dir, entry.dir)


def _common(
    one: Float[np.ndarray, "3 3"], other: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "3 3"]:
    """The projector on the directions that two projectors leave as they are."""
    values, vectors = np.linalg.eigh(one + other)
    both = vectors[:, values > 2.0 - 1e-9]
    return both @ both.T


def _under(
    operations: SymmetryOperations,
) -> tuple[
    Float[np.ndarray, "n_atoms 3 3"],
    Int[np.ndarray, " n_atoms"],
    Float[np.ndarray, "9 9"],
]:
    """`frames`, `first` and `strains` that a space group leaves.

    A symmetric field of vectors is known from that on one atom of each orbit: it is in
    the subspace S which the operations that keep this atom leave as it is, and an
    operation R that takes the atom to another takes the vector along: M = S R.
    """
    turns, images = operations.turns, operations.images
    orbit = images.min(0)
    frames = np.empty((images.shape[1], 3, 3))
    for atom in np.unique(orbit).tolist():
        subspace = turns[images[:, atom] == atom].mean(0)
        reached, any_one = np.unique(images[:, atom], return_index=True)
        frames[reached] = subspace @ turns[any_one]
    orbit = orbit[operations.primitive]
    _, first, which = np.unique(orbit, return_index=True, return_inverse=True)
    strains = np.einsum("gac,gbd->abcd", turns, turns) / len(turns)
    return frames[operations.primitive], first[which], strains.reshape(9, 9)


def _check_invariant(
    fixed: Bool[np.ndarray, " n_atoms"], operations: SymmetryOperations
) -> None:
    """Refuse fixed atoms of which an image is not fixed."""
    orbit = operations.images.min(0)[operations.primitive]
    n_fixed = np.bincount(orbit, fixed)[orbit]
    broken = fixed & (n_fixed != np.bincount(orbit)[orbit])
    if broken.any():
        atoms = ", ".join(map(str, np.flatnonzero(broken)[:5]))
        raise StructureError(
            f"The symmetry takes fixed atoms ({atoms}) to ones that are not fixed. Fix "
            "all their images too, or none, or do not fix the symmetry."
        )
