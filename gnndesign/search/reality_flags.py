"""What relaxations and a second potential say of a winner, as flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnndesign.properties.elasticity_result import ElasticityResult
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.search.rattled import RattledResult
from gnndesign.search.second_opinion import Disagreement
from gnndesign.search.trust import Level, TrustFlag

_SAME, _MUCH_LOWER = 0.002, 0.05
"""eV/atom. Two relaxations to one minimum differ by less than the first; the second is
twice the energy of heat at room temperature, and what most stable compounds are apart
from the next phase."""

_FORCES = (0.25, 0.5)
_VOLUMES = (0.04, 0.1)
_FORMATION = (0.1, 0.25)
"""From where two potentials disagree, and disagree badly: root mean square of forces,
relative volume, eV/atom."""

DISAGREE = "potentials disagree"


def of_rattled(result: RattledResult) -> TrustFlag:
    """Whether it fell when its symmetry did not hold it."""
    gain = result.energy_gain_per_atom
    tried = f"{result.n_copies} rattled copies of up to {result.n_atoms} atoms"
    if gain <= _SAME:
        return TrustFlag(
            level="good" if result.n_ended else "warning",
            words="keeps its structure",
            sentence=f"None of {tried} fell lower ({1000 * gain:.1f} meV/atom).",
        )
    where = (
        f"{result.space_group} to {result.lowest_space_group}"
        if result.space_group != result.lowest_space_group
        else result.space_group
    )
    is_large = gain > _MUCH_LOWER
    return TrustFlag(
        level="bad" if is_large else "warning",
        words="falls much lower" if is_large else "falls lower",
        sentence=(
            f"Of {tried} the lowest is {1000 * gain:.1f} meV/atom lower ({where}): the "
            "values of the search are those of another structure."
        ),
    )


def of_elasticity(result: ElasticityResult) -> TrustFlag:
    """Born's criterion: every small strain costs energy."""
    lowest = float(np.linalg.eigvalsh(result.stiffness_GPa).min())
    stable = result.is_stable
    return TrustFlag(
        level="good" if stable else "bad",
        words="elastically stable" if stable else "elastically unstable",
        sentence=(
            f"The smallest eigenvalue of the stiffness is {lowest:.3g} GPa; "
            f"{'every' if stable else 'not every'} small strain costs energy."
        ),
    )


def of_phonons(result: PhononResult) -> TrustFlag:
    """Whether every small displacement costs energy."""
    stable = result.is_stable
    return TrustFlag(
        level="good" if stable else "bad",
        words="dynamically stable" if stable else "imaginary phonons",
        sentence=(
            f"The lowest phonon is at {result.min_frequency_THz:.2f} THz"
            f"{'' if stable else ' (negative: imaginary); it falls along that mode'}."
        ),
    )


def of_disagreement(found: Disagreement) -> TrustFlag:
    """Whether a second potential says about the same."""
    sizes = [(found.force_difference, _FORCES), (found.volume_difference, _VOLUMES)]
    said = [f"forces on rattled copies by {100 * found.force_difference:.0f} %"]
    if np.isfinite(found.volume_difference):
        said.append(f"the volume by {100 * found.volume_difference:+.1f} %")
    if np.isfinite(found.formation_energy_difference):
        said.append(
            f"the formation energy by {found.formation_energy_difference:+.3f} eV/atom"
        )
        if found.same_level_of_theory:
            sizes.append((found.formation_energy_difference, _FORMATION))
        else:
            said[-1] += " (not judged: their levels of theory differ)"
    known = [(abs(size), bounds) for size, bounds in sizes if np.isfinite(size)]
    level: Level = "good"
    if any(size > bounds[1] for size, bounds in known):
        level = "bad"
    elif any(size > bounds[0] for size, bounds in known):
        level = "warning"
    return TrustFlag(
        level=level,
        words="potentials agree" if level == "good" else DISAGREE,
        sentence=f"'{found.potential}' differs in {', in '.join(said)}.",
    )


def of_matches(names: Sequence[str]) -> list[TrustFlag]:
    """Whether its structure is one of those that are known."""
    if not names:
        return []
    return [
        TrustFlag(
            level="good",
            words="known structure",
            sentence=f"It has the structure of {', '.join(names)}.",
        )
    ]
