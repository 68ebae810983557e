"""The reality check of a search's winners.

A search ends where the potential's energy is low, which is also where its errors are.
Each winner is asked: is it known; does it keep its structure when nothing holds its
symmetry; does it bear small strains, or displacements; does another potential agree; and
has the potential learned anything of such a thing at all?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ase

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property
from gnndesign.properties.compute import Computation
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.phonons import Phonons
from gnndesign.search.known_phases import KnownStructure
from gnndesign.search.rattled import Rattled
from gnndesign.search.reality_result import RealityCheck, Winner, assembled
from gnndesign.search.results import SearchResult
from gnndesign.search.second_opinion import AskOpinion
from gnndesign.search.trials import Trial
from gnndesign.simulation.room import Room

Stability = Literal["elastic", "phonons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckProgress:
    """How far a reality check is.

    Attributes:
        done: computations that have ended.
        total: all of them.
        message: what is being done.
        checks: of all winners, in their order; empty but at the end.
    """

    done: int
    total: int
    message: str
    checks: tuple[RealityCheck, ...] = ()


def check_winners(
    winners: SearchResult | Sequence[Trial | ase.Atoms],
    potential: Potential,
    other_potential: Potential | None = None,
    *,
    n: int = 10,
    stability: Stability | None = "elastic",
    known: Sequence[KnownStructure | ase.Atoms] = (),
    rattling: Rattled | None = None,
    room: Room | None = None,
    on_progress: Callable[[CheckProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[RealityCheck, ...]:
    """Check the winners of a search, all in one queue.

    Args:
        winners: a search's result, or trials or structures themselves.
        potential: that of the search.
        other_potential: a second one, trained in another way; None for none.
        n: how many of a result's best trials are checked.
        stability: "elastic" for Born's criterion, "phonons" for those, None for neither.
        known: structures that are known beside those of the library.
        rattling: how copies are rattled; None for `Rattled()`.
        room: how much goes into one batch; None for what the memory allows.
        on_progress: told how far it is.
        should_stop: asked after every step; True ends it, and what is not through is
            STOPPED.

    Returns:
        One check a winner, in their order. What fails of one says so and keeps none of
        the others from being checked.

    Raises:
        ParameterError: no winner has a structure.
    """
    checks: tuple[RealityCheck, ...] = ()
    for progress in iterate_checks(
        winners,
        potential,
        other_potential,
        n=n,
        stability=stability,
        known=known,
        rattling=rattling,
        room=room,
        should_stop=should_stop,
    ):
        checks = progress.checks
        if on_progress is not None:
            on_progress(progress)
    return checks


def iterate_checks(
    winners: SearchResult | Sequence[Trial | ase.Atoms],
    potential: Potential,
    other_potential: Potential | None = None,
    *,
    n: int = 10,
    stability: Stability | None = "elastic",
    known: Sequence[KnownStructure | ase.Atoms] = (),
    rattling: Rattled | None = None,
    room: Room | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[CheckProgress]:
    """`check_winners` as a generator; the last progress has the checks."""
    chosen = _chosen(winners, n)
    rattling = rattling or Rattled()
    asking = AskOpinion(relaxing=rattling.relaxing)
    own: list[Property[Any]] = [rattling]
    if other_potential is not None:
        own.append(asking)
    if stability == "elastic":
        # A potential whose stress does not turn with the crystal needs all strains.
        symmetric = potential.is_equivariant
        own.append(Elasticity(relaxing=rattling.relaxing, use_symmetry=symmetric))
    elif stability == "phonons":
        own.append(Phonons())
    return _run(
        chosen, potential, other_potential, own, asking, known, room, should_stop
    )


def _run(
    winners: Sequence[Winner],
    potential: Potential,
    other_potential: Potential | None,
    own: Sequence[Property[Any]],
    asking: AskOpinion,
    known: Sequence[KnownStructure | ase.Atoms],
    room: Room | None,
    should_stop: Callable[[], bool] | None,
) -> Iterator[CheckProgress]:
    structures = [winner.atoms for winner in winners]
    total = len(structures) * (len(own) + (other_potential is not None))
    first = Computation(own, structures, potential, room=room)
    for progress in first.iterate(should_stop):
        said = f"{potential.card.name}: {progress.message}"
        yield CheckProgress(done=progress.done, total=total, message=said)
    others: dict[int, Outcome[Any]] = {}
    stopped = any(_is_stopped(outcome) for outcome in first.outcomes.values())
    if other_potential is not None and not stopped:
        second = Computation(asking, structures, other_potential, room=room)
        for progress in second.iterate(should_stop):
            done = len(first.outcomes) + progress.done
            said = f"{other_potential.card.name}: {progress.message}"
            yield CheckProgress(done=done, total=total, message=said)
        others = {place: outcome for (place, _), outcome in second.outcomes.items()}
    cards = potential.card, None if other_potential is None else other_potential.card
    checks: list[RealityCheck] = []
    for place, winner in enumerate(winners):
        outcomes = {own[k].kind: first.outcomes[place, k] for k in range(len(own))}
        other = others.get(place)
        checks.append(assembled(winner, outcomes, other, *cards, known))
    message = "Stopped." if stopped else f"{len(checks)} winners checked."
    yield CheckProgress(done=total, total=total, message=message, checks=tuple(checks))


def _is_stopped(outcome: Outcome[Any]) -> bool:
    return outcome.status is PropertyStatus.STOPPED


def _chosen(
    winners: SearchResult | Sequence[Trial | ase.Atoms], n: int
) -> list[Winner]:
    several = winners.best(n) if isinstance(winners, SearchResult) else winners
    chosen = [found for each in several if (found := _winner(each)) is not None]
    if not chosen:
        raise ParameterError(
            f"None of the {len(several)} winners has a structure; wanted at least one."
        )
    return chosen


def _winner(each: Trial | ase.Atoms) -> Winner | None:
    if isinstance(each, ase.Atoms):
        return Winner(atoms=each, formula=each.get_chemical_formula("metal"))
    if each.atoms is None:
        return None
    return Winner(atoms=each.atoms, formula=each.formula, trial=each)
