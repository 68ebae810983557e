"""Structures with their labels: what a potential is trained on and judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import ase
import numpy as np
from jaxtyping import Float
from pymatgen.core import IMolecule, IStructure

from gnndesign.batch import name_of
from gnndesign.errors import ParameterError, ShapeError, StructureError
from gnndesign.training.dataset_conversion import bare_copy, groups_of, read_labels
from gnndesign.training.dataset_labels import Kind
from gnndesign.training.dataset_split import parts_of, sizes_of

if TYPE_CHECKING:
    from gnndesign.training.dataset_summary import DatasetSummary

ForcesOf = Float[np.ndarray, "_ 3"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Structures and what was computed for them.

    Attributes:
        structures: without calculators and constraints.
        energy: (n_structures,) eV, of the whole structure; NaN where missing.
        forces: of each structure (n_atoms, 3) eV/Å; None where missing.
        stress: (n_structures, 3, 3) eV/Å³, positive under tension (ASE's sign); NaN
            where missing and where a structure is not periodic along all three axes.
        groups: what each structure belongs to, such as a `config_type`; "" where
            unknown.
        source: where it came from, for people.
        level_of_theory: what the labels were computed with, for people.
    """

    structures: tuple[ase.Atoms, ...]
    energy: Float[np.ndarray, " n_structures"]
    forces: tuple[ForcesOf, ...]
    stress: Float[np.ndarray, "n_structures 3 3"]
    groups: tuple[str, ...]
    source: str = "unknown"
    level_of_theory: str = "unknown"

    def __post_init__(self) -> None:
        n = len(self.structures)
        if n == 0:
            raise StructureError(
                f"{self.source}: wanted a structure or more, got none."
            )
        lengths = {
            "energy": len(self.energy),
            "forces": len(self.forces),
            "stress": len(self.stress),
            "groups": len(self.groups),
        }
        if set(lengths.values()) != {n}:
            raise ShapeError(
                f"{self.source}: wanted {n} of each, one a structure, got {lengths}."
            )
        for index, (atoms, forces) in enumerate(
            zip(self.structures, self.forces, strict=True)
        ):
            if forces is not None and forces.shape != (len(atoms), 3):
                raise ShapeError(
                    f"{name_of(atoms, index)}: wanted forces of shape "
                    f"({len(atoms)}, 3), got {forces.shape}."
                )

    @classmethod
    def from_atoms(
        cls,
        structures: Sequence[ase.Atoms | IStructure | IMolecule],
        *,
        energy: str | None = "auto",
        forces: str | None = "auto",
        stress: str | None = "auto",
        stress_unit: str | None = None,
        group: str | None = "config_type",
        fallback_group: str = "",
        source: str = "structures in memory",
        level_of_theory: str | None = None,
    ) -> Dataset:
        """Take labels from calculators' results, `info` and `arrays`.

        Nothing is computed: results that a calculator has for another geometry do not
        count. Of pymatgen's structures, labels are in `properties` and
        `site_properties`.

        Args:
            structures: they are copied.
            energy: name of the total energies, eV; "auto" for what looks like one
                (`energy`, `REF_energy`, `dft_energy`, ...), None to leave them out.
                Of `energy` and `free_energy` the latter, which forces belong to.
            forces: likewise, eV/Å.
            stress: likewise.
            stress_unit: one of `STRESS_UNITS`; None for what the name tells
                (`virial`, `stress_GPa`, `stress_kbar`), else eV/Å³ positive under
                tension. Six numbers are xx, yy, zz, yz, xz, xy.
            group: name in `info` of the groups.
            fallback_group: of structures without.
            source: for people and messages.
            level_of_theory: for people.

        Raises:
            StructureError: a structure cannot be used; no label is found at all; two
                names could be meant and differ; or labels are absurd or not finite.
            ParameterError: an unknown `stress_unit`.
        """
        names: dict[Kind, str | None] = {
            "energy": energy,
            "forces": forces,
            "stress": stress,
        }
        read = read_labels(structures, names, stress_unit, source)
        return cls(
            structures=tuple(map(bare_copy, read.structures)),
            energy=read.energy,
            forces=tuple(read.forces),
            stress=read.stress,
            groups=groups_of(read.structures, group, fallback_group),
            source=source,
            level_of_theory=level_of_theory or "unknown",
        )

    @staticmethod
    def concatenate(datasets: Sequence[Dataset]) -> Dataset:
        """All structures of some data sets, in the order given."""
        if not datasets:
            raise ParameterError("Wanted at least one data set, got an empty list.")

        def joined(names: Sequence[str]) -> str:
            return ", ".join(dict.fromkeys(names))

        return Dataset(
            structures=tuple(atoms for part in datasets for atoms in part.structures),
            energy=np.concatenate([part.energy for part in datasets]),
            forces=tuple(forces for part in datasets for forces in part.forces),
            stress=np.concatenate([part.stress for part in datasets]),
            groups=tuple(group for part in datasets for group in part.groups),
            source=joined([part.source for part in datasets]),
            level_of_theory=joined([part.level_of_theory for part in datasets]),
        )

    def __len__(self) -> int:
        return len(self.structures)

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures together."""
        return sum(map(len, self.structures))

    @property
    def atoms_per_structure(self) -> np.ndarray:
        """(n_structures,) number of atoms of each structure."""
        return np.array([len(atoms) for atoms in self.structures])

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, ascending."""
        return tuple(sorted({n for a in self.structures for n in a.numbers.tolist()}))

    @property
    def composition(self) -> Float[np.ndarray, "n_structures n_elements"]:
        """(n_structures, n_elements) how many atoms of `elements` each structure has."""
        counts = [np.bincount(a.numbers, minlength=120) for a in self.structures]
        return np.stack(counts)[:, list(self.elements)].astype(float)

    @property
    def checksum(self) -> str:
        """SHA-256 of structures, labels and groups."""
        digest = hashlib.sha256()
        for index, atoms in enumerate(self.structures):
            forces = self.forces[index]
            for part in (
                atoms.numbers.astype("<i8"),
                atoms.positions.astype("<f8"),
                atoms.cell.array.astype("<f8"),
                atoms.pbc.astype("<i8"),
                self.energy[index : index + 1].astype("<f8"),
                np.zeros(0) if forces is None else forces.astype("<f8"),
                self.stress[index].astype("<f8"),
            ):
                digest.update(f"{part.shape}".encode())
                digest.update(np.ascontiguousarray(part).tobytes())
            digest.update(self.groups[index].encode() + b"\0")
        return digest.hexdigest()

    def select(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """The structures of these places, in the order of `indices`.

        Raises:
            ParameterError: no place, or one outside the data set.
        """
        chosen = np.asarray(indices, dtype=int).tolist()
        if not chosen or min(chosen) < -len(self) or max(chosen) >= len(self):
            raise ParameterError(
                f"{self.source}: wanted places from 0 to {len(self) - 1}, at least "
                f"one, got {chosen[:8]}{' ...' if len(chosen) > 8 else ''}."
            )
        return replace(
            self,
            structures=tuple(self.structures[k] for k in chosen),
            energy=self.energy[chosen],
            forces=tuple(self.forces[k] for k in chosen),
            stress=self.stress[chosen],
            groups=tuple(self.groups[k] for k in chosen),
        )

    def split(
        self,
        sizes: Sequence[int | float],
        *,
        seed: int = 0,
        by: Literal["structure", "group"] = "structure",
    ) -> list[Dataset]:
        """Disjoint parts, chosen at random, the same for the same seed.

        Structures that come twice (same elements and energy, and the same distances
        between atoms) are kept in one part, so that no test structure was trained on.
        A part may so be larger or smaller than asked for by a few structures.

        Args:
            sizes: of the parts: whole numbers count structures, others are fractions of
                the data set. What is left over is in no part.
            seed: of the random choice.
            by: "group" leaves groups whole; then sizes are approximate.

        Raises:
            ParameterError: sizes that are not positive or more than there is, or a part
                that no group is left for.
        """
        if by == "group":
            labels: Sequence[object] = self.groups
        else:
            from gnndesign.training.dataset_checks import same_structures

            labels = same_structures(self)
        parts = parts_of(sizes_of(sizes, len(self)), labels, seed)
        if any(not part for part in parts):
            raise ParameterError(
                f"{self.source}: wanted {len(parts)} parts by {by}, but there are "
                f"{len(set(labels))} to share out. Split into fewer parts"
                f"{', or by structure' if by == 'group' else ''}."
            )
        return [self.select(part) for part in parts]

    def summary(self) -> DatasetSummary:
        """Counts and ranges."""
        from gnndesign.training.dataset_summary import summarize

        return summarize(self)
