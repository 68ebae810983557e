"""Energies of the elements, the zero of formation energies, computed once a potential."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
from filelock import FileLock

from gnndesign.disk import cache_folder, write_atomically
from gnndesign.errors import CheckpointError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Status
from gnndesign.simulation.relaxation import Relaxation, relax
from gnndesign.structures.convert import atoms_to_dict
from gnndesign.structures.library import elemental_ground_state

_FORMAT = 1
_MAX_FORCE = 0.02
_MAX_STEPS = 300
_MAX_ROUNDS = 5
# Molecular crystals (O2, F2) are soft and take long to converge. One that gains less than
# this (eV/atom) in its last hundred steps is good enough.
_SETTLED = 0.002


def reference_energies(
    elements: Sequence[str],
    potential: Potential,
    *,
    folder: Path | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """Energy per atom of elemental ground states relaxed with a potential.

    Kept on disk by the checksum of the potential and the structure relaxed from, so that
    every element is relaxed once. Several processes may ask at the same time.

    Args:
        elements: chemical symbols.
        potential: what relaxes them, to 0.02 eV/Å.
        folder: where to keep them, instead of `cache_folder() / "references"`.
        should_stop: asked after every step; True ends it.

    Returns:
        eV/atom by chemical symbol, in the order of `elements`; those that were not
        finished when `should_stop` said so are missing.

    Raises:
        StructureError: the library knows no ground state of an element, or its
            relaxation diverges.
        CheckpointError: the file of kept energies cannot be read.
    """
    folder = cache_folder() / "references" if folder is None else folder
    checksum = potential.card.checksum
    path = folder / f"{hashlib.sha256(checksum.encode()).hexdigest()[:24]}.json"
    starts = {symbol: elemental_ground_state(symbol) for symbol in elements}
    prints = {symbol: _fingerprint(atoms) for symbol, atoms in starts.items()}

    def fits(kept: Mapping[str, Any], symbol: str) -> bool:
        return kept.get(symbol, {}).get("start") == prints[symbol]

    kept = _read(path)
    missing = [symbol for symbol in elements if not fits(kept, symbol)]
    if missing:
        wanted = {symbol: starts[symbol] for symbol in missing}
        relaxed = _relax(wanted, potential, should_stop)
        new = {s: {"start": prints[s], **entry} for s, entry in relaxed.items()}
        folder.mkdir(parents=True, exist_ok=True)
        # Another process may have added elements while these were relaxed.
        with FileLock(f"{path}.lock"):
            kept = {**_read(path), **new}
            content = {
                "format": _FORMAT,
                "potential": potential.card.name,
                "checksum": checksum,
                "elements": kept,
            }
            write_atomically(path, json.dumps(content, indent=1))
    return {s: float(kept[s]["energy_per_atom"]) for s in elements if fits(kept, s)}


def _relax(
    starts: Mapping[str, ase.Atoms],
    potential: Potential,
    should_stop: Callable[[], bool] | None,
) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    left = dict(starts)
    for _ in range(_MAX_ROUNDS):
        results = relax(
            list(left.values()),
            potential,
            cell="full",
            max_force=_MAX_FORCE,
            max_steps=_MAX_STEPS,
            should_stop=should_stop,
        )
        for symbol, result in zip(tuple(left), results, strict=True):
            if result.status in (Status.DIVERGED, Status.REFUSED):
                raise _refusal(symbol, potential, result.message)
            if result.status is Status.STOPPED:
                del left[symbol]
            elif result.status is Status.CONVERGED or _has_settled(result):
                del left[symbol]
                entries[symbol] = {
                    "energy_per_atom": result.energy / len(result.atoms),
                    "max_force": result.max_force,
                    "status": result.status.name,
                    "relaxed": atoms_to_dict(result.atoms),
                }
            else:
                left[symbol] = result.atoms
        if not left:
            return entries
    symbol = next(iter(left))
    n_steps = _MAX_ROUNDS * _MAX_STEPS
    raise _refusal(symbol, potential, f"No minimum after {n_steps} steps.")


def _has_settled(result: Relaxation) -> bool:
    """Whether the last third of the steps gained less than counts."""
    energy = result.history.energy / len(result.atoms)
    return bool(energy[-_MAX_STEPS // 3] - energy[-1] < _SETTLED)


def _refusal(symbol: str, potential: Potential, reason: str) -> StructureError:
    return StructureError(
        f"Elemental {symbol}, the zero of formation energies, cannot be relaxed with "
        f"'{potential.card.name}': {reason} Leave {symbol} out of the search or choose "
        "another potential."
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["elements"]) if content["format"] == _FORMAT else {}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} does not hold energies of elements ({error}). Delete it; they will "
            "be computed again."
        ) from error


def _fingerprint(atoms: ase.Atoms) -> str:
    text = json.dumps(atoms_to_dict(atoms), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
