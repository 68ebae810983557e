"""Structures to learn from: made here by dynamics and deformation, labelled by a teacher.

Choosing frames on which a committee disagrees: H. S. Seung, M. Opper, H. Sompolinsky,
COLT 1992; for potentials: N. Artrith and J. Behler, Phys. Rev. B 85, 045439 (2012).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.trajectory import frame
from gnndesign.training.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How frames are drawn from molecular dynamics (Langevin).

    Attributes:
        timestep_fs: fs.
        equilibration_steps: before the first frame.
        steps_between: from one frame to the next.
    """

    timestep_fs: float = 1.0
    equilibration_steps: int = 200
    steps_between: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What a run of molecular dynamics left.

    Attributes:
        structures: frames, one run after the other in time.
        n_runs: that were begun.
        n_diverged: that a guard ended.
    """

    structures: tuple[ase.Atoms, ...]
    n_runs: int
    n_diverged: int


def dynamics_frames(
    potential: Potential,
    structures: Sequence[ase.Atoms],
    temperatures_K: Sequence[float],
    n_frames: int,
    *,
    sampling: Sampling,
    seed: int,
    should_stop: Callable[[], bool] | None = None,
) -> Frames:
    """Frames of every structure at every temperature, all in one batch.

    Args:
        potential: moves the atoms.
        structures: where the runs start; their momenta are not used.
        temperatures_K: of the thermostats.
        n_frames: in all; the runs have equally many, rounded up.
        sampling: how.
        seed: of momenta and thermostats.
        should_stop: asked between frames.

    Raises:
        StructureError: not one run could begin.
    """
    starts = [_at_rest(atoms) for atoms in structures for _ in temperatures_K]
    each = ceil(n_frames / len(starts))
    every, wait = sampling.steps_between, sampling.equilibration_steps
    wait = every * ceil(wait / every)
    found: dict[int, list[ase.Atoms]] = {k: [] for k in range(len(starts))}

    def keep(snapshot: Snapshot) -> None:
        for place, system in enumerate(snapshot.ids.tolist()):
            good = int(snapshot.status[place]) != Status.DIVERGED
            if good and int(snapshot.step[place]) > wait:
                found[system].append(frame(snapshot, place))

    results = molecular_dynamics(
        starts,
        potential,
        temperature_K=tuple(map(float, temperatures_K)) * len(structures),
        timestep_fs=sampling.timestep_fs,
        steps=wait + each * every,
        record_every=every,
        seed=seed,
        on_snapshot=keep,
        should_stop=should_stop,
    )
    if all(result.status is Status.REFUSED for result in results):
        raise StructureError(results[0].message)
    return Frames(
        structures=tuple(atoms for run in found.values() for atoms in run),
        n_runs=len(starts),
        n_diverged=sum(result.status is Status.DIVERGED for result in results),
    )


def deformed_frames(
    structures: Sequence[ase.Atoms],
    n_frames: int,
    *,
    strain: float,
    rattle: float,
    seed: int,
) -> list[ase.Atoms]:
    """Strained and rattled copies, of each structure in turn.

    Args:
        structures: to begin with.
        n_frames: number of copies.
        strain: every component of the symmetric strain is between plus and minus it;
            structures without a volume are not strained.
        rattle: Å, the largest standard deviation of the displacements; each copy has
            one between zero and it.
        seed: of the random numbers.
    """
    numbers = np.random.default_rng(seed)
    copies: list[ase.Atoms] = []
    for index in range(n_frames):
        atoms = _at_rest(structures[index % len(structures)])
        change = numbers.uniform(-strain, strain, (3, 3))
        if atoms.pbc.all():
            change = np.eye(3) + 0.5 * (change + change.T)
            atoms.set_cell(atoms.cell.array @ change, scale_atoms=True)
        width = rattle * numbers.uniform()
        atoms.positions += width * numbers.normal(size=(len(atoms), 3))
        copies.append(atoms)
    return copies


def label(
    teacher: Potential,
    frames: Sequence[ase.Atoms],
    *,
    group: str,
    largest_force: float = np.inf,
) -> Dataset | None:
    """A data set of what a potential says of structures.

    Args:
        teacher: gives the labels.
        frames: structures; those that it cannot evaluate are left out.
        group: of the data set.
        largest_force: eV/Å; structures with a longer force are left out: there is
            nothing to learn from atoms that overlap.

    Returns:
        The data set; None if no structure is left.
    """
    kept: list[ase.Atoms] = []
    labels: list[tuple[float, np.ndarray, np.ndarray]] = []
    for atoms in frames:
        try:
            found = teacher.compute(atoms)
        except StructureError:
            continue
        forces = found.forces.cpu().double().numpy()
        if np.linalg.norm(forces, axis=1).max() > largest_force:
            continue
        stress = found.stress[0].cpu().double().numpy()
        if not atoms.pbc.all():
            stress = np.full((3, 3), np.nan)
        kept.append(_at_rest(atoms))
        labels.append((float(found.energy[0]), forces, stress))
    if not kept:
        return None
    return Dataset(
        structures=tuple(kept),
        energy=np.array([energy for energy, _, _ in labels]),
        forces=tuple(forces for _, forces, _ in labels),
        stress=np.stack([stress for _, _, stress in labels]),
        groups=(group,) * len(kept),
        source=f"frames labelled by {teacher.card.title}",
        level_of_theory=f"that of {teacher.card.title}: {teacher.card.level_of_theory}",
    )


def most_disputed(spread: Float[np.ndarray, " n"], n_chosen: int) -> list[int]:
    """Places of the largest values, in ascending order; a NaN is none of them."""
    order = np.argsort(-spread, kind="stable")[: int(np.isfinite(spread).sum())]
    return sorted(order[:n_chosen].tolist())


def _at_rest(atoms: ase.Atoms) -> ase.Atoms:
    return ase.Atoms(
        atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
    )
