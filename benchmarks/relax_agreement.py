"""Relaxations of 200 rattled crystals: ours and ASE's end in the same minima.

Crystals of MatCalc's benchmarks, of any size, rattled by 0.1 Å, relaxed to 0.005 eV/Å
with SevenNet-0 (ours, in ASE's hands through `as_calculator`): positions alone, and
with the cell. Ours is `gnndesign.relax` with each of its methods, all structures in one
batch; ASE's are FIRE, BFGS and LBFGS, with FrechetCellFilter for the cell. Evaluations
of energy and forces are counted in a wrapper around the potential, for a whole batch;
a structure's own are one more than its steps, and those beyond are "uncounted".

The claim: every end has ASE's FIRE's energy within 0.1 meV/atom, or is one of the
following, which are counted and shown. Both ends of a pair that differs are relaxed
further, to 0.0005 eV/Å, each by the other program: if their energies meet, it was one
minimum, so flat that 0.005 eV/Å did not determine it ("flat"); if not, these are two
("other"), and the table says whose is lower and whether pymatgen's StructureMatcher,
too, calls the structures different. As ASE's optimizers differ among themselves, too,
neither other minima nor flat ones in which ours stopped above ASE's FIRE may be more
frequent with ours, by more than one, than with ASE's BFGS or LBFGS, whichever has more;
and ours converge at least as often as ASE's FIRE.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import ase
import contenders
import numpy as np
import relaxers
from ase.optimize import BFGS, FIRE, LBFGS
from harness import parse_arguments, print_table, write_results
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor
from relaxers import Relaxed

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Potential, Prediction

NUMBER, QUICK_NUMBER = 200, 12
SEED = 200
MAX_FORCE, FURTHER = 0.005, 0.0005
"""eV/Å."""
MAX_STEPS = 1000
SAME_ENERGY = 1e-4
"""eV an atom."""
OPTIMIZERS = {"FIRE": FIRE, "BFGS": BFGS, "LBFGS": LBFGS}
REFERENCE = "ASE, FIRE"
COLUMNS = (
    *("relaxed", "optimizer", "median", "mean", "p90", "most", "converged"),
    *("same_energy", "flat", "flat_higher", "other", "lower"),
    *("seconds", "uncounted"),
)

Row = dict[str, Any]


class Counted(Potential):
    """Another potential, and how many structures it was asked about."""

    def __init__(self, potential: Potential) -> None:
        self.within = potential
        self.card, self.device = potential.card, potential.device
        self.cutoff = potential.cutoff
        self.needs_neighbors = potential.needs_neighbors
        self.evaluations = 0

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """The other's answer."""
        self.evaluations += batch.n_systems
        return self.within.predict(batch, edges)


def main() -> int:
    """Relax, compare, print, write; 1 where the claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    number = QUICK_NUMBER if arguments.quick else NUMBER
    structures = relaxers.rattled_crystals(number, seed=SEED)
    potential = Counted(contenders.our_calculator("sevennet-0").potential)
    rows: list[Row] = []
    pairs: list[Row] = []
    headline: Row = {"n_structures": number}
    for cell in (False, True):
        what = "positions and cell" if cell else "positions"
        ends = everybody(structures, potential, cell=cell)
        for optimizer, (found, cost) in ends.items():
            differing = compare(found, ends[REFERENCE][0], potential, cell=cell)
            about = {"relaxed": what, "optimizer": optimizer}
            rows.append(about | summary(found, differing) | cost)
            pairs += [about | pair for pair in differing]
    print_table(rows, COLUMNS)
    if pairs:
        sys.stdout.write("\nEnergies, eV/atom, where they differ from ASE's FIRE:\n")
        print_table(pairs, tuple(pairs[0]))
    missed = misses(rows)
    headline |= summarize(rows) | {"missed": missed}
    write_results(
        "relax_agreement",
        headline=headline,
        rows=[*rows, *pairs],
        packages=("torch", "ase", "pymatgen", "vesin"),
        quick=arguments.quick,
    )
    for what, value in headline.items():
        sys.stdout.write(f"{what}: {value}\n")
    return 1 if missed and arguments.check else 0


def everybody(
    structures: Sequence[ase.Atoms], potential: Counted, *, cell: bool
) -> dict[str, tuple[list[Relaxed], Row]]:
    """By optimizer, where all structures ended, the seconds it took, and evaluations
    beyond those that the steps explain.
    """
    ends: dict[str, tuple[list[Relaxed], Row]] = {}
    ours = {f"ours, {relaxers.TITLES[m]}": m for m in relaxers.our_methods()}
    theirs = {f"ASE, {name}": name for name in OPTIMIZERS}
    for name, which in (ours | theirs).items():
        potential.evaluations = 0
        began = time.perf_counter()
        found = relax(structures, potential, which, cell=cell)
        seconds = time.perf_counter() - began
        said = sum(end.evaluations or 0 for end in found)
        about = {"seconds": seconds, "uncounted": potential.evaluations - said}
        ends[name] = (found, about)
        sys.stderr.write(f"{name}: {seconds:.0f} s, {said} evaluations\n")
    return ends


def relax(
    structures: Sequence[ase.Atoms],
    potential: Potential,
    which: str,
    *,
    cell: bool,
    max_force: float = MAX_FORCE,
) -> list[Relaxed]:
    """With a method of ours or an optimizer of ASE."""
    bounds = {"cell": cell, "max_force": max_force, "max_steps": MAX_STEPS}
    if which in relaxers.TITLES:
        return relaxers.by_ours(structures, potential, which, **bounds)
    calculator = potential.as_calculator()
    optimizer = OPTIMIZERS[which]
    return [
        relaxers.by_ase(atoms, calculator, optimizer, **bounds) for atoms in structures
    ]


def compare(
    found: Sequence[Relaxed],
    reference: Sequence[Relaxed],
    potential: Potential,
    *,
    cell: bool,
) -> list[Row]:
    """The structures whose energies differ, each with its verdict."""
    pairs: list[Row] = []
    for k, (end, other) in enumerate(zip(found, reference, strict=True)):
        if abs(end.energy - other.energy) < SAME_ENERGY:
            continue
        method = relaxers.our_methods()[0]
        (from_this,) = relax(
            [end.atoms], potential, "FIRE", cell=cell, max_force=FURTHER
        )
        (from_other,) = relax(
            [other.atoms], potential, method, cell=cell, max_force=FURTHER
        )
        apart = from_this.energy - from_other.energy
        kind = "flat"
        if abs(apart) >= SAME_ENERGY:
            kind = "other"
        else:
            apart = end.energy - other.energy
        verdict = f"{kind}, {'lower' if apart < 0 else 'higher'}"
        pairs.append(
            {
                "structure": k,
                "formula": end.atoms.get_chemical_formula(),
                "energy": f"{end.energy:.5f}",
                "of ASE's FIRE": f"{other.energy:.5f}",
                "continued": f"{from_this.energy:.5f}",
                "ASE's continued": f"{from_other.energy:.5f}",
                "verdict": verdict,
                "matcher": matcher(from_this.atoms, from_other.atoms),
            }
        )
    return pairs


def matcher(first: ase.Atoms, second: ase.Atoms) -> str:
    """What pymatgen says of two structures, with its own tolerances but no scaling."""
    a, b = (AseAtomsAdaptor.get_structure(atoms) for atoms in (first, second))
    same = StructureMatcher(scale=False, primitive_cell=False).fit(a, b)
    return "same" if same else "different"


def summary(found: Sequence[Relaxed], pairs: Sequence[Row]) -> Row:
    """Evaluations a structure, and how the ends compare."""
    evaluations = np.array([end.evaluations for end in found])
    verdicts = [pair["verdict"] for pair in pairs]
    return {
        "median": float(np.median(evaluations)),
        "mean": float(evaluations.mean()),
        "p90": float(np.percentile(evaluations, 90)),
        "most": int(evaluations.max()),
        "converged": sum(end.converged for end in found),
        "same_energy": len(found) - len(pairs),
        "flat": sum(verdict.startswith("flat") for verdict in verdicts),
        "flat_higher": verdicts.count("flat, higher"),
        "other": sum(verdict.startswith("other") for verdict in verdicts),
        "lower": verdicts.count("other, lower"),
    }


def misses(rows: Sequence[Row]) -> list[str]:
    """Where ours differ from ASE's FIRE more often than ASE's own optimizers do."""
    missed: list[str] = []
    for row in rows:
        alike = {r["optimizer"]: r for r in rows if r["relaxed"] == row["relaxed"]}
        if row["optimizer"].startswith("ASE"):
            continue
        own = (alike["ASE, BFGS"], alike["ASE, LBFGS"])
        name = f"{row['optimizer']}, {row['relaxed']}"
        missed += [
            f"{what} {name}"
            for what in ("flat_higher", "other")
            if row[what] > 1 + max(r[what] for r in own)
        ]
        if row["converged"] < alike[REFERENCE]["converged"]:
            missed.append(f"converged {name}")
        if row["uncounted"]:
            missed.append(f"uncounted {name}")
    return missed


def summarize(rows: Sequence[Row]) -> Row:
    """Of both kinds of relaxation together: what ours did, and medians of all."""
    ours = [row for row in rows if row["optimizer"].startswith("ours")]
    headline: Row = {
        f"ours_{what}": sum(row[what] for row in ours)
        for what in ("same_energy", "flat", "flat_higher", "other", "lower")
    }
    n_structures = ours[0]["same_energy"] + ours[0]["flat"] + ours[0]["other"]
    headline["ours_not_converged"] = sum(
        n_structures - row["converged"] for row in ours
    )
    for row in rows:
        name = f"median_evaluations {row['optimizer']}, {row['relaxed']}"
        headline[name] = row["median"]
    return headline


if __name__ == "__main__":
    raise SystemExit(main())
