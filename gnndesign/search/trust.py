"""What a person should know of a candidate before believing it: `TrustFlag`.

Nothing here computes anything: these flags are read off the composition, the structure
and the potential's card, so that every point of a plot can have them. What costs
relaxations is in `reality`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import ase
import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from gnndesign.potentials.base import Card
from gnndesign.properties.materials_project import (
    known_compound,
    n_compounds_with,
    reduced_formula,
    table_in_use,
)
from gnndesign.search.trials import Trial

Level = Literal["good", "warning", "bad"]

_CLOSE, _TOO_CLOSE = 0.68, 0.6
"""Of the sum of covalent radii. Among the shortest bonds that there are for their
elements are V=O in vanadyl (1.58 Å, 0.72 of the sum) and U=O in uranyl (1.77 Å, 0.68)."""

_STABLE, _NEARLY = 0.0, 0.05
"""Decomposition energy, eV/atom."""

_FEW_COMPOUNDS = 300
"""Of an element in the Materials Project. Ac, Pa, Np, Pu and Tc have fewer; noble gases,
Am and what follows, Po, At, Fr and Ra have none in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFlag:
    """One reason to believe a candidate or not to.

    Attributes:
        level: "good", "warning" or "bad".
        words: a few, for a badge: "known", "not converged".
        sentence: what it means, with the numbers it is based on.
    """

    level: Level
    words: str
    sentence: str


def trust_flags(trial: Trial, card: Card | None = None) -> tuple[TrustFlag, ...]:
    """What can be said of a trial at once, the worst first.

    Args:
        trial: one with a structure has more flags.
        card: of the potential, for the elements it knows.
    """
    flags: list[TrustFlag] = []
    if trial.status not in ("converged", "pruned"):
        flags.append(_of_status(trial))
    if trial.constraints and not trial.is_feasible:
        missed = [name for name, over in trial.constraints.items() if over > 0]
        flags.append(
            TrustFlag(
                level="bad",
                words="misses a constraint",
                sentence=f"It misses {', '.join(missed)}.",
            )
        )
    if trial.atoms is not None:
        symbols = sorted(set(trial.atoms.get_chemical_symbols()))
        flags += of_elements(symbols, card)
        flags += of_distances(trial.atoms)
        flags.append(of_composition(trial.atoms))
    return worst_first(flags)


def of_composition(atoms: ase.Atoms) -> TrustFlag:
    """Whether its composition is known, and how stable by DFT."""
    formula, known = reduced_formula(atoms), known_compound(atoms)
    if known is None:
        table = table_in_use()
        return TrustFlag(
            level="warning",
            words="new composition" if table.is_complete else "not known to be stable",
            sentence=f"{formula} is {table.what_is_missing}.",
        )
    above = known.decomposition_energy_per_atom
    energies = (
        f"formation {known.formation_energy_per_atom:.3f} eV/atom, decomposition "
        f"{above:+.3f} eV/atom"
    )
    where = f"{formula} is in the Materials Project of 2019 ({energies}, by DFT)"
    if above <= _STABLE:
        said = TrustFlag(
            level="good",
            words="known, stable",
            sentence=f"{where}, stable. Its ground state may have another structure.",
        )
    elif above <= _NEARLY:
        said = TrustFlag(
            level="good", words="known, nearly stable", sentence=f"{where}."
        )
    else:
        said = TrustFlag(
            level="warning",
            words="known, unstable",
            sentence=f"{where}: its most stable form there falls apart.",
        )
    return said


def of_elements(symbols: Sequence[str], card: Card | None) -> list[TrustFlag]:
    """Elements that the potential has not met, or hardly.

    What potentials are trained on is drawn from databases such as the Materials Project;
    an element of which that has few compounds is one of which they have learned little.
    """
    known = None if card is None else set(card.elements)
    absent = [
        s for s in symbols if known is not None and atomic_numbers[s] not in known
    ]
    rare = {s: n for s in symbols if (n := n_compounds_with(s)) < _FEW_COMPOUNDS}
    flags: list[TrustFlag] = []
    if absent and card is not None:
        flags.append(
            TrustFlag(
                level="bad",
                words="unknown element",
                sentence=f"'{card.name}' was not trained on {', '.join(absent)}.",
            )
        )
    if rare:
        counts = ", ".join(f"{n or 'none'} of {symbol}" for symbol, n in rare.items())
        flags.append(
            TrustFlag(
                level="warning",
                words="rare element",
                sentence=(
                    "The Materials Project of 2019 has few compounds that are nearly "
                    f"stable ({counts}); potentials have learned little of it."
                ),
            )
        )
    return flags


def of_distances(atoms: ase.Atoms) -> list[TrustFlag]:
    """Atoms that are closer than in the crystals a potential is trained on."""
    closest = closest_pair(atoms)
    if closest is None or closest[2] >= _CLOSE:
        return []
    pair, distance, share = closest
    sentence = (
        f"{pair[0]} and {pair[1]} are {distance:.2f} Å apart, {share:.2f} of the sum of "
        "their covalent radii."
    )
    bad = share < _TOO_CLOSE
    return [
        TrustFlag(
            level="bad" if bad else "warning",
            words="atoms too close" if bad else "atoms close",
            sentence=f"{sentence} Potentials know little of such distances.",
        )
    ]


def closest_pair(atoms: ase.Atoms) -> tuple[tuple[str, str], float, float] | None:
    """The pair of atoms that is the closest for its elements.

    Returns:
        Chemical symbols, distance in Å and distance over the sum of the covalent radii
        (B. Cordero et al., Dalton Trans. 2832 (2008)); None where no pair is closer
        than that sum.
    """
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijd", atoms, radii.tolist())
    if not len(d):
        return None
    share = d / (radii[i] + radii[j])
    place = int(np.argmin(share))
    symbols = atoms.get_chemical_symbols()
    first, second = sorted((symbols[i[place]], symbols[j[place]]))
    return (first, second), float(d[place]), float(share[place])


def worst_first(flags: Sequence[TrustFlag]) -> tuple[TrustFlag, ...]:
    """Bad, then warnings, then good ones; else in the order given."""
    return tuple(sorted(flags, key=lambda flag: _ORDER[flag.level]))


def _of_status(trial: Trial) -> TrustFlag:
    if trial.status == "step limit":
        left = "" if trial.max_force is None else f" ({trial.max_force:.2g} eV/Å left)"
        return TrustFlag(
            level="warning",
            words="not converged",
            sentence=f"The relaxation ended at its step limit{left}.",
        )
    return TrustFlag(
        level="bad",
        words=str(trial.status),
        sentence=trial.message or f"The evaluation ended: {trial.status}.",
    )


_ORDER: Mapping[str, int] = {"bad": 0, "warning": 1, "good": 2}
