"""The linear fit of a sparse SOAP kernel to energies, forces and stresses.

The potential's energy is linear in its weights w: energies (per atom), forces and
stresses of training structures are rows of a matrix A times w. With the labels y less
the energies of free or average atoms, the standard deviations σ of the labels and the
kernels K of the sparse points among themselves, the weights solve

    min_w |σ⁻¹ (A w - y)|² + wᵀ K w

the mean of a sparse Gaussian process (A. P. Bartók and G. Csányi, Int. J. Quantum Chem.
115, 1051 (2015)); a prior of 1 eV for the energy of an atom is understood. It is solved by
an orthogonal factorisation of the rows of σ⁻¹ A stacked upon those of a square root of K
(L. Foster et al., J. Mach. Learn. Res. 10, 857 (2009)), which does not square the
condition number as normal equations do. Structures are taken one by one, and their rows
folded into a triangular matrix, so that memory does not grow with their number.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import torch
from ase.data import chemical_symbols
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import FitError, ParameterError, ShapeError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.soap_kernel import SOAPKernelNetwork
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.kernel_rows import kernel_rows
from gnndesign.training.least_squares import LeastSquares

MOST_ENVIRONMENTS = 20_000
"""Atoms of an element among which its sparse points are chosen, at most."""

_SAME = 1e-10
"""1 - q·q' of two spectra that count as equal."""

_ROUNDING = 1e-13

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def fit_sparse_kernel(
    potential: TrainablePotential[Any],
    structures: Sequence[ase.Atoms],
    energies: Float[np.ndarray, " n_structures"],
    forces: Sequence[Float[np.ndarray, "_n_atoms 3"] | None] | None = None,
    stresses: Float[np.ndarray, "n_structures 3 3"] | None = None,
    *,
    sigma_energy: float = 0.0003,
    sigma_force: float = 0.03,
    sigma_stress: float = 0.002,
    say: Callable[[str], None] | None = None,
) -> TrainablePotential[Any]:
    """A copy of a "soap-kernel" potential with points and weights from training data.

    The points of each element are spectra of its training atoms, chosen one after the
    other as the farthest from those chosen before. The energy of each element's atom is
    a least-squares fit to the energies, if the potential has none yet. The weights
    follow from a linear least-squares problem, see above. The fitted network is in
    float64: its weights are large and of both signs.

    Args:
        potential: of the architecture "soap-kernel"; it is not changed.
        structures: to learn from.
        energies: (n_structures,) eV, of the whole structure.
        forces: (n_atoms, 3) eV/Å of each structure; None for one, or all, without.
        stresses: (n_structures, 3, 3) eV/Å³, positive under tension; NaN where there is
            none. Not asked of a structure that is not periodic along all axes.
        sigma_energy: eV an atom, the error of energies that is expected.
        sigma_force: eV/Å, of forces.
        sigma_stress: eV/Å³, of stresses.
        say: told how far it is.

    Raises:
        ParameterError: another kind of potential, or a sigma that is not above zero.
        ShapeError: not one label a structure or atom.
        FitError: no structures, labels that are not finite, or an element of the
            potential without any atom.
        UnsupportedElementError: the potential does not know an element.
    """
    network = potential.network
    if not isinstance(network, SOAPKernelNetwork):
        raise ParameterError(
            f"Wanted a potential of the architecture 'soap-kernel', got "
            f"{potential.architecture!r}."
        )
    sigmas = (sigma_energy, sigma_force, sigma_stress)
    if not min(sigmas) > 0:
        raise ParameterError(f"Wanted sigmas above zero, got {sigmas}.")
    labels = _labels(structures, energies, forces, stresses)
    fitted = copy.deepcopy(potential)
    network = fitted.network.double()
    tell = say or _silent
    with torch.no_grad():
        network.scale.fill_(1.0)
        if not bool(network.shift.any()):
            network.shift.copy_(_atomic_energies(fitted, labels))
        _choose_points(fitted, labels, tell)
        used = network.points.ne(0).any(-1)
        system = LeastSquares(int(used.sum()))
        for number, label in enumerate(labels, 1):
            system.add(*_rows(fitted, label, used, sigmas))
            if number % 20 == 0 or number == len(labels):
                tell(f"Rows of {number} of {len(labels)} structures.")
        system.add(*_prior(network, used))
        network.weights.zero_()
        network.weights[used] = torch.from_numpy(system.solve()).to(network.weights)
    return fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    """A structure with what is known about it."""

    atoms: ase.Atoms
    energy: float
    forces: Float[np.ndarray, "n_atoms 3"] | None
    stress: Float[np.ndarray, "3 3"] | None


def _labels(
    structures: Sequence[ase.Atoms],
    energies: Float[np.ndarray, " _n"],
    forces: Sequence[np.ndarray | None] | None,
    stresses: np.ndarray | None,
) -> list[_Label]:
    n = len(structures)
    if n == 0:
        raise FitError("Wanted one or more structures to learn from, got none.")
    given_forces = [None] * n if forces is None else list(forces)
    if stresses is None:
        stresses = np.full((n, 3, 3), np.nan)
    if energies.shape != (n,) or len(given_forces) != n or stresses.shape != (n, 3, 3):
        raise ShapeError(
            f"Wanted energies, forces and stresses of {n} structures, got energies of "
            f"shape {energies.shape}, {len(given_forces)} arrays of forces, and stresses "
            f"of shape {stresses.shape}."
        )
    labels: list[_Label] = []
    for k, (atoms, own) in enumerate(zip(structures, given_forces, strict=True)):
        if own is not None and own.shape != (len(atoms), 3):
            raise ShapeError(
                f"Wanted forces of shape {(len(atoms), 3)} for structure {k}, got "
                f"{own.shape}."
            )
        if not np.isfinite(energies[k]) or not (own is None or np.isfinite(own).all()):
            raise FitError(
                f"The energy or a force of structure {k} is not finite. Leave the "
                "structure out, or give None for its forces."
            )
        known = bool(np.isfinite(stresses[k]).all() and atoms.pbc.all())
        labels.append(
            _Label(
                atoms=atoms,
                energy=float(energies[k]),
                forces=own,
                stress=stresses[k] if known else None,
            )
        )
    return labels


def _inputs(
    potential: TrainablePotential[Any], atoms: ase.Atoms
) -> tuple[Int[Tensor, " n_atoms"], AtomicBatch, NeighborList]:
    batch = AtomicBatch.from_atoms(atoms, device=potential.device)
    potential.check_elements(batch)
    edges = find_neighbors(batch, potential.parameters.cutoff)
    return potential.species(batch), batch, edges


def _atomic_energies(
    potential: TrainablePotential[Any], labels: Sequence[_Label]
) -> Float[Tensor, " n_species"]:
    """(n_species,) eV: those whose sums come nearest to the energies an atom."""
    elements = potential.parameters.elements
    counts = np.array(
        [[(label.atoms.numbers == z).sum() for z in elements] for label in labels],
        float,
    )
    sizes = counts.sum(1)
    energies = np.array([label.energy for label in labels]) / sizes
    solution = np.linalg.lstsq(counts / sizes[:, None], energies, rcond=None)[0]
    return torch.from_numpy(solution).to(potential.device)


def _choose_points(
    potential: TrainablePotential[Any],
    labels: Sequence[_Label],
    say: Callable[[str], None],
) -> None:
    """Set the points of every element; zeros where it has too few different atoms."""
    network = potential.network
    numbers = np.concatenate([label.atoms.numbers for label in labels])
    elements = potential.parameters.elements
    totals = [int((numbers == z).sum()) for z in elements]
    if not all(totals):
        missing = ", ".join(
            chemical_symbols[z] for z, n in zip(elements, totals, strict=True) if not n
        )
        raise FitError(
            f"Wanted atoms of every element of the potential, there is no {missing}. "
            "Add structures with it, or make a potential without."
        )
    seen = [0] * len(elements)
    pools: list[list[Tensor]] = [[] for _ in elements]
    for label in labels:
        species, batch, edges = _inputs(potential, label.atoms)
        q = network.power_spectrum.normalised(species, batch, edges, torch.float64)
        for s, total in enumerate(totals):
            mine = q[species == s]
            every = -(-total // MOST_ENVIRONMENTS)
            kept = torch.arange(seen[s], seen[s] + len(mine), device=q.device) % every
            seen[s] += len(mine)
            pools[s].append(mine[kept == 0])
    network.points.zero_()
    for s, pool in enumerate(pools):
        spectra = torch.cat(pool)
        chosen = farthest_points(spectra, network.points.shape[1])
        network.points[s, : len(chosen)] = spectra[chosen]
        say(f"{len(chosen)} points of {chemical_symbols[elements[s]]}.")


def farthest_points(
    spectra: Float[Tensor, "n n_features"], n_points: int
) -> Int[Tensor, " _n_chosen"]:
    """Places of spectra of length 1, each the farthest from all before; the first first.

    Fewer than `n_points` where the others are nearly equal to one that is chosen.
    """
    chosen = [0]
    nearest = 1.0 - spectra @ spectra[0]
    while len(chosen) < n_points:
        farthest = int(nearest.argmax())
        if nearest[farthest] < _SAME:
            break
        chosen.append(farthest)
        nearest = nearest.minimum(1.0 - spectra @ spectra[farthest])
    return torch.tensor(chosen, device=spectra.device)


def _rows(
    potential: TrainablePotential[Any],
    label: _Label,
    used: Bool[Tensor, "n_species n_points"],
    sigmas: tuple[float, float, float],
) -> tuple[Float[np.ndarray, "_n_rows _n_used"], Float[np.ndarray, " _n_rows"]]:
    """Rows of a structure and its labels, both over the sigmas."""
    network = potential.network
    species, batch, edges = _inputs(potential, label.atoms)
    points = [p[mask] for p, mask in zip(network.points, used, strict=True)]
    found = kernel_rows(
        network.power_spectrum, points, network.zeta, species, batch, edges
    )
    shift = float(network.shift[species].sum())
    weight = 1.0 / (batch.n_atoms * sigmas[0])
    rows = [found.energy[None] * weight]
    labels = [np.array([(label.energy - shift) * weight])]
    if label.forces is not None:
        rows.append(found.forces.flatten(0, 1) / sigmas[1])
        labels.append(label.forces.ravel() / sigmas[1])
    if label.stress is not None:
        a, b = np.array(_VOIGT).T
        virial = 0.5 * (found.virial + found.virial.transpose(0, 1))
        rows.append(virial[a, b] / float(batch.volume) / sigmas[2])
        labels.append(label.stress[a, b] / sigmas[2])
    return torch.cat(rows).cpu().numpy(), np.concatenate(labels)


def _prior(
    network: SOAPKernelNetwork, used: Bool[Tensor, "n_species n_points"]
) -> tuple[Float[np.ndarray, "n_used n_used"], Float[np.ndarray, " n_used"]]:
    """Rows whose squares are wᵀ K w, and zeros for them to be.

    No eigenvalue of K counts as less than rounding leaves of the largest.
    """
    roots: list[Tensor] = []
    for points, mask in zip(network.points, used, strict=True):
        kernel = (points[mask] @ points[mask].mT) ** network.zeta
        values, vectors = torch.linalg.eigh(kernel)
        values = values.clamp(min=_ROUNDING * float(values[-1]))
        roots.append(values.sqrt().unsqueeze(1) * vectors.mT)
    rows = torch.block_diag(*roots).cpu().numpy()
    return rows, np.zeros(len(rows))


def _silent(text: str) -> None:
    del text
