"""What a round of a distillation consists of: frames, and a test on fresh ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import ase
import numpy as np
import torch

from gnndesign.potentials.architectures import architecture, untrained_card
from gnndesign.potentials.base import Potential
from gnndesign.potentials.committee import Committee
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.distill_options import Distillation
from gnndesign.training.evaluation import Errors, evaluate
from gnndesign.training.frames import (
    deformed_frames,
    dynamics_frames,
    label,
    most_disputed,
)

DYNAMICS, DEFORMED, SPLIT, OWN, TEACHERS, LONG_RUN, MEMBER = range(7)
"""Purposes of random numbers; those of the members begin with MEMBER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshErrors:
    """Errors on frames that nothing was and will be trained on.

    Attributes: see `DistillationRound`.
    """

    on_own_dynamics: Errors | None
    on_teachers_dynamics: Errors | None
    n_diverged: int


def seed_of(options: Distillation, number: int, purpose: int) -> int:
    """The seed of a purpose in a round."""
    sequence = np.random.SeedSequence([options.seed, number, purpose])
    return int(sequence.generate_state(1)[0])


def identity_of(
    teacher: Potential,
    structures: Sequence[ase.Atoms],
    student: TrainablePotential[Any],
    options: Distillation,
) -> str:
    """What a folder must agree in; rounds and bound may change on the way."""
    kept = replace(
        options, rounds=1, force_error_meV_per_A=1.0, timings=0, stability_ps=0.0
    )
    digest = hashlib.sha256()
    for atoms in structures:
        for part in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc):
            digest.update(np.ascontiguousarray(part).tobytes())
    content = {
        "teacher": teacher.card.checksum,
        "student": [student.architecture, repr(student.parameters)],
        "structures": digest.hexdigest(),
        "options": asdict(kept),
    }
    return json.dumps(content, sort_keys=True)


def new_members(
    student: TrainablePotential[Any], options: Distillation
) -> list[TrainablePotential[Any]]:
    """Untrained potentials of one shape, with weights of their own."""
    kind, shape = architecture(student.architecture), student.parameters
    members: list[TrainablePotential[Any]] = []
    for member in range(options.n_members):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(options, 0, MEMBER + member))
            network = kind.build(shape)
        card = untrained_card(kind, network, shape)
        name, device = student.architecture, student.device
        members.append(kind.potential_of(name, network, shape, card, device))
    return members


def first_frames(
    teacher: Potential,
    structures: Sequence[ase.Atoms],
    options: Distillation,
    should_stop: Callable[[], bool],
) -> list[ase.Atoms]:
    """Of the teacher's dynamics, and deformed ones."""
    moved = dynamics_frames(
        teacher,
        structures,
        options.temperatures_K,
        options.n_dynamics,
        sampling=options.sampling,
        seed=seed_of(options, 1, DYNAMICS),
        should_stop=should_stop,
    )
    return [*moved.structures, *_deformed(structures, options, 1, options.n_deformed)]


def disputed_frames(
    members: Sequence[TrainablePotential[Any]],
    best: int,
    structures: Sequence[ase.Atoms],
    options: Distillation,
    number: int,
    should_stop: Callable[[], bool],
) -> tuple[list[ase.Atoms], float]:
    """Those of the best student's dynamics on which the members disagree most.

    Where its runs end before they have given enough, deformed structures join the
    candidates.

    Returns:
        Frames, and the mean over the candidates of the largest disagreement on the
        force of an atom, eV/Å.
    """
    moved = dynamics_frames(
        members[best],
        structures,
        options.temperatures_K,
        options.n_candidates,
        sampling=options.sampling,
        seed=seed_of(options, number, DYNAMICS),
        should_stop=should_stop,
    )
    missing = max(options.n_added - len(moved.structures), 0)
    candidates = [
        *moved.structures,
        *_deformed(structures, options, number, missing),
    ]
    spread = Committee(members).disagreement(candidates).max_force_spread
    chosen = most_disputed(spread, options.n_added)
    return [candidates[k] for k in chosen], float(spread.mean())


def fresh_errors(
    student: TrainablePotential[Any],
    teacher: Potential,
    structures: Sequence[ase.Atoms],
    options: Distillation,
    number: int,
    should_stop: Callable[[], bool],
) -> FreshErrors:
    """Errors on new frames at the wanted temperature."""
    errors: dict[int, Errors | None] = {}
    n_diverged = 0
    for purpose, mover in ((OWN, student), (TEACHERS, teacher)):
        moved = dynamics_frames(
            mover,
            structures,
            (options.temperature_K,),
            options.n_fresh,
            sampling=options.sampling,
            seed=seed_of(options, number, purpose),
            should_stop=should_stop,
        )
        fresh = label(teacher, moved.structures, group="fresh")
        errors[purpose] = None if fresh is None else evaluate(student, fresh).errors
        if mover is student:
            n_diverged = moved.n_diverged
    return FreshErrors(
        on_own_dynamics=errors[OWN],
        on_teachers_dynamics=errors[TEACHERS],
        n_diverged=n_diverged,
    )


def _deformed(
    structures: Sequence[ase.Atoms], options: Distillation, number: int, n_frames: int
) -> list[ase.Atoms]:
    return deformed_frames(
        structures,
        n_frames,
        strain=options.strain,
        rattle=options.rattle,
        seed=seed_of(options, number, DEFORMED),
    )
