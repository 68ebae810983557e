"""Results of searches that nobody ran, for what is done with results."""

import ase
import numpy as np

from gnndesign.search.results import SearchResult
from gnndesign.search.trials import (
    ConstraintColumn,
    ObjectiveColumn,
    Trial,
    TrialStatus,
)

FORMATION = ObjectiveColumn(
    name="formation_energy", unit="eV/atom", direction="minimize"
)
MODULUS = ObjectiveColumn(name="bulk_modulus", unit="GPa", direction="maximize")
DENSITY = ObjectiveColumn(name="density", unit="g/cm³", direction="minimize")
HULL = ConstraintColumn(
    name="energy_above_hull",
    column="energy_above_hull_eV_per_atom",
    unit="eV/atom",
    high=0.05,
)


def perovskite(a, b, lattice=3.9):
    scaled = [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return ase.Atoms(f"{a}{b}O3", scaled_positions=scaled, cell=[lattice] * 3, pbc=True)


def made_trial(number, values, *, a="Sr", b="Ti", **others):
    """A perovskite with these values by objective."""
    fields = {
        "number": number,
        "formula": f"{a}{b}O3",
        "choices": {"A": a, "B": b, "X": "O"},
        "values": values,
        "measured": {},
        "status": TrialStatus.CONVERGED,
        "message": "",
        "energy": -40.0,
        "max_force": 0.01,
        "steps": 7,
        "atoms": perovskite(a, b),
    }
    return Trial(**(fields | others))


def made_result(trials, objectives=(FORMATION,), constraints=(HULL,), **others):
    """A result of these trials."""
    fields = {
        "study_name": "search",
        "space": {"kind": "prototype", "prototype": "perovskite"},
        "objectives": tuple(objectives),
        "potential": "toy",
        "n_candidates": 400,
        "trials": tuple(trials),
        "message": f"{len(trials)} candidates evaluated.",
        "constraints": tuple(constraints),
    }
    return SearchResult(**(fields | others))


def perovskite_search(n_trials=60, objectives=(FORMATION, MODULUS, DENSITY), seed=0):
    """Some feasible, some pruned with values or without, one diverged."""
    random = np.random.default_rng(seed)
    sites = [(a, b) for a in ("Ca", "Sr", "Ba", "La", "K") for b in SITE_B]
    trials = []
    for number, place in enumerate(random.permutation(len(sites))[:n_trials]):
        a, b = sites[place]
        x = ase.Atom(a).number / 60 + random.normal(0, 0.15)
        y = ase.Atom(b).number / 60 + random.normal(0, 0.15)
        found = {
            "formation_energy": -3.2 + 0.5 * (x - 0.6) ** 2 + 0.6 * y,
            "bulk_modulus": 180 - 40 * y + 15 * x,
            "density": 3 + 3 * x + 2 * y,
        }
        values = {c.name: found[c.name] for c in objectives}
        above = 0.1 * (x - 0.4)
        others = {"constraints": {"energy_above_hull": above - 0.05}}
        if above > 0.05:
            others["status"] = TrialStatus.PRUNED
            values = values if number % 2 else {}
        elif number % 9 == 0:
            others = {"status": TrialStatus.DIVERGED, "message": "It exploded."}
            values = {}
        elif number % 7 == 0:
            others["status"] = TrialStatus.STEP_LIMIT
        trials.append(made_trial(number, values, a=a, b=b, **others))
    return made_result(trials, objectives)


def alloy_search(n_trials=66, seed=0):
    """Al, Ni and Ti on a lattice of twelve atoms."""
    random = np.random.default_rng(seed)
    counts = [(i, j, 12 - i - j) for i in range(13) for j in range(13 - i)]
    trials = []
    for number, place in enumerate(random.permutation(len(counts))[:n_trials]):
        al, ni, ti = counts[place]
        symbols = ["Al"] * al + ["Ni"] * ni + ["Ti"] * ti
        atoms = ase.Atoms(
            symbols, positions=np.eye(12, 3) * 3, cell=[9.0] * 3, pbc=True
        )
        value = -0.3 - 2 * (al * ni + al * ti + 0.4 * ni * ti) / 144
        trials.append(
            made_trial(
                number,
                {"formation_energy": value + random.normal(0, 0.02)},
                formula=atoms.get_chemical_formula(),
                choices={"Al": al / 12, "Ni": ni / 12, "Ti": ti / 12},
                atoms=atoms,
            )
        )
    return made_result(trials, constraints=())


SITE_B = ("Ti", "Zr", "Hf", "Nb", "Ta", "Sn", "Ge", "Al", "Ga", "Mg", "V", "Cr", "Mn")
