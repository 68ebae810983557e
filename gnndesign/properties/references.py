"""Energies of the elements, the zero of formation energies, computed once a potential."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import ase

from gnndesign.disk import cache_folder
from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, Quantity, Steps
from gnndesign.properties.compute import compute
from gnndesign.properties.kept import KeptEnergies, fingerprint
from gnndesign.properties.outcomes import PropertyStatus
from gnndesign.properties.work import Relaxing, evaluated
from gnndesign.simulation.base import Status
from gnndesign.structures.convert import atoms_to_dict
from gnndesign.structures.library import elemental_ground_state

ISOLATED_ATOMS_NOTE = (
    "Isolated atoms are outside the training domain of potentials trained on crystals "
    "(MPtrj among them), whose energy of an atom without neighbors has no meaning but by "
    "chance: take cohesive energies as differences between phases, not as numbers to "
    "compare with experiment."
)

_RELAXING = Relaxing(cell="full", max_force=0.02, max_steps=300)
# Molecular crystals (O2, F2) are soft and take long to converge. One that gains less than
# this (eV/atom) in a hundred steps is good enough.
_SETTLED = 0.002
_GOING_ON = Relaxing(cell="full", max_force=0.02, max_steps=100)
_MAX_ROUNDS = 13


def elemental_references(
    elements: Sequence[str], potential: Potential, *, folder: Path | None = None
) -> Steps[dict[str, float]]:
    """Steps to the energy per atom of elemental ground states, relaxed together.

    What was computed before with this potential (by its checksum) from the same
    structure is read from disk, and what is computed is kept there.

    Args:
        elements: chemical symbols.
        potential: whose energies they are.
        folder: where to keep them, instead of `cache_folder() / "references"`.

    Returns:
        eV/atom by chemical symbol, in the order of `elements`.

    Raises:
        StructureError: the library knows no ground state of an element, or its
            relaxation fails.
        CheckpointError: the file of kept energies cannot be read.
    """
    store = _store(potential, folder)
    starts = {symbol: elemental_ground_state(symbol) for symbol in elements}
    kept = store.read()
    missing = {s: atoms for s, atoms in starts.items() if not _fits(kept, s, atoms)}
    if missing:
        ends = yield from _settled(missing, potential)
        kept = store.add({s: _entry(missing[s], end) for s, end in ends.items()})
    return {symbol: float(kept[symbol]["energy_per_atom"]) for symbol in starts}


def isolated_atoms(elements: Sequence[str]) -> Steps[dict[str, float]]:
    """Steps to the energy (eV) of single atoms by chemical symbol.

    Every one is alone in empty space. See `ISOLATED_ATOMS_NOTE`.

    Raises:
        ConvergenceError: the potential has no energy of an atom without neighbors.
    """
    symbols = tuple(dict.fromkeys(elements))
    ends = yield from evaluated([ase.Atoms(s) for s in symbols], "isolated atom")
    return {symbol: end.energy for symbol, end in zip(symbols, ends, strict=True)}


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
            relaxation fails.
        CheckpointError: the file of kept energies cannot be read.
    """
    store = _store(potential, folder)
    starts = {symbol: elemental_ground_state(symbol) for symbol in elements}
    kept = store.read()
    found = {
        symbol: float(kept[symbol]["energy_per_atom"])
        for symbol, atoms in starts.items()
        if _fits(kept, symbol, atoms)
    }
    missing = [symbol for symbol in starts if symbol not in found]
    if missing:
        outcomes = compute(
            _Reference(folder=None if folder is None else str(folder)),
            [starts[symbol] for symbol in missing],
            potential,
            should_stop=should_stop,
        )
        for symbol, outcome in zip(missing, outcomes, strict=True):
            if outcome.status is PropertyStatus.FAILED:
                raise StructureError(outcome.message)
            if outcome.result is not None:
                found[symbol] = outcome.result.energy_per_atom
    return {symbol: found[symbol] for symbol in starts if symbol in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReferenceResult:
    """Energy per atom of an element, eV."""

    energy_per_atom: float
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """None: it is the zero of others."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference(Property[_ReferenceResult]):
    """The element of a structure as a reference, each finished and kept by itself."""

    kind: ClassVar[str] = "reference"
    title: ClassVar[str] = "Energy of an element"

    folder: str | None = None

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[_ReferenceResult]:
        """Relax, or read."""
        (symbol,) = set(atoms.get_chemical_symbols())
        folder = None if self.folder is None else Path(self.folder)
        energies = yield from elemental_references([symbol], potential, folder=folder)
        return _ReferenceResult(energy_per_atom=energies[symbol])


def _settled(
    starts: Mapping[str, ase.Atoms], potential: Potential
) -> Steps[dict[str, End]]:
    """Relax until the energy, if not every force, has come to rest."""
    found: dict[str, End] = {}
    left = dict(starts)
    before = dict.fromkeys(starts, math.inf)
    for round_ in range(_MAX_ROUNDS):
        relaxing = _GOING_ON if round_ else _RELAXING
        ends = yield relaxing.work(list(left.values()))
        for symbol, end in zip(tuple(left), ends, strict=True):
            if end.status not in (Status.CONVERGED, Status.STEP_LIMIT):
                raise _refusal(symbol, potential, end.message)
            gain = (before[symbol] - end.energy) / len(end.atoms)
            if end.status is Status.CONVERGED or gain < _SETTLED:
                found[symbol] = end
                del left[symbol]
            else:
                left[symbol], before[symbol] = end.atoms, end.energy
        if not left:
            return found
    n_steps = _RELAXING.max_steps + (_MAX_ROUNDS - 1) * _GOING_ON.max_steps
    raise _refusal(next(iter(left)), potential, f"No minimum after {n_steps} steps.")


def _refusal(symbol: str, potential: Potential, reason: str) -> StructureError:
    return StructureError(
        f"Elemental {symbol}, the zero of formation energies, cannot be relaxed with "
        f"'{potential.card.name}': {reason} Leave {symbol} out or choose another "
        "potential."
    )


def _store(potential: Potential, folder: Path | None) -> KeptEnergies:
    folder = cache_folder() / "references" if folder is None else folder
    return KeptEnergies(folder, potential.card)


def _fits(kept: Mapping[str, Any], symbol: str, start: ase.Atoms) -> bool:
    return kept.get(symbol, {}).get("start") == fingerprint(start)


def _entry(start: ase.Atoms, end: End) -> dict[str, Any]:
    return {
        "start": fingerprint(start),
        "energy_per_atom": end.energy / len(end.atoms),
        "max_force": end.max_force,
        "status": end.status.name,
        "relaxed": atoms_to_dict(end.atoms),
    }
