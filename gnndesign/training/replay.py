"""What a potential must not forget: crystals labelled by the potential itself.

Training on the answers of the network as it was keeps it near them where new data say
nothing (rehearsal: A. Robins, Connection Science 7, 123 (1995); learning without
forgetting: Z. Li and D. Hoiem, ECCV 2016). No old training data are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, chemical_symbols

from gnndesign.batch import AtomicBatch
from gnndesign.disk import replacing
from gnndesign.errors import ParameterError, StructureError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.input_checks import OVERLAP_REACH, refuse_overlap
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.structures.library import elemental_polymorphs, list_prototypes
from gnndesign.training.dataset import Dataset
from gnndesign.training.dataset_files import load_dataset

_LARGEST_FORCE = 20.0
"""eV/Å; beyond it a rattled crystal is nothing that a potential should remember."""

_ATTEMPTS = 5
"""Structures tried for each that is wanted."""


def replay_crystals(
    elements: Sequence[int],
    known: Sequence[int],
    *,
    seed: int = 0,
    max_atoms: int = 16,
) -> Iterator[ase.Atoms]:
    """Rattled and strained crystals of the library, without end.

    In turn a compound of `elements` with others, and a crystal of others alone: ground
    states of elements and the compounds that prototypes are named after. None of
    `elements` alone, where new data speak and old labels would contradict them, unless
    there is nothing else. Small cells are
    repeated to 4 atoms or more, so that atoms can feel forces. Positions are displaced
    by a normal distribution of 0.02 to 0.15 Å a component, the cell is strained by one
    of 0.02. `info["config_type"]` is "replay: compounds", "replay: others" or
    "replay: the same".

    Args:
        elements: atomic numbers of those that are being learned.
        known: atomic numbers that may occur.
        seed: of the choice, displacements and strains.
        max_atoms: in a cell.

    Raises:
        ParameterError: the library has no crystal of the known elements.
    """
    pools = _pools(set(elements), set(known), max_atoms)
    if not pools:
        raise ParameterError(
            "The library has no crystal of at most "
            f"{max_atoms} atoms made of {', '.join(chemical_symbols[z] for z in known)} "
            "alone. Give a replay set."
        )
    rng = np.random.default_rng([seed, 17])
    while True:
        for name, pool in pools.items():
            atoms = _disturbed(pool[int(rng.integers(len(pool)))], rng)
            atoms.info["config_type"] = name
            yield atoms


def _pools(
    elements: set[int], known: set[int], max_atoms: int
) -> dict[str, list[ase.Atoms]]:
    """Crystals to choose from by the name of their group; none is empty."""
    found: list[ase.Atoms] = []
    for number in sorted(known):
        try:
            polymorphs = elemental_polymorphs(chemical_symbols[number])
        except StructureError:
            continue
        found += polymorphs if number in elements else polymorphs[:1]
    for kind in list_prototypes():
        if {atomic_numbers[symbol] for symbol in kind.symbols} <= known:
            found.append(kind.to_atoms())
    pools: dict[str, list[ase.Atoms]] = {
        "replay: compounds": [],
        "replay: others": [],
        "replay: the same": [],
    }
    for atoms in found:
        made_of = set(atoms.numbers.tolist())
        if len(atoms) > max_atoms:
            continue
        if made_of <= elements:
            pools["replay: the same"].append(atoms)
        elif made_of & elements:
            pools["replay: compounds"].append(atoms)
        else:
            pools["replay: others"].append(atoms)
    same = pools.pop("replay: the same")
    pools = {name: pool for name, pool in pools.items() if pool}
    return pools or ({"replay: the same": same} if same else {})


def _disturbed(atoms: ase.Atoms, rng: np.random.Generator) -> ase.Atoms:
    made = ase.Atoms(
        atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True
    )
    while len(made) < 4:
        shortest = int(np.argmin(made.cell.lengths()))
        made = made.repeat([2 if axis == shortest else 1 for axis in range(3)])
    strain = 0.02 * rng.normal(size=(3, 3))
    deformation = np.eye(3) + 0.5 * (strain + strain.T)
    made.set_cell(made.cell.array @ deformation, scale_atoms=True)
    made.positions += rng.uniform(0.02, 0.15) * rng.normal(size=(len(made), 3))
    return made


def make_replay(
    potential: TrainablePotential[Any],
    elements: Sequence[int],
    n_structures: int,
    *,
    seed: int = 0,
    max_atoms: int = 16,
    file: Path | None = None,
) -> Dataset:
    """Crystals of `replay_crystals` with a potential's own energies, forces, stresses.

    Those with a force beyond 20 eV/Å or atoms on top of each other are left out.

    Args:
        potential: whose answers the labels are.
        elements: atomic numbers of those that are being learned.
        n_structures: how many.
        seed: of the structures.
        max_atoms: in a cell.
        file: an ASE trajectory to write them to, or where it is there, to read: the
            labels of a training that is resumed must be the same to the last bit.

    Raises:
        ParameterError: no crystals of its elements, or too few that it can take.
        StructureError: the file is damaged.
    """
    if n_structures < 1:
        raise ParameterError(f"Wanted at least one structure, got {n_structures}.")
    if file is not None and file.is_file():
        return replace(load_dataset(file), **_origin(potential))
    candidates = replay_crystals(
        elements, potential.card.elements, seed=seed, max_atoms=max_atoms
    )
    found: list[ase.Atoms] = []
    for atoms in islice(candidates, _ATTEMPTS * n_structures):
        labeled = _labeled(potential, atoms)
        if labeled is not None:
            found.append(labeled)
        if len(found) == n_structures:
            break
    else:
        raise ParameterError(
            f"Of {_ATTEMPTS * n_structures} crystals of the library, the potential "
            f"'{potential.card.name}' can take {len(found)}, wanted {n_structures}. "
            "Give a replay set."
        )
    if file is not None:
        with replacing(file) as partial:
            ase.io.write(partial, found, format="traj")
    return Dataset.from_atoms(found, **_origin(potential))


def _labeled(potential: TrainablePotential[Any], atoms: ase.Atoms) -> ase.Atoms | None:
    """With a calculator that holds the answers; None where they are not to be kept."""
    batch = AtomicBatch.from_atoms(atoms, device=potential.device)
    edges = find_neighbors(batch, potential.cutoff or OVERLAP_REACH)
    try:
        refuse_overlap(batch, edges)
        potential.check_elements(batch)
    except StructureError:
        return None
    found = potential.labels(batch, edges, with_strain=True, create_graph=False)
    forces = -found.positions.double().cpu().numpy()
    if not np.abs(forces).max() < _LARGEST_FORCE:
        return None
    stress = found.strain[0].double().cpu().numpy() / atoms.get_volume()
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=float(found.atomic_energies.detach().double().sum()),
        forces=forces,
        stress=stress.ravel()[[0, 4, 8, 5, 2, 1]],
    )
    return atoms


def _origin(potential: TrainablePotential[Any]) -> dict[str, str]:
    return {
        "source": f"crystals labelled by {potential.card.title}",
        "level_of_theory": f"{potential.card.title} itself",
    }
