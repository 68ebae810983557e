"""A closed pool of cubic perovskites for benchmarks of samplers, computed with SevenNet-0.

Every charge-neutral ABX3 of the elements below (oxides, sulfides, fluorides, chlorides, bromides;
A and B any of 46 metals) is relaxed as a cubic perovskite; its bulk modulus comes from
seven volumes (Birch-Murnaghan), its energy of formation from the elements relaxed with
the same potential. Writes `benchmarks/data/perovskite_pool.csv.xz`, which is committed;
`acceleration.py` searches it. A candidate without a number (a relaxation that does not
converge, a fit that fails) is left out and counted.
"""

from __future__ import annotations

import csv
import io
import lzma
import sys
import time

from harness import ROOT, parse_arguments, write_results

import gnndesign as gd
from gnndesign.properties.compute import Computation
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.formation import Formation
from gnndesign.properties.work import Relaxing
from gnndesign.search.prototype_space import PrototypeSpace

PATH = ROOT / "benchmarks" / "data" / "perovskite_pool.csv.xz"
COLUMNS = ("A", "B", "X", "bulk_modulus_GPa", "formation_energy_per_atom")
METALS = (
    *("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Sc", "Y", "La", "Ce"),
    *("Ti", "Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mo", "W", "Mn", "Fe", "Ru", "Co"),
    *("Rh", "Ir", "Ni", "Pd", "Pt", "Cu", "Ag", "Zn", "Cd", "Hg", "Al", "Ga", "In"),
    *("Tl", "Ge", "Sn", "Pb", "Sb", "Bi", "Nd"),
)
ANIONS = ("O", "F", "Cl", "Br", "S")
RELAXING = Relaxing(cell="full", max_force=0.02, max_steps=200)


def main() -> int:
    """Compute the pool and write it."""
    arguments = parse_arguments(__doc__ or "")
    space = PrototypeSpace(
        prototype="perovskite",
        sites={"A": METALS, "B": METALS, "X": ANIONS},
        charge_neutral=True,
    )
    count = 24 if arguments.quick else len(space)
    candidates = [space.candidate(index) for index in range(count)]
    potential = gd.load_potential("sevennet-0", "cpu")
    begin = time.perf_counter()
    computation = Computation(
        [EquationOfState(relaxing=RELAXING), Formation(relaxing=RELAXING)],
        [space.build(candidate) for candidate in candidates],
        potential,
    )
    said = begin
    for progress in computation.iterate():
        if time.perf_counter() - said > 20:
            said = time.perf_counter()
            sys.stderr.write(f"{progress.done} of {progress.total}\n")
    seconds = time.perf_counter() - begin
    rows: list[dict[str, str]] = []
    reasons: list[str] = []
    for place, candidate in enumerate(candidates):
        eos, formation = (computation.outcomes[place, which] for which in (0, 1))
        if eos.result is None or formation.result is None:
            reasons.append(f"{candidate.formula}: {eos.message or formation.message}")
            continue
        rows.append(
            {
                **{name: str(choice) for name, choice in candidate.choices.items()},
                "bulk_modulus_GPa": f"{eos.result.bulk_modulus_GPa:.2f}",
                "formation_energy_per_atom": (
                    f"{formation.result.formation_energy_per_atom:.4f}"
                ),
            }
        )
    if not arguments.quick:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        PATH.parent.mkdir(exist_ok=True)
        PATH.write_bytes(lzma.compress(stream.getvalue().encode("utf-8"), preset=9))
    headline = {
        "candidates": len(rows),
        "left_out": len(reasons),
        "seconds": seconds,
        "potential": potential.card.name,
        "checksum": potential.card.checksum,
    }
    write_results(
        "perovskite_pool",
        headline=headline,
        rows=[{"left_out": reason} for reason in reasons],
        packages=("torch",),
        quick=arguments.quick,
    )
    sys.stdout.write(
        f"{len(rows)} perovskites in {seconds:.0f} s, {len(reasons)} without a number\n"
    )
    return 1 if arguments.check and not arguments.quick and len(rows) < 2000 else 0


if __name__ == "__main__":
    raise SystemExit(main())
