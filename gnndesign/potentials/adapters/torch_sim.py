"""Any model of torch-sim (a `ModelInterface`) as a `Potential`.

torch-sim (the package torch-sim-atomistic) has lattice vectors as columns, energy in eV,
stress in eV/Å³ positive under tension, and one flag of periodicity for a whole state.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from ase.data import atomic_masses
from jaxtyping import Bool, Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import (
    MissingDependencyError,
    ParameterError,
    ShapeError,
    StructureError,
)
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, Potential, Prediction

_VACUUM = 100.0
"""Å, around a molecule, for models that look at a cell although nothing repeats."""


class TorchSimPotential(Potential):
    """Evaluates a batch with a torch-sim model, all structures together.

    Args:
        model: a `torch_sim.models.interface.ModelInterface` that computes forces, and
            stress where structures are periodic.
        card: what to know of it; without one, all elements are let in, because
            torch-sim models do not say which they know.

    Raises:
        MissingDependencyError: torch-sim is not installed.
        ParameterError: the model computes no forces.
    """

    cutoff = None

    def __init__(self, model: Any, *, card: Card | None = None) -> None:
        try:
            from torch_sim.state import SimState
        except ImportError as error:
            raise MissingDependencyError(
                "TorchSimPotential needs torch-sim, which is not installed. "
                "Type: pip install torch-sim-atomistic."
            ) from error
        if not model.compute_forces:
            raise ParameterError(
                f"{type(model).__name__} computes no forces. Make it with "
                "compute_forces=True."
            )
        self._state_type = SimState
        self.model = model
        self.device = torch.device(model.device)
        self.card = card or _card_of(model)

    @property
    def dtype(self) -> torch.dtype:
        """That of the model."""
        return self.model.dtype

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Evaluate a batch; `edges` is not used.

        Raises:
            StructureError: a structure is periodic along one or two axes alone, or
                periodic although the model computes no stress.
            ShapeError: the model's answer has another shape than torch-sim promises.
        """
        del edges
        periodic = self._all_or_nothing(batch)
        dtype = batch.positions.dtype
        energy = batch.cell.new_empty(batch.n_systems)
        forces = torch.empty_like(batch.positions)
        stress = torch.zeros_like(batch.cell)
        for pbc in (True, False):
            systems = periodic if pbc else ~periodic
            if not systems.any():
                continue
            part = batch.select(systems)
            answer = self.model(self._state(part, pbc=pbc))
            energy[systems] = _tensor(answer, "energy", (part.n_systems,)).to(dtype)
            atoms = systems[batch.system_index]
            forces[atoms] = _tensor(answer, "forces", (part.n_atoms, 3)).to(dtype)
            if pbc:
                shape = (part.n_systems, 3, 3)
                stress[systems] = _tensor(answer, "stress", shape).to(dtype)
        return Prediction(
            energy=energy, atomic_energies=None, forces=forces, stress=stress
        )

    def _all_or_nothing(self, batch: AtomicBatch) -> Bool[Tensor, " n_systems"]:
        periodic = batch.pbc.all(1)
        partly = (batch.pbc.any(1) & ~periodic).nonzero()[:, 0].tolist()
        if partly:
            raise StructureError(
                f"Structure {partly[0]} is periodic along "
                f"{batch.pbc[partly[0]].tolist()}; torch-sim models want all axes or "
                "none. Leave vacuum along the open axes and set pbc=True."
            )
        if periodic.any() and not self.model.compute_stress:
            raise StructureError(
                f"Structure {int(periodic.int().argmax())} is periodic, but "
                f"'{self.card.name}' computes no stress. Make the model with "
                "compute_stress=True."
            )
        return periodic

    def _state(self, batch: AtomicBatch, *, pbc: bool) -> Any:
        # `batch` is a selection, hence a copy: the model may write into it.
        cell = batch.cell if pbc else _box(batch)
        masses = torch.as_tensor(atomic_masses, device=batch.device)
        return self._state_type(
            positions=batch.positions.detach().to(self.dtype),
            masses=masses[batch.atomic_numbers].to(self.dtype),
            cell=cell.detach().mT.to(self.dtype).contiguous(),
            pbc=pbc,
            atomic_numbers=batch.atomic_numbers,
            system_idx=batch.system_index,
        )


def _box(batch: AtomicBatch) -> Float[Tensor, "n_systems 3 3"]:
    """A cube around each structure with more vacuum than any model can see."""
    extent = batch.max_over_atoms(batch.positions.detach().abs().amax(1))
    identity = torch.eye(3, dtype=batch.cell.dtype, device=batch.device)
    return (2.0 * extent + _VACUUM)[:, None, None] * identity


def _tensor(answer: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in answer or answer[name].shape != shape:
        got = tuple(answer[name].shape) if name in answer else "nothing"
        raise ShapeError(
            f"Wanted '{name}' of shape {shape} from the torch-sim model, got {got}. "
            "Look at its `forward`."
        )
    return answer[name].detach()


def _card_of(model: Any) -> Card:
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    digest = hashlib.sha256(kind.encode())
    for name, value in sorted({**vars(model), **model.state_dict()}.items()):
        if isinstance(value, Tensor):
            value = value.detach().cpu().tolist()  # noqa: PLW2901 - as plain numbers
        if isinstance(value, bool | int | float | str | list):
            digest.update(f"{name} {value!r}".encode())
    reach = getattr(model, "cutoff", None)
    return Card(
        name=type(model).__name__,
        title=kind,
        licence="that of the model",
        level_of_theory="unknown to gnndesign",
        training_data="unknown to gnndesign",
        n_parameters=sum(p.numel() for p in model.parameters()) or None,
        elements=tuple(range(1, 119)),
        cutoff=None if reach is None else float(reach),
        checksum=digest.hexdigest(),
        citation="that of the model",
        notes=("gnndesign does not know which elements the model was trained on.",),
    )
