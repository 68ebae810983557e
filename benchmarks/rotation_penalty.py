"""What makes an unconstrained network turn with the structure: data, or an adversary.

Three networks on raw Cartesian edge vectors learn the same frames of silicon (Zuo et
al. 2020) for as many epochs: as they are, with structures turned at random, and with
that and the squared violation under the worst rotation that an inner maximisation
finds. Then the worst rotation of every test structure is looked for (gradient ascent
from several starts), for them and for an equivariant network.

The claim: the adversarial penalty lowers the worst energy violation, the median over
test structures, by five times or more against augmentation alone. The results hold the
violations of every structure, which `gnndesign.plots.violations.worst_rotations` draws.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from harness import data_path, parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.training.symmetry import worst_rotation

WAYS: dict[str, dict[str, Any]] = {
    "unconstrained": {},
    "with augmentation": {"augment_rotations": True},
    "with the adversary": {"augment_rotations": True, "symmetry_penalty": 200.0},
}
COLUMNS = (
    *("network", "energy_mae_meV", "forces_mae_meV_per_A"),
    *("worst_energy_meV", "worst_force_meV_per_A", "random_energy_meV", "train_s"),
)
FACTOR = 5.0


def main() -> int:
    """Train, look for the worst, print, draw, write and check."""
    arguments = parse_arguments(__doc__ or "")
    n, epochs = (12, 2) if arguments.quick else (80, 40)
    data = gd.load_dataset(data_path("mlearn", "Si_train.xyz.xz"))
    data, validation, _ = data.split([n, 12, len(data) - n - 12], seed=1)
    test = gd.load_dataset(data_path("mlearn", "Si_test.xyz.xz"))
    test = test.select(range(0, len(test), 12 if arguments.quick else 2))
    rows: list[dict[str, Any]] = []
    ways = {name: ("unconstrained", how) for name, how in WAYS.items()}
    ways["equivariant"] = ("equivariant", {})
    for name, (architecture, how) in ways.items():
        shape = {"cutoff": 5.0} | (
            {"channels": 16, "lmax": 2, "n_interactions": 2}
            if architecture == "equivariant"
            else {}
        )
        result = gd.train(
            gd.new_potential(architecture, ["Si"], seed=1, **shape),
            data,
            validation,
            gd.Training(epochs=epochs, batch_size=2, learning_rate=3e-3, **how),
        )
        assert result is not None
        found = worst_rotation(result.potential, test.structures, seed=2)
        errors = gd.evaluate(result.potential, test).errors
        rows.append(
            {
                "network": name,
                **errors.to_dict(),
                "worst_energy_meV": 1e3 * float(np.median(found.energy_violation)),
                "worst_force_meV_per_A": 1e3 * float(np.median(found.force_violation)),
                "random_energy_meV": 1e3
                * float(np.median(found.random_energy_violation)),
                "worst_energy_each_meV": (1e3 * found.energy_violation).tolist(),
                "train_s": sum(report.seconds for report in result.history),
            }
        )
        sys.stderr.write(f"{name}: {rows[-1]['worst_energy_meV']:.3g} meV an atom\n")
    print_table(rows, COLUMNS)
    by = {row["network"]: row["worst_energy_meV"] for row in rows}
    factor = by["with augmentation"] / by["with the adversary"]
    headline = {
        "adversary_lowers_worst_energy_by": factor,
        "augmentation_lowers_it_by": by["unconstrained"] / by["with augmentation"],
        "worst_energy_meV": by,
    }
    write_results(
        "rotation_penalty",
        headline=headline,
        rows=[{"threads": torch.get_num_threads()}, *rows],
        packages=("torch",),
        quick=arguments.quick,
    )
    sys.stdout.write(f"the adversary lowers the worst violation {factor:.1f} times\n")
    return 1 if arguments.check and factor < FACTOR else 0


if __name__ == "__main__":
    raise SystemExit(main())
