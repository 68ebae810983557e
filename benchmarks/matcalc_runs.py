"""What MatCalc says of crystals, and what it would say of our stresses."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Container, Sequence
from contextlib import chdir
from typing import Any

import ase
import numpy as np
from matcalc import ElasticityCalc, EOSCalc, PhononCalc
from scipy.linalg import sqrtm

from gnndesign.properties.elastic_moduli import VOIGT, elastic_moduli
from gnndesign.properties.elasticity_result import ElasticityResult

MAX_FORCE = 0.0005
"""eV/Å."""
MAX_STEPS = 2000
LINEAR_STRAIN = 0.02
"""Largest of MatCalc's equation of state; ours gives volumes."""
SUPERCELL = (2, 2, 2)
TEMPERATURE_K = 300
QUANTITIES = {
    "elasticity": ("K_VRH", "G_VRH"),
    "equation_of_state": ("B0",),
    "phonons": ("C_V",),
}
"""GPa; J/(mol K) an atom."""


Row = dict[str, Any]


def by_matcalc(
    structures: Sequence[ase.Atoms], calculator: Any, kinds: Container[str]
) -> tuple[list[Row], list[Row]]:
    """By structure, quantities (or why there are none); seconds by property."""
    bounds = {"max_steps": MAX_STEPS}
    elasticity = ElasticityCalc(
        calculator,
        fmax=MAX_FORCE,
        relax_deformed_structures=True,
        units_GPa=True,
        relax_calc_kwargs=bounds,
    )
    curve = EOSCalc(
        calculator, fmax=MAX_FORCE, max_steps=MAX_STEPS, max_abs_strain=LINEAR_STRAIN
    )
    phonons = PhononCalc(
        calculator,
        fmax=MAX_FORCE,
        max_steps=MAX_STEPS,
        supercell_matrix=np.diag(SUPERCELL),
        write_phonon=False,
    )
    ask: dict[str, tuple[Any, Callable[[Row], tuple[float, ...]]]] = {
        "elasticity": (
            elasticity,
            lambda r: (float(r["bulk_modulus_vrh"]), float(r["shear_modulus_vrh"])),
        ),
        "equation_of_state": (curve, lambda r: (float(r["bulk_modulus_bm"]),)),
        "phonons": (phonons, _heat_capacity),
    }
    rows: list[Row] = [{} for _ in structures]
    times: list[Row] = []
    for kind, (one, read) in ask.items():
        if kind not in kinds:
            continue
        began = time.perf_counter()
        for row, atoms in zip(rows, structures, strict=True):
            row |= dict(zip(QUANTITIES[kind], _asked(one, read, atoms), strict=False))
        seconds = time.perf_counter() - began
        times.append({"program": "MatCalc", "property": kind, "seconds": seconds})
        sys.stderr.write(f"MatCalc, {kind}: {seconds:.0f} s\n")
    total = sum(row["seconds"] for row in times)
    return rows, [*times, {"program": "MatCalc", "property": "all", "seconds": total}]


def _asked(
    one: Any, read: Callable[[Row], tuple[float, ...]], atoms: ase.Atoms
) -> tuple[Any, ...]:
    """MatCalc's numbers, or what it says instead."""
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
    ):
        warnings.simplefilter("ignore")
        try:
            return read(one.calc(atoms.copy()) | {"n_atoms": len(atoms)})
        except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
            return (str(error)[:60],) * 2


def _heat_capacity(result: Row) -> tuple[float]:
    thermal = result["thermal_properties"]
    place = int(np.argmin(np.abs(thermal["temperatures"] - TEMPERATURE_K)))
    return (float(thermal["heat_capacity"][place]) / result["n_atoms"],)


def as_matcalc_fits(result: ElasticityResult) -> tuple[float, float]:
    """K and G (GPa) that MatCalc would have of our stresses."""
    slopes = np.empty((6, 6))
    for k, (i, j) in enumerate(VOIGT):
        # The stretched copies of one component, and the one at rest.
        along = result.strains[:, i, j]
        here = [0, *np.flatnonzero(along)]
        stresses = [
            _turned(stress, strain)
            for stress, strain in zip(
                result.stresses_GPa[here], result.strains[here], strict=True
            )
        ]
        amounts = along[here] * (1 if i == j else 2)
        flat = np.array(stresses)[:, *np.array(VOIGT).T]
        slopes[k] = np.polyfit(amounts, flat, 1)[0]
    moduli = elastic_moduli(0.5 * (slopes + slopes.T))
    return moduli.bulk_hill_GPa, moduli.shear_hill_GPa


def _turned(stress: np.ndarray, strain: np.ndarray) -> np.ndarray:
    """As of a copy under the triangular gradient of the same strain."""
    square = np.eye(3) + 2 * strain
    turn = np.linalg.cholesky(square).T @ np.linalg.inv(sqrtm(square).real)
    return turn @ stress @ turn.T
