"""The promises every potential is asked for, as checks that a test runs.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_potential(check):
        check(MyPotential(), structures)

A check takes a potential and a few structures that it knows the elements of (best a
distorted crystal and a distorted molecule: where symmetry makes a force zero, nothing
is tested) and raises AssertionError when the promise is broken. What a potential lacks
it declares (`is_equivariant`, `is_mirror_symmetric`, `needs_neighbors`); the check then
asks that it be lacking, so that no declaration outlives its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ase
import numpy as np
import torch
from ase.data import chemical_symbols, covalent_radii
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.tolerance import (
    TOLERANCE,
    close,
    require,
    same,
    same_energy,
)

Structures = Sequence[ase.Atoms]

_PLACES = np.linspace(-1.0, 1.0, 11)
"""Where on a short path energies and forces are asked for, in steps."""

_WEIGHTS = np.array([1, 4, 2, 4, 2, 4, 2, 4, 2, 4, 1]) / 15.0
"""Simpson's rule on these places."""


LARGEST_JUMP = 1e-3
"""eV; no energy may change by more than this without a force that accounts for it."""


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
    for name in ("energy", "forces", "stress", "atomic_energies"):
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


def check_permutation(potential: Potential, structures: Structures) -> None:
    """The order of the atoms has no meaning."""
    rng = np.random.default_rng(1)
    orders = [rng.permutation(len(atoms)) for atoms in structures]
    shuffled = potential.compute(
        [atoms[order] for atoms, order in zip(structures, orders, strict=True)]
    )
    original = potential.compute(list(structures))
    starts = np.cumsum([0, *(len(order) for order in orders[:-1])])
    places = torch.as_tensor(
        np.concatenate([o + s for o, s in zip(orders, starts, strict=True)]),
        device=original.forces.device,
    )
    expected = Prediction(
        energy=original.energy,
        atomic_energies=None
        if original.atomic_energies is None
        else original.atomic_energies[places],
        forces=original.forces[places],
        stress=original.stress,
    )
    same(potential, structures, shuffled, expected, "atoms in another order")


def check_translation(potential: Potential, structures: Structures) -> None:
    """Moving everything, and folding atoms back into the cell, changes nothing."""
    moved = [atoms.copy() for atoms in structures]
    for atoms in moved:
        atoms.translate([1.234, -5.678, 3.21])
        atoms.wrap()
    same(
        potential,
        structures,
        potential.compute(moved),
        potential.compute(list(structures)),
        "structures moved and wrapped",
    )


def check_rotation(potential: Potential, structures: Structures) -> None:
    """Turning a structure turns its forces and stress and keeps its energy."""
    turn = Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    _check_orthogonal(
        potential, structures, turn, "turned", declared=potential.is_equivariant
    )


def check_inversion(potential: Potential, structures: Structures) -> None:
    """A structure and its mirror image differ by signs alone."""
    _check_orthogonal(
        potential,
        structures,
        -np.eye(3),
        "mirrored",
        declared=potential.is_equivariant and potential.is_mirror_symmetric,
    )


def check_forces_are_the_gradient(potential: Potential, structures: Structures) -> None:
    """Forces are minus the central difference of the energy.

    Forces are averaged over the path of the difference (Simpson's rule), so that the
    check holds to the same accuracy where the energy surface is rough.
    """
    tolerance = TOLERANCE[potential.dtype]
    rng = np.random.default_rng(2)
    for atoms in structures:
        for direction in rng.normal(size=(2, len(atoms), 3)):
            path: list[ase.Atoms] = []
            for place in _PLACES:
                copy = _free_copy(atoms)
                copy.positions += place * tolerance.step * direction
                path.append(copy)
            energy, forces, _ = _host(potential.compute(path))
            forces = forces.reshape(len(path), *direction.shape)
            pull = -_WEIGHTS @ np.einsum("ni,kni->k", direction, forces) / 2.0
            slope = (energy[-1] - energy[0]) / (2.0 * tolerance.step)
            close(
                potential,
                f"forces of {atoms.symbols} are minus the slope of the energy, an atom",
                pull / len(atoms),
                slope / len(atoms),
                tolerance.gradient,
            )


def check_stress_is_the_strain_derivative(
    potential: Potential, structures: Structures
) -> None:
    """Stress times volume is the central difference of the energy by strain."""
    tolerance = TOLERANCE[potential.dtype]
    rng = np.random.default_rng(3)
    for atoms in structures:
        if not atoms.pbc.all():
            continue
        for strain in rng.normal(size=(3, 3, 3)) * 0.3:
            strain = 0.5 * (strain + strain.T)  # noqa: PLW2901 - its symmetric part
            path: list[ase.Atoms] = []
            for place in _PLACES:
                # exp commutes with its generator: along this path dE is V σ : dε.
                deformation = expm(place * tolerance.step * strain)
                path.append(_transformed(atoms, deformation))
            energy, _, stress = _host(potential.compute(path))
            volume = np.array([copy.cell.volume for copy in path])
            virial = _WEIGHTS @ (volume * np.einsum("ij,kij->k", strain, stress)) / 2.0
            slope = (energy[-1] - energy[0]) / (2.0 * tolerance.step)
            close(
                potential,
                f"stress of {atoms.symbols} is the slope of the energy, an atom",
                virial / len(atoms),
                slope / len(atoms),
                tolerance.gradient,
            )


def check_smooth(potential: Potential, structures: Structures) -> None:
    """Two dimers pulled apart: energy is the integral of force, also at the cutoff.

    The pair that faces each other goes through the whole range and beyond the cutoff;
    every change of the energy must be accounted for by the force on the way.
    """
    number = int(structures[0].numbers[0])
    reach = potential.card.cutoff or 8.0
    distances = np.linspace(0.6 * reach, reach + 0.3, 81)
    energy, pull = _pulled_apart(potential, number, distances)
    third = (distances[1] - distances[0]) / 3.0
    work = third * (pull[:-2:2] + 4.0 * pull[1:-1:2] + pull[2::2])
    close(
        potential,
        f"the energy of two {chemical_symbols[number]} dimers has no step",
        np.diff(energy[::2]),
        -work,
        LARGEST_JUMP,
    )
    if potential.card.cutoff is None:
        return
    tolerance = TOLERANCE[potential.dtype]
    sides = reach + tolerance.across * np.array([-1.0, 1.0])
    energy, pull = _pulled_apart(potential, number, sides)
    close(
        potential,
        f"the energy is continuous at the cutoff of {reach} Å",
        energy[:1],
        energy[1:],
        4 * tolerance.energy,
    )
    close(
        potential,
        f"the force is continuous at the cutoff of {reach} Å",
        pull[:1],
        pull[1:],
        tolerance.forces,
    )


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
    """An atom alone feels nothing, in a vacuum, among others, and in a small cell."""
    symbol = structures[0].symbols[0]
    tolerance = TOLERANCE[potential.dtype]
    lattice = 1.9 * covalent_radii[structures[0].numbers[0]]
    crystal = ase.Atoms(symbol, cell=[lattice] * 3, pbc=True)
    cases: list[list[ase.Atoms]] = [[crystal]]
    lonely = ase.Atoms(symbol)
    if potential.needs_neighbors:
        try:
            potential.compute(lonely)
        except StructureError:
            pass
        else:
            require(
                potential, "an atom out of reach is refused, as declared", kept=False
            )
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


CHECKS: tuple[Callable[[Potential, Structures], None], ...] = (
    check_prediction_is_whole,
    check_batch_equals_singles,
    check_permutation,
    check_translation,
    check_rotation,
    check_inversion,
    check_forces_are_the_gradient,
    check_stress_is_the_strain_derivative,
    check_smooth,
    check_no_pull_between_structures,
    check_one_atom,
    check_input_is_kept,
    check_edges_beyond_the_cutoff,
)
"""All of them, in the order in which a failure is easiest to understand."""


def _predict(potential: Potential, batch: AtomicBatch) -> Prediction:
    return potential.predict(batch, _edges(potential, batch))


def _edges(potential: Potential, batch: AtomicBatch) -> NeighborList | None:
    if potential.cutoff is None:
        return None
    return find_neighbors(batch, potential.cutoff)


def _joined(predictions: Sequence[Prediction]) -> Prediction:
    atomic = [p.atomic_energies for p in predictions if p.atomic_energies is not None]
    return Prediction(
        energy=torch.cat([p.energy for p in predictions]),
        atomic_energies=torch.cat(atomic) if atomic else None,
        forces=torch.cat([p.forces for p in predictions]),
        stress=torch.cat([p.stress for p in predictions]),
    )


def _check_orthogonal(
    potential: Potential,
    structures: Structures,
    matrix: np.ndarray,
    how: str,
    *,
    declared: bool,
) -> None:
    turned = [_transformed(atoms, matrix.T) for atoms in structures]
    original = potential.compute(list(structures))
    q = torch.as_tensor(
        matrix, dtype=original.forces.dtype, device=original.forces.device
    )
    expected = Prediction(
        energy=original.energy,
        atomic_energies=original.atomic_energies,
        forces=original.forces @ q.mT,
        stress=q @ original.stress @ q.mT,
    )
    got = potential.compute(turned)
    if declared:
        same(potential, structures, got, expected, f"structures {how}")
        return
    if potential.dtype is not torch.float64:
        return  # The lack may be smaller than rounding.
    lacking = not torch.allclose(
        got.energy, expected.energy, rtol=0.0, atol=TOLERANCE[torch.float64].energy
    )
    require(
        potential,
        f"structures {how} differ, as declared; now that they do not, declare it",
        kept=lacking,
    )


def _host(prediction: Prediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        prediction.energy.cpu().double().numpy(),
        prediction.forces.cpu().double().numpy(),
        prediction.stress.cpu().double().numpy(),
    )


def _free_copy(atoms: ase.Atoms) -> ase.Atoms:
    copy = atoms.copy()
    copy.set_constraint()
    return copy


def _transformed(atoms: ase.Atoms, matrix: np.ndarray) -> ase.Atoms:
    """Positions and lattice vectors, as rows, times a matrix."""
    copy = _free_copy(atoms)
    copy.set_cell(atoms.cell.array @ matrix)
    copy.positions = atoms.positions @ matrix
    return copy


def _pulled_apart(
    potential: Potential, number: int, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) eV, (n,) eV/Å: energies, and forces that push the dimers apart."""
    bond = 2.2 * covalent_radii[number]
    pairs = [
        ase.Atoms([number] * 4, positions=[[x, 0, 0] for x in (-bond, 0, d, d + bond)])
        for d in distances
    ]
    prediction = potential.compute(pairs)
    energy, forces, _ = _host(prediction)
    return energy, forces.reshape(-1, 4, 3)[:, 2:, 0].sum(1)
