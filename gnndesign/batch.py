"""`AtomicBatch`: many structures side by side on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np
import torch
from ase.data import chemical_symbols
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from gnndesign.errors import ShapeError, StructureError


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomicBatch:
    """Structures concatenated along the atom axis.

    Attributes:
        positions: (n_atoms, 3) Å.
        cell: (n_systems, 3, 3) Å; row k is lattice vector k. A zero row is an axis
            without a lattice vector.
        pbc: (n_systems, 3) whether the lattice repeats along each vector.
        atomic_numbers: (n_atoms,).
        system_index: (n_atoms,) ascending; which structure an atom belongs to.
    """

    positions: Float[Tensor, "n_atoms 3"]
    cell: Float[Tensor, "n_systems 3 3"]
    pbc: Bool[Tensor, "n_systems 3"]
    atomic_numbers: Int[Tensor, " n_atoms"]
    system_index: Int[Tensor, " n_atoms"]

    @classmethod
    def from_atoms(
        cls,
        structures: ase.Atoms | Sequence[ase.Atoms],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> AtomicBatch:
        """Put one or more `ase.Atoms` on a device.

        Raises:
            StructureError: no structure, a structure without atoms, positions or a
                cell that are not finite or beyond 1e6 Å, a periodic axis without a lattice vector, or
                periodic lattice vectors that span no volume (area, length).
        """
        if isinstance(structures, ase.Atoms):
            structures = [structures]
        if not structures:
            raise StructureError("Wanted at least one structure, got an empty list.")
        for index, atoms in enumerate(structures):
            check_usable(atoms, index)
        counts = [len(atoms) for atoms in structures]

        def stack(arrays: list[np.ndarray], kind: torch.dtype) -> Tensor:
            return torch.as_tensor(np.concatenate(arrays), dtype=kind, device=device)

        return cls(
            positions=stack([atoms.positions for atoms in structures], dtype),
            cell=stack([atoms.cell.array[None] for atoms in structures], dtype),
            pbc=stack([atoms.pbc[None] for atoms in structures], torch.bool),
            atomic_numbers=stack([atoms.numbers for atoms in structures], torch.int64),
            system_index=stack(
                [np.full(n, k) for k, n in enumerate(counts)], torch.int64
            ),
        )

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures together."""
        return self.positions.shape[0]

    @property
    def n_systems(self) -> int:
        """Number of structures."""
        return self.cell.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.positions.device

    @property
    def atoms_per_system(self) -> Int[Tensor, " n_systems"]:
        """(n_systems,) number of atoms of each structure."""
        if self.n_systems == 1:
            return torch.tensor([self.n_atoms], device=self.device)
        return torch.bincount(self.system_index, minlength=self.n_systems)

    @property
    def volume(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) Å³; zero where a lattice vector is missing."""
        a, b, c = self.cell.unbind(1)
        return (a * torch.linalg.cross(b, c)).sum(1).abs()

    def sum_over_atoms(
        self, values: Shaped[Tensor, "n_atoms ..."]
    ) -> Shaped[Tensor, "n_systems ..."]:
        """Sum a per-atom quantity over the atoms of each structure."""
        if values.shape[0] != self.n_atoms:
            raise ShapeError(
                f"Wanted one value for each of {self.n_atoms} atoms, got shape "
                f"{tuple(values.shape)}."
            )
        total = values.new_zeros((self.n_systems, *values.shape[1:]))
        return total.index_add(0, self.system_index, values)

    def max_over_atoms(
        self, values: Float[Tensor, " n_atoms"]
    ) -> Float[Tensor, " n_systems"]:
        """Largest value among the atoms of each structure."""
        start = values.new_full((self.n_systems,), -torch.inf)
        return start.scatter_reduce(0, self.system_index, values, "amax")

    def with_geometry(self, *, positions: Tensor, cell: Tensor) -> AtomicBatch:
        """The same atoms elsewhere."""
        return replace(self, positions=positions, cell=cell)

    def detach(self) -> AtomicBatch:
        """The same geometry, cut off from automatic differentiation."""
        return self.with_geometry(
            positions=self.positions.detach(), cell=self.cell.detach()
        )

    def select(self, systems: Bool[Tensor, " n_systems"]) -> AtomicBatch:
        """Keep the structures for which `systems` is true, in their order."""
        atoms = systems[self.system_index]
        new_index = torch.cumsum(systems.long(), 0) - 1
        return AtomicBatch(
            positions=self.positions[atoms],
            cell=self.cell[systems],
            pbc=self.pbc[systems],
            atomic_numbers=self.atomic_numbers[atoms],
            system_index=new_index[self.system_index[atoms]],
        )

    @staticmethod
    def concatenate(batches: Sequence[AtomicBatch]) -> AtomicBatch:
        """All structures of some batches, in the order given."""
        starts = np.cumsum([0] + [batch.n_systems for batch in batches[:-1]]).tolist()
        return AtomicBatch(
            positions=torch.cat([batch.positions for batch in batches]),
            cell=torch.cat([batch.cell for batch in batches]),
            pbc=torch.cat([batch.pbc for batch in batches]),
            atomic_numbers=torch.cat([batch.atomic_numbers for batch in batches]),
            system_index=torch.cat(
                [
                    batch.system_index + start
                    for batch, start in zip(batches, starts, strict=True)
                ]
            ),
        )

    def to_atoms(self) -> list[ase.Atoms]:
        """Back to the host, one `ase.Atoms` a structure."""
        positions = self.positions.detach().cpu().double().numpy()
        cell = self.cell.detach().cpu().double().numpy()
        numbers = self.atomic_numbers.cpu().numpy()
        ends = np.cumsum(self.atoms_per_system.cpu().numpy())
        pieces = zip(
            np.split(numbers, ends[:-1]), np.split(positions, ends[:-1]), strict=True
        )
        return [
            ase.Atoms(n, positions=r, cell=cell[k], pbc=self.pbc[k].cpu().numpy())
            for k, (n, r) in enumerate(pieces)
        ]


_FARTHEST = 1e6
"""Å, a tenth of a millimeter; neighbor searches crash where integers overflow."""

_SHORTEST_VECTOR = 0.25
"""Å; along a shorter lattice vector any atom would overlap with its own image."""

_SMALLEST_VOLUME = 0.1
"""Å³ an atom; hydrogen, the smallest atom, has 1.5 at 500 GPa."""


def check_usable(atoms: ase.Atoms, index: int) -> None:
    """Refuse a structure that no batch can hold; see `AtomicBatch.from_atoms`.

    Raises:
        StructureError: names it by its place `index` and its formula.
    """
    if len(atoms) == 0:
        raise StructureError(
            f"{name_of(atoms, index)} has no atoms; wanted one or more."
        )
    cell = atoms.cell.array
    for what, array in (("position", atoms.positions), ("cell", cell)):
        usable = np.abs(array) < _FARTHEST  # A NaN is not.
        if not usable.all():
            row = int(np.argwhere(~usable)[0, 0])
            raise StructureError(
                f"{name_of(atoms, index)}: {what} {row} is {array[row].tolist()}; wanted "
                f"finite Å, below {_FARTHEST:g}. Correct it, or load the structure anew."
            )
    pbc = atoms.pbc
    if not pbc.any():
        return
    lengths = np.sqrt((cell * cell).sum(1))
    if (pbc & (lengths < _SHORTEST_VECTOR)).any():
        raise StructureError(
            f"{name_of(atoms, index)} is periodic along {pbc.tolist()} but its lattice "
            f"vectors have lengths {lengths.round(3).tolist()} Å. Set a cell or switch "
            "off pbc."
        )
    volume = abs(np.linalg.det(_with_unit_normals(cell, pbc)))
    least = _SMALLEST_VOLUME * len(atoms) if pbc.all() else 1e-6 * lengths[pbc].prod()
    if volume < least:
        raise StructureError(
            f"{name_of(atoms, index)}: its periodic lattice vectors span {volume:.3g} "
            f"Å^{pbc.sum()} for {len(atoms)} atoms; they lie in a plane or on a line, "
            "or are far too short. Set another cell or switch off pbc."
        )


def _with_unit_normals(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """(3, 3) the periodic lattice vectors, completed by unit vectors normal to them."""
    if pbc.all():
        return cell
    return np.vstack([cell[pbc], np.linalg.svd(cell[pbc])[2][pbc.sum() :]])


def name_of(atoms: ase.Atoms, index: int) -> str:
    """What messages call a structure: its place in a list, and its formula."""
    known = all(0 <= n < len(chemical_symbols) for n in atoms.numbers)
    formula = atoms.get_chemical_formula() if known else "elements that do not exist"
    return f"Structure {index} ({formula or 'empty'})"
