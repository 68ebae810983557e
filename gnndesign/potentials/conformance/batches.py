"""Promises about batches: each structure for itself, the input kept, nothing lost."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import torch
from ase.data import covalent_radii

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.conformance.tolerance import (
    TOLERANCE,
    Structures,
    close,
    require,
    same,
    same_energy,
)


def check_prediction_is_whole(potential: Potential, structures: Structures) -> None:
    """Shapes, floating type, finiteness, sums, symmetry; no graph left behind."""
    batch = AtomicBatch.from_atoms(structures, device=potential.device)
    prediction = _predict(potential, batch)
    require(
        potential,
        "a prediction has one energy and stress a structure and one force an atom",
        kept=prediction.energy.shape == (batch.n_systems,)
        and prediction.forces.shape == (batch.n_atoms, 3)
        and prediction.stress.shape == (batch.n_systems, 3, 3),
    )
    moments = prediction.magnetic_moments_muB
    given = None if moments is None else moments.shape
    require(
        potential,
        "there is a magnetic moment an atom where declared, else none",
        kept=given == ((batch.n_atoms,) if potential.has_magnetic_moments else None),
    )
    for name in (
        "energy",
        "forces",
        "stress",
        "atomic_energies",
        "magnetic_moments_muB",
    ):
        values = getattr(prediction, name)
        if values is None:
            continue
        require(
            potential,
            f"{name} is finite, detached, and of the type and device of the batch",
            kept=values.dtype == batch.positions.dtype
            and values.device == batch.device
            and not values.requires_grad
            and bool(torch.isfinite(values).all()),
        )
    if prediction.atomic_energies is not None:
        summed = batch.sum_over_atoms(prediction.atomic_energies)
        same_energy(potential, structures, summed, prediction.energy, "atomic sum")
    tolerance = TOLERANCE[potential.dtype]
    close(
        potential,
        "stress is symmetric",
        prediction.stress,
        prediction.stress.mT,
        tolerance.stress,
    )
    open_ones = ~batch.pbc.all(1)
    require(
        potential,
        "the stress of a structure without a volume is zero",
        kept=not bool(prediction.stress[open_ones].any()),
    )


def check_batch_equals_singles(potential: Potential, structures: Structures) -> None:
    """A structure is predicted the same alone and among others."""
    together = potential.compute(list(structures))
    alone = [potential.compute(atoms) for atoms in structures]
    same(potential, structures, together, _joined(alone), "alone and in a batch")


def check_no_pull_between_structures(
    potential: Potential, structures: Structures
) -> None:
    """Structures of a batch do not feel each other, though they lie in one place."""
    for atoms in structures:
        ghost = atoms.copy()
        ghost.positions += 0.3
        pair = potential.compute([atoms, ghost, atoms])
        alone = potential.compute(atoms)
        same(
            potential,
            [atoms, ghost, atoms],
            pair,
            _joined([alone, potential.compute(ghost), alone]),
            "structures in one place",
        )


def check_one_atom(potential: Potential, structures: Structures) -> None:
    """An atom alone feels nothing, in a vacuum, among others, and in a small cell.

    A potential that is not extensive, by declaration, refuses it.
    """
    symbol = structures[0].symbols[0]
    tolerance = TOLERANCE[potential.dtype]
    lattice = 1.9 * covalent_radii[structures[0].numbers[0]]
    crystal = ase.Atoms(symbol, cell=[lattice] * 3, pbc=True)
    cases: list[list[ase.Atoms]] = [[crystal]]
    lonely = ase.Atoms(symbol)
    if not potential.is_extensive:
        _require_refusal(potential, lonely, "an atom alone")
        return
    if potential.needs_neighbors:
        _require_refusal(potential, lonely, "an atom out of reach")
    else:
        cases += [[lonely], [lonely, structures[0], crystal, lonely]]
    for case in cases:
        prediction = potential.compute(case)
        first = prediction.forces[0].cpu()
        close(
            potential,
            f"one atom of {symbol} feels no force",
            first,
            torch.zeros_like(first),
            tolerance.forces,
        )
        require(
            potential,
            f"one atom of {symbol} has a finite energy",
            kept=bool(torch.isfinite(prediction.energy).all()),
        )


def check_input_is_kept(potential: Potential, structures: Structures) -> None:
    """Predicting changes neither the structures, nor the batch, nor the edges."""
    copies = [atoms.copy() for atoms in structures]
    potential.compute(list(structures))
    require(
        potential,
        "the structures given are not modified",
        kept=all(a == b for a, b in zip(structures, copies, strict=True)),
    )
    batch = AtomicBatch.from_atoms(structures, device=potential.device)
    edges = _edges(potential, batch)
    tensors = [batch.positions, batch.cell, batch.pbc]
    tensors += [batch.atomic_numbers, batch.system_index]
    if edges is not None:
        tensors += [edges.centers, edges.neighbors, edges.shifts]
    before = [tensor.clone() for tensor in tensors]
    potential.predict(batch, edges)
    require(
        potential,
        "the batch and edges given are not modified",
        kept=all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
        and not any(tensor.requires_grad for tensor in tensors),
    )


def check_edges_beyond_the_cutoff(potential: Potential, structures: Structures) -> None:
    """Pairs farther apart than the cutoff contribute nothing."""
    if potential.cutoff is None:
        return
    batch = AtomicBatch.from_atoms(structures, device=potential.device)
    same(
        potential,
        structures,
        potential.predict(batch, find_neighbors(batch, potential.cutoff + 0.7)),
        potential.predict(batch, find_neighbors(batch, potential.cutoff)),
        "pairs beyond the cutoff",
    )


def _require_refusal(potential: Potential, atoms: ase.Atoms, what: str) -> None:
    try:
        potential.compute(atoms)
    except StructureError:
        return
    require(potential, f"{what} is refused, as declared", kept=False)


def _predict(potential: Potential, batch: AtomicBatch) -> Prediction:
    return potential.predict(batch, _edges(potential, batch))


def _edges(potential: Potential, batch: AtomicBatch) -> NeighborList | None:
    if potential.cutoff is None:
        return None
    return find_neighbors(batch, potential.cutoff)


def _joined(predictions: Sequence[Prediction]) -> Prediction:
    atomic = [p.atomic_energies for p in predictions if p.atomic_energies is not None]
    moments = [
        p.magnetic_moments_muB
        for p in predictions
        if p.magnetic_moments_muB is not None
    ]
    return Prediction(
        energy=torch.cat([p.energy for p in predictions]),
        atomic_energies=torch.cat(atomic) if atomic else None,
        forces=torch.cat([p.forces for p in predictions]),
        stress=torch.cat([p.stress for p in predictions]),
        magnetic_moments_muB=torch.cat(moments) if moments else None,
    )
