"""The energy of a structure that its elements alone account for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float

from gnndesign.errors import FitError
from gnndesign.training.dataset import Dataset


def isolated_atoms(dataset: Dataset) -> dict[int, float]:
    """Energy (eV) of the single atoms in a data set, by atomic number.

    A single atom is one alone, open or at least 6 Å from its images. Of several of an
    element the mean.
    """
    found: dict[int, list[float]] = {}
    for k, atoms in enumerate(dataset.structures):
        if _is_single(dataset, k) and not np.isnan(dataset.energy[k]):
            found.setdefault(int(atoms.numbers[0]), []).append(float(dataset.energy[k]))
    return {number: float(np.mean(found[number])) for number in sorted(found)}


def fit_baseline(
    dataset: Dataset, *, use_isolated_atoms: bool = False
) -> dict[int, float]:
    """Energy (eV) of an atom of each element, by atomic number, ascending.

    Minimises Σ_s (E_s/N_s - Σ_Z x_sZ e_Z)², with x_sZ the share of element Z among the
    N_s atoms of structure s; where compositions leave the answer open (one compound
    only), it is the one with the smallest Σ_Z e_Z². Single atoms are left out of the
    fit unless there is nothing else.

    Args:
        dataset: with energies.
        use_isolated_atoms: take the energies of single atoms in the data set for
            their elements, and fit the others.

    Raises:
        FitError: no structure has an energy; or single atoms are wanted and there are
            none.
    """
    elements = np.array(dataset.elements)
    fixed = isolated_atoms(dataset) if use_isolated_atoms else {}
    if use_isolated_atoms and not fixed:
        raise FitError(
            f"{dataset.source}: wanted the energies of isolated atoms, but no structure "
            "is a single atom. Add them, or fit the baseline without."
        )
    known = ~np.isnan(dataset.energy)
    single = np.array([_is_single(dataset, k) for k in range(len(dataset))])
    rows = known & ~single if (known & ~single).any() else known
    if not known.any():
        raise FitError(f"{dataset.source}: no structure has an energy to fit.")
    share = dataset.composition / dataset.atoms_per_structure[:, None]
    wanted = dataset.energy / dataset.atoms_per_structure
    given = np.array([fixed.get(int(z), 0.0) for z in elements])
    free = np.array([int(z) not in fixed for z in elements])
    energies = given.copy()
    if free.any():
        rest = (wanted - share @ given)[rows]
        energies[free] = np.linalg.lstsq(share[rows][:, free], rest, rcond=1e-9)[0]
    return {int(z): float(e) for z, e in zip(elements, energies, strict=True)}


def energy_above_baseline(
    dataset: Dataset, baseline: Mapping[int, float] | None = None
) -> Float[np.ndarray, " n_structures"]:
    """(n_structures,) eV, of the whole structure, less the energies of its atoms.

    Args:
        dataset: any; NaN where it has no energy.
        baseline: eV by atomic number; fitted if not given.

    Raises:
        FitError: the baseline lacks an element.
    """
    if np.isnan(dataset.energy).all():
        return dataset.energy.copy()
    if baseline is None:
        baseline = fit_baseline(dataset)
    absent = [z for z in dataset.elements if z not in baseline]
    if absent:
        raise FitError(
            f"{dataset.source}: the baseline has no energy for "
            f"{', '.join(chemical_symbols[z] for z in absent)}. Fit it to data with "
            "these elements."
        )
    energies = np.array([baseline[z] for z in dataset.elements])
    return dataset.energy - dataset.composition @ energies


def _is_single(dataset: Dataset, index: int) -> bool:
    atoms = dataset.structures[index]
    if len(atoms) != 1:
        return False
    lengths = atoms.cell.lengths()[atoms.pbc]
    return not lengths.size or bool(lengths.min() >= 6.0)
