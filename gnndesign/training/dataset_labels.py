"""Which of the numbers that come with structures are energy, forces and stress.

Files name their labels in many ways (`energy`, `REF_energy`, `dft_forces`, `virial`,
`stress_kbar`). One name is taken; where two could be meant and differ, it is an error
that lists them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import ase
import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError
from jaxtyping import Float

from gnndesign.batch import name_of
from gnndesign.errors import ParameterError, StructureError
from gnndesign.units import EV_PER_A3_TO_GPA

Kind: TypeAlias = Literal["energy", "forces", "stress"]

STRESS_UNITS: dict[str, float] = {
    "eV/A^3": 1.0,
    "GPa": 1.0 / EV_PER_A3_TO_GPA,
    "kbar": -0.1 / EV_PER_A3_TO_GPA,
    "virial": math.nan,
}
"""What one unit is in eV/Å³, positive under tension.

`kbar` is as VASP prints it, "in kB": positive under compression. `virial` is eV,
-V × stress, as GAP's files have it.
"""

LARGEST: dict[Kind, tuple[float, str, str]] = {
    "energy": (1e6, "eV an atom", "Energies are wanted in eV"),
    "forces": (1e4, "eV/Å", "Forces are wanted in eV/Å"),
    "stress": (
        10.0,
        "eV/Å³ (1600 GPa)",
        f"Say stress_unit, one of {', '.join(STRESS_UNITS)}",
    ),
}
"""Beyond these numbers no label makes sense; their unit, and what may be wrong.

A stress whose unit is known may be a hundred times as large, as in a cell that is
compressed to a half.
"""

_NAMES: dict[Kind, re.Pattern[str]] = {
    "energy": re.compile(
        r"(?!(?:formation|adsorption|binding|cohesive|atomi[sz]ation|kinetic|hull|"
        r"interaction|dispersion|vdw|d3|d4|correction|zero|zero_point)[_-]?energy$)"
        r"(?:[a-z0-9]+[_-])?(?:total[_-])?(?:free[_-])?energy",
        re.IGNORECASE,
    ),
    "forces": re.compile(r"(?:[a-z0-9]+[_-])?forces?", re.IGNORECASE),
    "stress": re.compile(
        r"(?:[a-z0-9]+[_-])?(?:stress|virial)(?:[_-](?:gpa|kbar|kb))?", re.IGNORECASE
    ),
}

_SAME: dict[Kind, float] = {"energy": 1e-6, "forces": 1e-5, "stress": 1e-6}
"""Two labels that are nearer (eV, eV/Å, eV/Å³) are one label under two names."""

Table: TypeAlias = list[dict[str, Any]]


def results_of(atoms: ase.Atoms) -> dict[str, Any]:
    """What a calculator has computed for this very geometry; it computes nothing.

    Trajectories kept in memory often share one calculator, which knows the last frame
    only.
    """
    if atoms.calc is None:
        return {}
    found: dict[str, Any] = {}
    for name in ("energy", "free_energy", "forces", "stress"):
        value = getattr(atoms.calc, "results", {}).get(name)
        try:
            if value is None or atoms.calc.calculation_required(atoms, [name]):
                continue
        except PropertyNotImplementedError:
            continue
        found[name] = value
    return found


def find(
    kind: Kind,
    structures: Sequence[ase.Atoms],
    wanted: str | None,
    source: str,
) -> tuple[str, list[np.ndarray | None]]:
    """The labels of one kind, and the name they have in the file.

    Args:
        kind: which.
        structures: as a file was read.
        wanted: the name of the labels, "auto" to find it, None for none.
        source: for messages.

    Raises:
        StructureError: several names fit and differ, or the one wanted is not there.
    """
    nothing: list[np.ndarray | None] = [None] * len(structures)
    if wanted is None:
        return "", nothing
    tables = [_everything(kind, atoms) for atoms in structures]
    if wanted != "auto":
        _refuse_absent(kind, wanted, tables, source)
        return wanted, [_as_array(table.get(wanted)) for table in tables]
    fitting = [
        {k: v for k, v in table.items() if _NAMES[kind].fullmatch(k)}
        for table in tables
    ]
    names = sorted({name for table in fitting for name in table})
    if not names:
        return "", nothing
    name = names[0]
    if len(names) > 1:
        name = _the_one(kind, names, fitting, source)
        return name, [
            _as_array(table.get(name, next(iter(table.values()), None)))
            for table in fitting
        ]
    return name, [_as_array(table.get(name)) for table in fitting]


def _everything(kind: Kind, atoms: ase.Atoms) -> dict[str, Any]:
    """All numbers that could be labels of a kind, by name."""
    found = {str(key): value for key, value in atoms.info.items()}
    if kind == "forces":
        found = {
            key: value
            for key, value in atoms.arrays.items()
            if key != "positions" and value.shape == (len(atoms), 3)
        }
    found.update(results_of(atoms))
    return found


def _refuse_absent(kind: Kind, wanted: str, tables: Table, source: str) -> None:
    if any(wanted in table for table in tables):
        return
    known = sorted({name for table in tables for name in table})
    raise StructureError(
        f"{source}: wanted the {kind} under the name {wanted!r}, but no structure has "
        f"it; there are {', '.join(known) or 'no labels at all'}. Name one of these, "
        f"or None for no {kind}."
    )


def _the_one(kind: Kind, names: list[str], tables: Table, source: str) -> str:
    """The name that is meant, where several fit.

    `free_energy` beside `energy` is the energy of which forces are the gradient, where
    electrons are smeared over states; `energy` is extrapolated to no smearing.
    """
    if set(names) == {"energy", "free_energy"} and all(
        "free_energy" in table for table in tables if table
    ):
        return "free_energy"
    first = next((n for n in ("energy", "forces", "stress") if n in names), names[0])
    for table in tables:
        values = [_as_array(value) for value in table.values()]
        if not all(_alike(kind, values[0], value) for value in values[1:]):
            break
    else:
        if any(len(table) > 1 for table in tables):
            return first
    counts = ", ".join(
        f"{name} (in {sum(name in table for table in tables)} of {len(tables)})"
        for name in names
    )
    raise StructureError(
        f"{source}: more than one label could be the {kind}, and they are not the "
        f"same: {counts}. Say which: {kind}={names[0]!r}."
    )


def _alike(kind: Kind, a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None or a.size != b.size:
        return False
    return bool(np.allclose(a.ravel(), b.ravel(), rtol=0.0, atol=_SAME[kind]))


def _as_array(value: Any) -> np.ndarray | None:
    if value is None:
        return None
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return np.array(math.nan)  # A word where a number should be: refused later.


def unit_of_stress(name: str, stress_unit: str | None) -> str:
    """What a stress is given in: as said, as its name tells, else eV/Å³.

    Raises:
        ParameterError: no such unit.
    """
    if stress_unit is None:
        low = name.lower()
        for word, unit in (("virial", "virial"), ("gpa", "GPa"), ("kb", "kbar")):
            if word in low:
                return unit
        return "eV/A^3"
    if stress_unit not in STRESS_UNITS:
        raise ParameterError(
            f"Wanted a stress_unit of {', '.join(STRESS_UNITS)} or None, got "
            f"{stress_unit!r}."
        )
    return stress_unit


def stress_matrix(
    value: np.ndarray, unit: str, volume: float
) -> Float[np.ndarray, "3 3"] | None:
    """(3, 3) eV/Å³, positive under tension; None where the shape is wrong.

    Args:
        value: six numbers in the order xx, yy, zz, yz, xz, xy, or nine.
        unit: one of `STRESS_UNITS`.
        volume: Å³ of the cell.
    """
    factor = -1.0 / volume if unit == "virial" else STRESS_UNITS[unit]
    if value.size == 6:
        xx, yy, zz, yz, xz, xy = value.ravel().tolist()
        value = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    elif value.size == 9:
        value = value.reshape(3, 3)
    else:
        return None
    return factor * 0.5 * (value + value.T)


def check(
    kind: Kind,
    structures: Sequence[ase.Atoms],
    values: Sequence[np.ndarray | None],
    source: str,
    *,
    unit_is_known: bool = False,
) -> None:
    """Refuse labels that are not finite, of the wrong shape or absurdly large.

    Raises:
        StructureError: names the structures.
    """
    largest, unit, remedy = LARGEST[kind]
    largest *= 100.0 if unit_is_known else 1.0
    wrong: list[str] = []
    for index, (atoms, value) in enumerate(zip(structures, values, strict=True)):
        if value is None:
            continue
        shape = {"energy": (), "forces": (len(atoms), 3), "stress": (3, 3)}[kind]
        where = name_of(atoms, index)
        if value.shape != shape:
            wrong.append(f"{where} has {kind} of shape {value.shape}, not {shape}")
        elif not np.isfinite(value).all():
            wrong.append(f"{where} has {kind} that are not numbers")
        else:
            number = float(np.abs(value).max(initial=0.0))
            number /= len(atoms) if kind == "energy" else 1
            if number > largest:
                wrong.append(f"{where} has {kind} of {number:.3g}")
    if wrong:
        more = f", and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise StructureError(
            f"{source}: {'; '.join(wrong[:8])}{more}. Wanted finite numbers below "
            f"{largest:g} {unit}. {remedy}; correct or leave out these structures."
        )
