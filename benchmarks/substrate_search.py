"""Perovskites for a substrate of SrTiO3, rediscovered by a search of 300 candidates.

The space: every charge-neutral cubic ABO3 of 63 metals on either site. Wanted: a lattice
constant near 3.905 Å (within 2 %), at most 50 meV/atom above the hull that the same
potential gives. Known compounds (compositions of the Materials Project at most 50
meV/atom above its own hull) are kept out of the 16 candidates that the search begins with.
Afterwards the known compounds that the search did not look at are evaluated too, so that
it can be said how many of those that meet both wishes it has found, beside the number
that as many random draws would have found on average (hypergeometric).

The claim: in 300 trials at least four fifths of them are found. Wall time is stated.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness import parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.disk import CACHE_VARIABLE
from gnndesign.properties.materials_project import known_compound
from gnndesign.search.notation import measure
from gnndesign.search.objectives import Constraint
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.space import Candidate

METALS = (
    *("Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba", "Sc", "Y", "La"),
    *("Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu"),
    *("Ti", "Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mo", "W", "Mn", "Re", "Fe", "Ru"),
    *("Os", "Co", "Rh", "Ir", "Ni", "Pd", "Pt", "Cu", "Ag", "Au", "Zn", "Cd", "Hg"),
    *("Al", "Ga", "In", "Tl", "Ge", "Sn", "Pb", "As", "Sb", "Bi", "Te"),
)
OXIDATION_STATES = {"Ti": [3, 4], "V": [3, 4, 5], "Mn": [2, 3, 4], "Ni": [2, 3]}
"""Of what is found in perovskites beside the common states."""

TARGET, MISMATCH, ABOVE_HULL = 3.905, 0.02, 0.05
N_START = 16
COLUMNS = ("formula", "known", "lattice_constant_A", "energy_above_hull_eV_per_atom")


def main() -> int:
    """Search, evaluate what is known, print, write and check."""
    arguments = parse_arguments(__doc__ or "")
    n_trials = 24 if arguments.quick else 300
    a, b = (METALS[6:10], METALS[26:34]) if arguments.quick else (METALS, METALS)
    space = PrototypeSpace(
        prototype="perovskite",
        sites={"A": a, "B": b, "X": ("O",)},
        oxidation_states=OXIDATION_STATES,
    )
    candidates = [space.candidate(index) for index in range(len(space))]
    known = {c.formula for c in candidates if _is_known(space, c)}
    random = np.random.default_rng(1)
    unknown = [c for c in candidates if c.formula not in known]
    n_start = min(N_START, len(unknown))
    start = [unknown[k] for k in random.choice(len(unknown), n_start, replace=False)]
    potential = gd.load_potential("sevennet-0", "cpu")
    # Energies of elements and of competing phases are computed anew.
    with TemporaryDirectory() as empty:
        os.environ[CACHE_VARIABLE] = empty
        return _search(space, start, known, potential, n_trials, arguments)


def _search(
    space: PrototypeSpace,
    start: Sequence[Candidate],
    known: set[str],
    potential: Any,
    n_trials: int,
    arguments: argparse.Namespace,
) -> int:
    """The search, and what it did not find."""
    lattice, hull = map(measure, ("lattice_constant", "energy_above_hull"))
    low, high = TARGET * (1 - MISMATCH), TARGET * (1 + MISMATCH)
    wishes = {
        "objectives": lattice.near(TARGET),
        "constraints": [
            Constraint(measure=lattice, low=low, high=high),
            hull.at_most(ABOVE_HULL),
        ],
    }
    begin = time.perf_counter()
    result = gd.search_compositions(
        space,
        potential=potential,
        n_trials=n_trials,
        first=[candidate.choices for candidate in start],
        on_progress=lambda progress: sys.stderr.write(
            f"{time.perf_counter() - begin:7.0f} s  {progress.message}\n"
        ),
        **wishes,
    )
    seconds = time.perf_counter() - begin
    found = {trial.formula: trial for trial in result.best(None)}
    seen = {trial.formula for trial in result.trials}
    candidates = map(space.candidate, range(len(space)))
    missed_known = [c for c in candidates if c.formula in known - seen]
    left: set[str] = set()
    if missed_known:
        rest = gd.search_compositions(
            space,
            potential=potential,
            n_trials=len(missed_known),
            first=[candidate.choices for candidate in missed_known],
            **wishes,
        )
        left = {t.formula for t in rest.best(None)}
    rediscovered = sorted(known & found.keys())
    wanted = len(rediscovered) + len(left)
    by_chance = wanted * (n_trials / len(space))
    rows = [
        {"formula": f, "known": f in known, **trial.measured}
        for f, trial in found.items()
    ]
    print_table(rows[:25], COLUMNS)
    share = len(rediscovered) / wanted if wanted else float("nan")
    headline = {
        "candidates": len(space),
        "known_in_the_space": len(known),
        "trials": len(result.trials),
        "seconds": seconds,
        "winners": len(found),
        "known_that_meet_both_wishes": wanted,
        "rediscovered": len(rediscovered),
        "rediscovered_by_chance": by_chance,
        "share": share,
        "names": rediscovered,
        "not_found": sorted(left),
    }
    write_results(
        "substrate_search",
        headline=headline,
        rows=rows,
        packages=("torch", "optuna", "pymatgen"),
        quick=arguments.quick,
    )
    sys.stdout.write(
        f"{len(rediscovered)} of {wanted} known perovskites rediscovered in "
        f"{len(result.trials)} of {len(space)} candidates ({by_chance:.1f} by chance), "
        f"{seconds / 60:.1f} min\n"
    )
    return 1 if arguments.check and not arguments.quick and not share >= 0.8 else 0


def _is_known(space: PrototypeSpace, candidate: Candidate) -> bool:
    """Whether the Materials Project has it near its hull."""
    known = known_compound(space.build(candidate))
    return known is not None and known.decomposition_energy_per_atom <= ABOVE_HULL


if __name__ == "__main__":
    raise SystemExit(main())
