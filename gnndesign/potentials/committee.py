"""Several potentials as one: their mean predicts, their spread says how far to trust it.

    E = (1/M) Σ_m E_m,   F = (1/M) Σ_m F_m

H. S. Seung, M. Opper, H. Sompolinsky, COLT 1992 (query by committee); of potentials:
C. Schran, K. Brezina, O. Marsalek, J. Chem. Phys. 153, 104105 (2020).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, ShapeError, StructureError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import Card, Potential, Prediction
from gnndesign.potentials.calibration import Calibration, calibrate
from gnndesign.potentials.input_checks import OVERLAP_REACH, refuse_overlap
from gnndesign.potentials.portions import in_portions


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """What a committee says of some structures, and how far its members are apart.

    Attributes:
        n_members: M.
        energy: (n_structures,) eV, mean.
        energy_spread: (n_structures,) eV an atom, standard deviation over the members,
            with M - 1 in the denominator.
        forces: of each structure (n_atoms, 3) eV/Å, mean.
        force_spread: of each structure (n_atoms,) eV/Å of a component,
            sqrt(Σ_m |F_m - F|² / (3 (M - 1))).
    """

    n_members: int
    energy: Float[np.ndarray, " n_structures"]
    energy_spread: Float[np.ndarray, " n_structures"]
    forces: tuple[Float[np.ndarray, "_ 3"], ...]
    force_spread: tuple[Float[np.ndarray, " _"], ...]

    @property
    def max_force_spread(self) -> Float[np.ndarray, " n_structures"]:
        """(n_structures,) eV/Å, of the atom on which members agree least."""
        return np.array([spread.max() for spread in self.force_spread])


class Committee(Potential):
    """The mean of its members.

    Their energies should have one reference (one level of theory and one baseline), or
    the spread of energies is that of the references; forces do not know of it.

    Args:
        members: two or more, on one device, each given the neighbors within its cutoff.

    Raises:
        ParameterError: fewer than two members, on several devices, or without an
            element that all know.
    """

    def __init__(self, members: Sequence[Potential]) -> None:
        self.members = tuple(members)
        devices = {str(member.device) for member in self.members}
        if len(self.members) < 2 or len(devices) > 1:
            raise ParameterError(
                "Wanted two or more potentials on one device, got "
                f"{len(self.members)} on {', '.join(sorted(devices)) or 'none'}."
            )
        self.device = self.members[0].device
        cutoffs = [m.cutoff for m in self.members if m.cutoff is not None]
        self.cutoff = max(cutoffs, default=None)
        self.card = _card(self.members)
        for promise in (
            "is_equivariant",
            "is_mirror_symmetric",
            "is_translation_invariant",
            "is_permutation_invariant",
            "is_extensive",
            "is_conservative",
            "has_magnetic_moments",
        ):
            setattr(self, promise, all(getattr(m, promise) for m in self.members))
        self.needs_neighbors = any(member.needs_neighbors for member in self.members)

    @property
    def dtype(self) -> torch.dtype:
        """The coarsest floating type of its members."""
        return max((m.dtype for m in self.members), key=lambda t: torch.finfo(t).eps)

    def check_elements(self, batch: AtomicBatch) -> None:
        """Refuse what one of the members refuses."""
        for member in self.members:
            member.check_elements(batch)

    def prepare(self, say: Callable[[str], None] | None = None) -> None:
        """Prepare each member."""
        for member in self.members:
            member.prepare(say)

    def predict_each(
        self, batch: AtomicBatch, edges: NeighborList | None
    ) -> list[Prediction]:
        """What each member says; arguments as of `predict`."""
        return [
            member.predict(batch, _edges_for(member, batch, edges))
            for member in self.members
        ]

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """The mean of what the members say.

        Atomic energies and magnetic moments are there where every member has them.
        """
        each = self.predict_each(batch, edges)
        return Prediction(
            energy=_mean([one.energy for one in each]),
            atomic_energies=_mean_if_all([one.atomic_energies for one in each]),
            forces=_mean([one.forces for one in each]),
            stress=_mean([one.stress for one in each]),
            magnetic_moments_muB=_mean_if_all(
                [one.magnetic_moments_muB for one in each]
            ),
        )

    def disagreement(self, structures: ase.Atoms | Sequence[ase.Atoms]) -> Disagreement:
        """How far the members are apart.

        Args:
            structures: one or more.

        Raises:
            UnsupportedElementError: a member does not know an element.
            StructureError: a structure cannot be used, or a member's answer is not
                finite.
        """
        several = [structures] if isinstance(structures, ase.Atoms) else structures
        if not several:
            raise StructureError("Wanted at least one structure, got an empty list.")
        parts = [self._disagreement(part) for part in in_portions(several)]
        return Disagreement(
            n_members=len(self.members),
            energy=np.concatenate([part.energy for part in parts]),
            energy_spread=np.concatenate([part.energy_spread for part in parts]),
            forces=tuple(f for part in parts for f in part.forces),
            force_spread=tuple(f for part in parts for f in part.force_spread),
        )

    def calibrate(
        self,
        structures: Sequence[ase.Atoms],
        *,
        energy: Sequence[float] | np.ndarray | None = None,
        forces: Sequence[np.ndarray | None] | None = None,
        held_out: float = 0.5,
        seed: int = 0,
    ) -> Calibration:
        """Compare the spread with true errors: of energies or of forces.

        The error of an energy is taken an atom; that of a force by components, each
        with the spread of its atom.

        Args:
            structures: that no member was trained on.
            energy: (n_structures,) eV, true; NaN where unknown.
            forces: of each structure (n_atoms, 3) eV/Å, true; None where unknown.
            held_out: share of the structures on which coverage is counted; the factor
                is found on the others.
            seed: of the choice of these.

        Raises:
            ParameterError: neither or both of energy and forces.
            ShapeError: not one label a structure.
            FitError: too few structures with labels.
        """
        given = energy if forces is None else forces
        if given is None or (energy is not None and forces is not None):
            raise ParameterError("Wanted true energies or true forces, one of them.")
        if len(given) != len(structures):
            raise ShapeError(
                f"Wanted a label for each of {len(structures)} structures, got "
                f"{len(given)}."
            )
        found = self.disagreement(structures)
        if energy is not None:
            sizes = np.array([len(atoms) for atoms in structures])
            errors = (found.energy - np.asarray(energy, dtype=float)) / sizes
            pairs = [
                (errors[k : k + 1], found.energy_spread[k : k + 1])
                for k in np.flatnonzero(~np.isnan(errors)).tolist()
            ]
            freedom = len(self.members) - 1
        else:
            pairs = [
                ((mean - true).ravel(), np.repeat(spread, 3))
                for mean, true, spread in zip(
                    found.forces, forces or (), found.force_spread, strict=True
                )
                if true is not None
            ]
            freedom = 3 * (len(self.members) - 1)
        return calibrate(
            [error for error, _ in pairs],
            [spread for _, spread in pairs],
            quantity="force component" if energy is None else "energy per atom",
            unit="eV/Å" if energy is None else "eV",
            degrees_of_freedom=freedom,
            held_out=held_out,
            seed=seed,
        )

    def _disagreement(self, structures: Sequence[ase.Atoms]) -> Disagreement:
        batch = AtomicBatch.from_atoms(structures, device=self.device)
        self.check_elements(batch)
        edges = find_neighbors(batch, self.cutoff or OVERLAP_REACH)
        refuse_overlap(batch, edges)
        each = self.predict_each(batch, None if self.cutoff is None else edges)
        for member, one in zip(self.members, each, strict=True):
            _refuse_not_finite(member, batch, one)
        freedom = len(each) - 1
        energies = torch.stack([p.energy.double() for p in each])
        forces = torch.stack([p.forces.double() for p in each])
        apart = ((forces - forces.mean(0)) ** 2).sum((0, 2)) / (3 * freedom)
        spread = energies.std(0) / batch.atoms_per_system
        ends = np.cumsum([len(atoms) for atoms in structures])[:-1]
        return Disagreement(
            n_members=len(each),
            energy=energies.mean(0).cpu().numpy(),
            energy_spread=spread.cpu().numpy(),
            forces=tuple(np.split(forces.mean(0).cpu().numpy(), ends)),
            force_spread=tuple(np.split(apart.sqrt().cpu().numpy(), ends)),
        )


def _edges_for(
    member: Potential, batch: AtomicBatch, edges: NeighborList | None
) -> NeighborList | None:
    if member.cutoff is None or edges is None:
        return None
    return (
        edges if edges.cutoff <= member.cutoff else edges.within(batch, member.cutoff)
    )


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)


def _mean_if_all(values: Sequence[Tensor | None]) -> Tensor | None:
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else None


def _refuse_not_finite(
    member: Potential, batch: AtomicBatch, prediction: Prediction
) -> None:
    finite = prediction.finite_systems(batch)
    if not bool(finite.all()):
        raise StructureError(
            f"Member '{member.card.name}' gives structure {int(finite.int().argmin())} "
            "an energy, force or stress that is not finite. Leave one of them out."
        )


def _card(members: Sequence[Potential]) -> Card:
    cards = [member.card for member in members]

    def each(texts: Sequence[str]) -> str:
        return "; ".join(dict.fromkeys(texts))

    elements = set(cards[0].elements).intersection(*(card.elements for card in cards))
    if not elements:
        raise ParameterError(
            "Wanted members that know an element in common, got "
            f"{each([card.name for card in cards])}, which have none."
        )
    counts = [card.n_parameters for card in cards if card.n_parameters is not None]
    cutoffs = [card.cutoff for card in cards if card.cutoff is not None]
    defined_by = "committee " + " ".join(card.checksum for card in cards)
    return Card(
        name="committee",
        title=f"Committee of {len(cards)}: {each([card.title for card in cards])}",
        licence=each([card.licence for card in cards]),
        level_of_theory=each([card.level_of_theory for card in cards]),
        training_data=each([card.training_data for card in cards]),
        n_parameters=sum(counts) if len(counts) == len(cards) else None,
        elements=tuple(sorted(elements)),
        cutoff=max(cutoffs) if len(cutoffs) == len(cards) else None,
        checksum=hashlib.sha256(defined_by.encode()).hexdigest(),
        citation=each([card.citation for card in cards]),
        notes=tuple(dict.fromkeys(note for card in cards for note in card.notes)),
    )
