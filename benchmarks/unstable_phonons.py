"""Cubic CaTiO3 is unstable: its imaginary modes, and where the worst of them leads.

SevenNet-0 relaxes the cubic perovskite in its own symmetry and computes its phonons;
`FollowMode` displaces it along its imaginary modes, relaxes without symmetry, and asks
what it found for imaginary modes again. Beside it stands the orthorhombic phase of
experiment (Pnma; S. Sasaki et al., Acta Cryst. C 43, 1668 (1987)), relaxed with the same
potential, and its imaginary modes: where it has some, the potential wants another phase.
Several seeds of the random mixtures show how much the end depends on them.

The claims: the cubic phase has imaginary modes; what they lead to has none, and its
energy is that of the orthorhombic phase or lower.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import ase
import numpy as np
import torch
from ase.spacegroup import crystal
from harness import parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.potentials.base import Potential
from gnndesign.properties.follow_mode import FollowMode, FollowModeResult
from gnndesign.structures.library import prototype
from gnndesign.structures.symmetry import SpaceGroup, space_group

ENERGY = "energy_meV_per_formula"
COLUMNS = (
    *(
        "seed",
        "what",
        "space_group",
        "n_atoms",
        "imaginary_modes",
        "worst_THz",
        "worst_q",
    ),
    ENERGY,
)
N_SEEDS = 4
ALIKE = 0.5
"""meV a formula unit; what differs by less is the same phase, relaxed to 5 meV/Å."""


def orthorhombic() -> ase.Atoms:
    """CaTiO3 as it is at room temperature."""
    return crystal(
        ["Ca", "Ti", "O", "O"],
        [
            (0.036, 0.25, 0.993),
            (0, 0, 0.5),
            (0.484, 0.25, 0.071),
            (0.289, 0.037, 0.711),
        ],
        spacegroup=62,
        cellpar=[5.44, 7.64, 5.38, 90, 90, 90],
    )


def main() -> int:
    """Follow, relax the known phase, print, write and check."""
    arguments = parse_arguments(__doc__ or "")
    potential = gd.load_potential("sevennet-0", device="cpu")
    cubic = prototype("perovskite").to_atoms()
    rows: list[dict[str, Any]] = []
    found: list[FollowModeResult] = []
    # One displacement to either side alone need not find the best phase.
    small: dict[str, Any] = {"amplitudes": (0.3,), "n_mixtures": 0}
    for seed in range(1 if arguments.quick else N_SEEDS):
        began = time.perf_counter()
        wanted = FollowMode(seed=seed, **(small if arguments.quick else {}))
        result = gd.compute(wanted, cubic, potential)
        found.append(result)
        seconds = time.perf_counter() - began
        rows += [{"seed": seed, **row} for row in _rows(result)]
        rows[-1]["seconds"] = seconds
    known = _known_phase(potential, found[0])
    print_table([*rows, known], COLUMNS)
    best = max(found, key=lambda result: result.energy_gain_meV_per_atom)
    headline = _headline(best, found, known)
    write_results(
        "unstable_phonons",
        headline=headline,
        rows=[{"threads": torch.get_num_threads()}, *rows, known],
        packages=("torch", "phonopy", "ase"),
        quick=arguments.quick,
    )
    gain = headline["energy_gain_meV_per_formula"]
    sys.stdout.write(
        f"cubic CaTiO3: {headline['imaginary_modes_in_supercell']} imaginary modes; "
        f"followed to {_name(best.space_group)}, {gain:.0f} meV a formula unit lower "
        f"(the known phase: {-known[ENERGY]:.0f})\n"
    )
    holds = all(bool(result.rounds) for result in found) and gain > 0
    if not arguments.quick:
        holds = holds and all(result.is_stable for result in found)
        holds = (
            holds and -headline["least_gain_meV_per_formula"] < known[ENERGY] + ALIKE
        )
    return 1 if arguments.check and not holds else 0


def _headline(
    best: FollowModeResult, found: list[FollowModeResult], known: dict[str, Any]
) -> dict[str, Any]:
    gains = [5 * result.energy_gain_meV_per_atom for result in found]
    return {
        "start_space_group": _name(best.start_space_group),
        "imaginary_modes_in_supercell": best.rounds[0].n_imaginary
        if best.rounds
        else 0,
        "imaginary_share_of_mesh": best.start.imaginary_fraction,
        "lowest_frequency_THz": best.start.min_frequency_THz,
        "space_group": _name(best.space_group),
        "space_groups_by_seed": [_name(result.space_group) for result in found],
        "is_stable": [result.is_stable for result in found],
        "energy_gain_meV_per_formula": max(gains),
        "least_gain_meV_per_formula": min(gains),
        "known_phase_gain_meV_per_formula": -known[ENERGY],
        "known_phase_imaginary_modes": known["imaginary_modes"],
    }


def _known_phase(potential: Potential, found: FollowModeResult) -> dict[str, Any]:
    """The phase of experiment at rest in its own symmetry, and its phonons."""
    phonons = gd.compute(FollowMode().phonons, orthorhombic(), potential)
    zero = found.start.force_constants.energy_per_atom
    energy = 5e3 * (phonons.force_constants.energy_per_atom - zero)
    row = _row("Known phase", space_group(phonons.atoms), 20, energy)
    row["imaginary_modes"] = phonons.n_imaginary
    if phonons.worst_mode is not None:
        row["worst_THz"] = phonons.worst_mode.frequency_THz
        row["worst_q"] = np.round(phonons.worst_mode.q_point, 3).tolist()
    return row


def _rows(found: FollowModeResult) -> list[dict[str, Any]]:
    """The crystal at the top of every round, what its starts relaxed to, and the end."""
    rows: list[dict[str, Any]] = []
    energy = 0.0
    for number, followed in enumerate(found.rounds, 1):
        rows.append(
            {
                **_row(f"Round {number}", followed.space_group, None, energy),
                "imaginary_modes": followed.n_imaginary,
                "worst_THz": followed.frequency_THz,
                "worst_q": np.round(followed.q_point, 3).tolist(),
            }
        )
        ends = zip(followed.space_groups, followed.energies_meV_per_atom, strict=True)
        rows += [
            _row("Start relaxed to", group, None, energy + 5 * float(gain))
            for group, gain in ends
            if group is not None
        ]
        energy += 5 * float(np.nanmin(followed.energies_meV_per_atom))
    last = _row(
        "End", found.space_group, len(found.atoms), -5 * found.energy_gain_meV_per_atom
    )
    return [*rows, {**last, "imaginary_modes": found.end.n_imaginary}]


def _row(
    what: str, group: SpaceGroup, n_atoms: int | None, energy_meV: float
) -> dict[str, Any]:
    return {
        "what": what,
        "space_group": _name(group),
        "n_atoms": "" if n_atoms is None else n_atoms,
        ENERGY: energy_meV,
    }


def _name(group: SpaceGroup) -> str:
    return f"{group.symbol} ({group.number})"


if __name__ == "__main__":
    raise SystemExit(main())
