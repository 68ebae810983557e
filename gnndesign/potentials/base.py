"""What a potential is: `Potential`, `EnergyModel`, `Prediction` and `Card`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import torch
from ase.data import chemical_symbols
from jaxtyping import Bool, Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError, UnsupportedElementError
from gnndesign.members import per_atom, per_system, state_class
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.input_checks import OVERLAP_REACH, refuse_overlap

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from gnndesign.potentials.combine import SumPotential


@state_class
class Prediction:
    """What a potential says about a batch.

    Attributes:
        energy: (n_systems,) eV.
        atomic_energies: (n_atoms,) eV; they sum to `energy`. None where the
            potential has no energy of an atom.
        forces: (n_atoms, 3) eV/Å, minus the gradient of the energy.
        stress: (n_systems, 3, 3) eV/Å³, (1/V) dE/dstrain, positive under tension
            (ASE's sign). It has a meaning where a structure is periodic along all
            three axes (`batch.pbc.all(1)`); elsewhere no volume is defined, and it is
            zero.
        magnetic_moments_muB: (n_atoms,) Bohr magnetons; None where the potential has
            none.
    """

    energy: Float[Tensor, " n_systems"] = per_system()
    atomic_energies: Float[Tensor, " n_atoms"] | None = per_atom()
    forces: Float[Tensor, "n_atoms 3"] = per_atom()
    stress: Float[Tensor, "n_systems 3 3"] = per_system()
    magnetic_moments_muB: Float[Tensor, " n_atoms"] | None = per_atom(default=None)

    def finite_systems(self, batch: AtomicBatch) -> Bool[Tensor, " n_systems"]:
        """(n_systems,) where energy, forces and stress are numbers."""
        return (
            torch.isfinite(self.energy)
            & torch.isfinite(self.stress).all(-1).all(-1)
            & torch.isfinite(batch.sum_over_atoms(self.forces)).all(-1)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a person should know before trusting a potential.

    Attributes:
        name: as `load_potential` knows it.
        title: the name its authors gave it.
        licence: of the weights.
        level_of_theory: what the training labels were computed with.
        training_data: the data set.
        n_parameters: number of trained parameters; None where unknown.
        elements: atomic numbers it was trained on, ascending.
        cutoff: Å; None where unknown.
        checksum: SHA-256 of the file of weights, or of what defines the potential.
        citation: what to cite.
        notes: known weak spots, one sentence each.
        training: of a potential trained here: data, errors, versions; else empty.
    """

    name: str
    title: str
    licence: str
    level_of_theory: str
    training_data: str
    n_parameters: int | None
    elements: tuple[int, ...]
    cutoff: float | None
    checksum: str
    citation: str
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def check_elements(self, atomic_numbers: Sequence[int]) -> None:
        """Refuse atoms of an element outside `elements`.

        Raises:
            UnsupportedElementError: names the elements and the atoms.
        """
        unknown = set(atomic_numbers).difference(self.elements)
        if not unknown:
            return
        where = [k for k, number in enumerate(atomic_numbers) if number in unknown]
        symbols = ", ".join(_symbol(number) for number in sorted(unknown))
        listed = ", ".join(map(str, where[:8])) + (", ..." if len(where) > 8 else "")
        raise UnsupportedElementError(
            f"Potential '{self.name}' knows {len(self.elements)} elements but not "
            f"{symbols} (atoms {listed}). Remove these atoms or choose a potential "
            f"trained on {symbols}."
        )


def _symbol(atomic_number: int) -> str:
    if 0 < atomic_number < len(chemical_symbols):
        return chemical_symbols[atomic_number]
    return f"the atomic number {atomic_number}"


class Potential(ABC):
    """Energy, forces and stress of any batch of structures it knows the elements of.

    What every potential promises is in `gnndesign.potentials.conformance`. One that
    lacks a promise says so here, and is then tested for lacking it.

    Attributes:
        card: origin, licence, elements and known weak spots.
        device: where `predict` wants the batch.
        cutoff: Å, the range within which it wants neighbors; None for a potential
            that finds its own, to which `edges=None` is given.
        is_equivariant: whether turning a structure turns its forces and stress.
        is_mirror_symmetric: whether a structure and its mirror image have the same
            energy.
        is_translation_invariant: whether moving a structure changes nothing.
        is_permutation_invariant: whether the order of its atoms has no meaning.
        is_extensive: whether two copies of a structure have twice its energy, and a
            structure of any number of atoms has one.
        is_conservative: whether forces and stress are the gradient of the energy.
        needs_neighbors: whether an atom that is out of reach of all others is
            refused with a `StructureError`.
        has_magnetic_moments: whether its predictions have magnetic moments.
    """

    card: Card
    device: torch.device
    cutoff: float | None
    is_equivariant: bool = True
    is_mirror_symmetric: bool = True
    is_translation_invariant: bool = True
    is_permutation_invariant: bool = True
    is_extensive: bool = True
    is_conservative: bool = True
    needs_neighbors: bool = False
    has_magnetic_moments: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The floating type it computes in, whatever that of the batch."""
        return torch.float64

    @abstractmethod
    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Evaluate a batch that is known to make sense.

        Neither the geometry nor the answer is checked, so that one structure that
        goes wrong does not end the others: `compute` checks and raises, simulations
        check every step and mark the structure.

        Args:
            batch: on `self.device`. It is not modified.
            edges: every pair within `self.cutoff` (more are allowed: pairs beyond
                the cutoff contribute nothing); None where `self.cutoff` is None.

        Returns:
            Detached tensors in the floating type of `batch`.
        """

    @final
    def compute(self, structures: Any) -> Prediction:
        """Evaluate one `ase.Atoms` or a list, from scratch.

        Raises:
            UnsupportedElementError: the potential does not know an element.
            StructureError: a structure cannot be used: its geometry is not finite, has
                no volume or atoms on top of each other, or the potential's answer is
                not finite.
        """
        batch = AtomicBatch.from_atoms(structures, device=self.device)
        self.check_elements(batch)
        edges = find_neighbors(batch, self.cutoff or OVERLAP_REACH)
        refuse_overlap(batch, edges)
        prediction = self.predict(batch, None if self.cutoff is None else edges)
        self._refuse_not_finite(batch, prediction)
        return prediction

    def _refuse_not_finite(self, batch: AtomicBatch, prediction: Prediction) -> None:
        parts = (prediction.energy, prediction.forces, prediction.stress)
        if math.isfinite(sum(float(part.sum()) for part in parts)):
            return
        bad = int(prediction.finite_systems(batch).int().argmin())
        raise StructureError(
            f"Potential '{self.card.name}' gives structure {bad} "
            "an energy, force or stress that is not finite. The structure is far from "
            "what the potential knows: look at its distances and its cell, or choose "
            "another potential."
        )

    def check_elements(self, batch: AtomicBatch) -> None:
        """Refuse a batch with an element outside `card.elements`.

        Raises:
            UnsupportedElementError: names the elements and the atoms.
        """
        self.card.check_elements(batch.atomic_numbers.tolist())

    def prepare(self, say: Callable[[str], None] | None = None) -> None:
        """Get done what would make the first evaluations slow; nothing by default.

        Args:
            say: told what is going on when it takes long; else standard error is.
        """
        del say

    def __add__(self, other: Potential) -> SumPotential:
        """The sum of two potentials; see `combine.py`."""
        from gnndesign.potentials.combine import combine

        return combine(self, other)

    def as_calculator(self) -> Calculator:
        """This potential as an ASE calculator (energy, forces, stress, energies)."""
        from gnndesign.potentials.calculator import PotentialCalculator

        return PotentialCalculator(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slopes:
    """Atomic energies and the derivatives of their sum.

    Attributes:
        atomic_energies: (n_atoms,) eV.
        positions: (n_atoms, 3) eV/Å, dE/dr.
        strain: (n_systems, 3, 3) eV, dE/dstrain, symmetric.
    """

    atomic_energies: Float[Tensor, " n_atoms"]
    positions: Float[Tensor, "n_atoms 3"]
    strain: Float[Tensor, "n_systems 3 3"]


class EnergyModel(Potential):
    """A potential that states its atomic energies; forces and stress follow."""

    @abstractmethod
    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV, differentiable with respect to positions and cell."""

    @final
    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Energies, forces and stress; see `energy_and_slopes`."""
        if edges is None:
            raise TypeError(f"{type(self).__name__} needs a NeighborList, got None.")
        found = self.energy_and_slopes(batch.detach(), edges)
        return Prediction(
            energy=batch.sum_over_atoms(found.atomic_energies),
            atomic_energies=found.atomic_energies,
            forces=-found.positions,
            stress=stress_from_virial(batch, found.strain),
        )

    def energy_and_slopes(self, batch: AtomicBatch, edges: NeighborList) -> Slopes:
        """Energies and their derivatives, here by automatic differentiation.

        A subclass with a faster way of its own overrides it.

        Stress: every position and lattice vector is multiplied by (1 + strain), and
        stress = (1/V) dE/dstrain at zero strain (Knuth et al., Comput. Phys. Commun.
        190, 33 (2015), eq. 5), symmetrised.
        """
        found = differentiate(self, batch, edges)
        return replace(found, atomic_energies=found.atomic_energies.detach())


def differentiate(
    model: EnergyModel,
    batch: AtomicBatch,
    edges: NeighborList,
    *,
    create_graph: bool = False,
    with_strain: bool = True,
) -> Slopes:
    """Atomic energies and their derivatives by automatic differentiation.

    Args:
        model: states the energies.
        batch: structures.
        edges: their neighbors.
        create_graph: whether the results are to be differentiated with respect to the
            model's weights.
        with_strain: whether dE/dstrain is wanted; else it is zero.
    """
    positions = batch.positions.detach().requires_grad_()
    strain = torch.zeros_like(batch.cell, requires_grad=with_strain)
    strained = batch.with_geometry(positions=positions, cell=batch.cell)
    with torch.enable_grad():
        if with_strain:
            symmetric = 0.5 * (strain + strain.mT)
            moved = torch.einsum(
                "ni,nij->nj", positions, symmetric.index_select(0, batch.system_index)
            )
            strained = batch.with_geometry(
                positions=positions + moved, cell=batch.cell + batch.cell @ symmetric
            )
        atomic = model.atomic_energies(strained, edges)
        slopes = torch.autograd.grad(
            atomic.sum(),
            (positions, strain) if with_strain else (positions,),
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    virial = slopes[1] if with_strain else strain
    return Slopes(atomic_energies=atomic, positions=slopes[0], strain=virial)


def stress_from_virial(
    batch: AtomicBatch, virial: Float[Tensor, "n_systems 3 3"]
) -> Float[Tensor, "n_systems 3 3"]:
    """Stress (eV/Å³) from dE/dstrain (eV): divided by the volume, zero without one."""
    per_volume = virial / batch.volume[:, None, None]
    return torch.where(batch.pbc.all(1)[:, None, None], per_volume, 0.0)
