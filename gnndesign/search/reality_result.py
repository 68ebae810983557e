"""The reality check of one winner: what was found, and what it amounts to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import ase

from gnndesign.potentials.base import Card
from gnndesign.properties.elasticity_result import ElasticityResult
from gnndesign.properties.materials_project import (
    KnownCompound,
    known_compound,
    table_in_use,
)
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.search.known_phases import KnownStructure, matching_structures
from gnndesign.search.rattled import RattledResult
from gnndesign.search.reality_flags import (
    DISAGREE,
    of_disagreement,
    of_elasticity,
    of_matches,
    of_phonons,
    of_rattled,
)
from gnndesign.search.second_opinion import Disagreement, disagreement
from gnndesign.search.trials import Trial
from gnndesign.search.trust import (
    TrustFlag,
    of_composition,
    of_distances,
    of_elements,
    worst_first,
)

_OUTSIDE = frozenset(("unknown element", "atoms too close", DISAGREE))
"""Words of flags that, where they are bad, say that the potential does not know it."""


class CheckStatus(StrEnum):
    """How a check ended."""

    CHECKED = "checked"
    FAILED = "failed"
    """A part of it could not be computed; the message says which and why."""
    STOPPED = "stopped"


class Standing(StrEnum):
    """What a winner is, in a word."""

    KNOWN = "known"
    """Its composition is in the Materials Project, or its structure among those known."""
    NEW = "new"
    """Its composition is not in the whole table of the Materials Project of 2019."""
    NOT_KNOWN_TO_BE_STABLE = "not known to be stable"
    """It is not in the shipped table, which has only what is stable or nearly so."""
    OUTSIDE = "outside the training domain"
    """What the potential says of it is not to be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealityCheck:
    """What is to be said of one winner.

    Energies are of one potential each; those of two are never subtracted but as
    differences of formation energies, each against its own elements.

    Attributes:
        trial: its number; None for a structure that is not of a trial.
        formula: of it.
        potential: name of the potential of the search.
        checksum: of that potential.
        status: CHECKED, FAILED or STOPPED.
        message: why not all of it could be computed; empty otherwise.
        standing: known, new, not known to be stable, or outside the training domain.
        flags: the worst first.
        matches: names of the known structures that it is.
        dft: what the Materials Project of 2019 says of its composition; None where it
            is not in the table in use.
        rattled: where its rattled copies fell; None where that failed.
        bulk_modulus_GPa: None where it was not asked for, or it is unstable.
        is_elastically_stable: None where it was not asked for.
        is_dynamically_stable: likewise.
        min_frequency_THz: of the phonons, negative for imaginary ones; likewise.
        disagreement: of a second potential; None where there was none.
    """

    trial: int | None
    formula: str
    potential: str
    checksum: str
    status: CheckStatus
    message: str
    standing: Standing
    flags: tuple[TrustFlag, ...]
    matches: tuple[str, ...] = ()
    dft: KnownCompound | None = None
    rattled: RattledResult | None = None
    bulk_modulus_GPa: float | None = None
    is_elastically_stable: bool | None = None
    is_dynamically_stable: bool | None = None
    min_frequency_THz: float | None = None
    disagreement: Disagreement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """What is checked: a trial's structure, or one that somebody gave.

    Attributes:
        atoms: the structure.
        formula: what a person calls it.
        trial: whose structure it is, if it is one's.
    """

    atoms: ase.Atoms
    formula: str
    trial: Trial | None = None


def assembled(
    winner: Winner,
    outcomes: Mapping[str, Outcome[Any]],
    other: Outcome[Any] | None,
    card: Card,
    other_card: Card | None,
    known: Sequence[KnownStructure | ase.Atoms],
) -> RealityCheck:
    """What the computations of one winner amount to.

    Args:
        winner: what was checked.
        outcomes: by kind of property, of the potential of the search.
        other: the opinion of the second potential; None where there is none.
        card: of the potential of the search.
        other_card: of the second; None where there is none.
        known: structures that are known beside those of the library.
    """
    rattled: RattledResult | None = _result(outcomes, "rattled")
    elastic: ElasticityResult | None = _result(outcomes, "elasticity")
    phonons: PhononResult | None = _result(outcomes, "phonons")
    atoms = winner.atoms if rattled is None else rattled.atoms
    matches = matching_structures(atoms, known)
    differs = _disagreement(_result(outcomes, "opinion"), other, card, other_card)
    ended = [*outcomes.values(), *([] if other is None else [other])]
    failed = [o for o in ended if o.status is PropertyStatus.FAILED]
    flags = [
        *of_elements(sorted(set(atoms.get_chemical_symbols())), card),
        *of_distances(atoms),
        *of_matches(matches),
        *([of_composition(atoms)] if atoms.pbc.all() else []),
        *([] if rattled is None else [of_rattled(rattled)]),
        *([] if elastic is None else [of_elasticity(elastic)]),
        *([] if phonons is None else [of_phonons(phonons)]),
        *([] if differs is None else [of_disagreement(differs)]),
        *map(_of_failure, failed),
    ]
    dft = known_compound(atoms) if atoms.pbc.all() else None
    is_stable = elastic is not None and elastic.is_stable
    return RealityCheck(
        trial=None if winner.trial is None else winner.trial.number,
        formula=winner.formula,
        potential=card.name,
        checksum=card.checksum,
        status=_status(ended),
        message=" ".join(dict.fromkeys(outcome.message for outcome in failed)),
        standing=_standing(flags, is_known=bool(matches) or dft is not None),
        flags=worst_first(flags),
        matches=matches,
        dft=dft,
        rattled=rattled,
        bulk_modulus_GPa=elastic.bulk_modulus_GPa if elastic and is_stable else None,
        is_elastically_stable=None if elastic is None else elastic.is_stable,
        is_dynamically_stable=None if phonons is None else phonons.is_stable,
        min_frequency_THz=None if phonons is None else phonons.min_frequency_THz,
        disagreement=differs,
    )


def _result(outcomes: Mapping[str, Outcome[Any]], kind: str) -> Any:
    return outcomes[kind].result if kind in outcomes else None


def _disagreement(
    opinion: Any, other: Outcome[Any] | None, card: Card, other_card: Card | None
) -> Disagreement | None:
    if opinion is None or other is None or other.result is None or other_card is None:
        return None
    return disagreement(opinion, other.result, card, other_card)


def _status(ended: Sequence[Outcome[Any]]) -> CheckStatus:
    found = {outcome.status for outcome in ended}
    if PropertyStatus.STOPPED in found:
        return CheckStatus.STOPPED
    return CheckStatus.FAILED if PropertyStatus.FAILED in found else CheckStatus.CHECKED


def _standing(flags: Sequence[TrustFlag], *, is_known: bool) -> Standing:
    if any(flag.level == "bad" and flag.words in _OUTSIDE for flag in flags):
        return Standing.OUTSIDE
    if is_known:
        return Standing.KNOWN
    complete = table_in_use().is_complete
    return Standing.NEW if complete else Standing.NOT_KNOWN_TO_BE_STABLE


def _of_failure(outcome: Outcome[Any]) -> TrustFlag:
    return TrustFlag(
        level="warning",
        words="not all checked",
        sentence=f"'{outcome.potential}', {outcome.kind}: {outcome.message}",
    )
