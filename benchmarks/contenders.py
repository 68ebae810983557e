"""Who computes energy, forces and stress of an `ase.Atoms`, for comparison of speed.

Ours in both forms, the `sevenn` package's ASE calculator, torch-sim on that package's
network, and CHGNet's ASE calculator. Each does its neighbor search within the call.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ase
import numpy as np
import torch
from ase.build import bulk
from ase.stress import voigt_6_to_full_3x3_stress
from parity import EV_PER_A3_TO_GPA, PACKAGE_NAMES, Evaluation

import gnndesign as gd

Contender = Callable[[ase.Atoms], Evaluation]

RATTLE = 0.1
"""Å, standard deviation of the displacements of every structure."""

STIR = 1e-3
"""Å, by which every call's positions differ, so that no calculator remembers."""


def silicon(n_atoms: int) -> ase.Atoms:
    """A cube of conventional cells of 8 atoms, rattled."""
    repeats = round((n_atoms / 8) ** (1 / 3))
    atoms = bulk("Si", a=5.43, cubic=True) * (repeats, repeats, repeats)
    if len(atoms) != n_atoms:
        raise ValueError(f"Wanted 8 n³ atoms, got {n_atoms}.")
    atoms.rattle(RATTLE, seed=1)
    return atoms


def oxide() -> ase.Atoms:
    """100 atoms of cubic BaTiO3, rattled."""
    places = [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    cell = ase.Atoms("BaTiO3", scaled_positions=places, cell=[4.0] * 3, pbc=True)
    atoms = cell * (5, 2, 2)
    atoms.rattle(RATTLE, seed=1)
    return atoms


def our_calculator(name: str, device: str = "cpu", kernel: str = "fused") -> Any:
    """Ours, compiled and ready."""
    potential: Any = gd.load_potential(name, device)
    potential.kernel = kernel
    potential.prepare(say=lambda _: None)
    return potential.as_calculator()


def package_calculator(name: str, device: str = "cpu", **accelerators: bool) -> Any:
    """The `sevenn` package's own; it warns about torch.jit and missing accelerators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(PACKAGE_NAMES[name], device=device, **accelerators)


def by_calculator(calculator: Any) -> Contender:
    """As a user of ASE asks."""

    def evaluate(atoms: ase.Atoms) -> Evaluation:
        atoms.calc = calculator
        return Evaluation(
            energy=float(atoms.get_potential_energy()),
            forces=atoms.get_forces(),
            stress=atoms.get_stress(voigt=False) * EV_PER_A3_TO_GPA,
        )

    return evaluate


def torch_sim_model(name: str, device: str = "cpu") -> Any:
    """torch-sim's model of the package's network."""
    import sevenn.calculator
    from sevenn.util import model_from_checkpoint

    # torch-sim 0.3 imports a name that sevenn 0.13 no longer has.
    sevenn.calculator.torch_script_type = torch.jit.ScriptModule
    from torch_sim.models.sevennet import SevenNetModel

    network, _ = model_from_checkpoint(PACKAGE_NAMES[name])
    return SevenNetModel(network, device=device)


def by_torch_sim(name: str, device: str = "cpu") -> Contender:
    """That model, from `ase.Atoms`."""
    model = torch_sim_model(name, device)
    import torch_sim

    def evaluate(atoms: ase.Atoms) -> Evaluation:
        state = torch_sim.io.atoms_to_state(
            [atoms], torch.device(device), torch.float32
        )
        found = {key: value.cpu().numpy() for key, value in model(state).items()}
        return Evaluation(
            energy=float(found["energy"][0]),
            forces=found["forces"],
            stress=found["stress"][0] * EV_PER_A3_TO_GPA,
        )

    return evaluate


def by_chgnet(device: str = "cpu") -> Contender:
    """CHGNet's own calculator, another potential: its speed alone is comparable."""
    from chgnet.model.dynamics import CHGNetCalculator

    with contextlib.redirect_stdout(io.StringIO()):
        calculator = CHGNetCalculator(use_device=device)

    def evaluate(atoms: ase.Atoms) -> Evaluation:
        atoms.calc = calculator
        stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
        return Evaluation(
            energy=float(atoms.get_potential_energy()),
            forces=atoms.get_forces(),
            stress=stress * EV_PER_A3_TO_GPA,
        )

    return evaluate


def on_the_host(name: str) -> dict[str, Contender]:
    """All of them, by name; ours first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "ours": by_calculator(our_calculator(name)),
            "ours, plain torch": by_calculator(our_calculator(name, kernel="plain")),
            "sevenn": by_calculator(package_calculator(name)),
            "torch-sim + sevenn": by_torch_sim(name),
            "chgnet": by_chgnet(),
        }


def stirred(atoms: ase.Atoms, seed: int) -> ase.Atoms:
    """Moved a little; the same for the same seed."""
    moved = atoms.copy()
    shape = moved.positions.shape
    moved.positions += np.random.default_rng(seed).uniform(-STIR, STIR, shape)
    return moved


def in_turn(
    contenders: Mapping[str, Contender], atoms: ase.Atoms, repeats: int
) -> tuple[dict[str, list[float]], dict[str, Evaluation]]:
    """Milliseconds of each, A B C A B C ..., and what each said at the warm-up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    said: dict[str, Evaluation] = {}
    for repeat in range(repeats + 1):
        for name, evaluate in contenders.items():
            moved = stirred(atoms, repeat)
            began = time.perf_counter()
            found = evaluate(moved)
            taken = 1e3 * (time.perf_counter() - began)
            if repeat:
                times[name].append(taken)
            else:
                said[name] = found
    return times, said


def sizes_in_turn(
    evaluate: Contender, structures: Sequence[ase.Atoms], repeats: int
) -> list[list[float]]:
    """Milliseconds of one contender for structures of several sizes, in turn."""
    times: list[list[float]] = [[] for _ in structures]
    for repeat in range(repeats + 1):
        for atoms, taken in zip(structures, times, strict=True):
            moved = stirred(atoms, repeat)
            began = time.perf_counter()
            evaluate(moved)
            if repeat:
                taken.append(1e3 * (time.perf_counter() - began))
    return times
