"""The symmetry audit: what a potential promises, measured.

`audit` gives numbers where `gnndesign.potentials.conformance` raises: how large each
violation is beside what rounding explains, for potentials that keep a promise and those
that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import ase

from gnndesign.errors import GNNDesignError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.potentials.conformance.tolerance import Tolerance
from gnndesign.training.audit_subject import AuditSettings, Subject
from gnndesign.training.dynamics_checks import closed_loop, nve_drift, timestep_of
from gnndesign.training.rotations import adversarial_rotations, rotation_violation
from gnndesign.training.symmetry_checks import (
    Measurement,
    extensivity,
    inversion,
    permutation,
    rotation,
    smoothness,
    translation,
    worst_of_rotations,
)
from gnndesign.training.worst_rotation import WorstRotation, worst_rotation

__all__ = [
    "Audit",
    "AuditRow",
    "AuditSettings",
    "WorstRotation",
    "adversarial_rotations",
    "audit",
    "rotation_violation",
    "worst_rotation",
]

LARGEST_DRIFT = 1.0
"""meV an atom and ps, by which a solid warms up by 4 K a ps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One number of an audit.

    Attributes:
        name: short, such as "rotation: energy".
        measures: what the number is, in a sentence.
        value: None where it could not be measured.
        unit: of value and bound.
        bound: up to which rounding and integration explain it.
        passed: whether `value` is within `bound`; None where it is not applicable.
        note: why it is not applicable or failed without a number, or how it was
            measured.
    """

    name: str
    measures: str
    value: float | None
    unit: str
    bound: float
    passed: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All numbers of one potential.

    Attributes:
        potential: its name.
        title: the name its authors gave it.
        dtype: the floating type it computes in, which sets the bounds.
        structures: formulas of what it was audited with.
        seed: of everything that was drawn.
        rows: in the order of `audit`.
    """

    potential: str
    title: str
    dtype: str
    structures: tuple[str, ...]
    seed: int
    rows: tuple[AuditRow, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(row.passed is not False for row in self.rows)

    def __getitem__(self, name: str) -> AuditRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        found = asdict(self)
        return {**found, "structures": list(self.structures), "passed": self.passed}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    """A number that a measurement gives."""

    name: str
    measures: str
    unit: str
    bound: Callable[[Tolerance], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A measurement and the numbers it gives, in their order."""

    measure: Measurement
    numbers: tuple[_Number, ...]
    note: Callable[[Subject], str] = field(default=lambda _: "")


def _pair(name: str, after: str) -> tuple[_Number, _Number]:
    return (
        _Number(
            name=f"{name}: energy",
            measures=f"largest change of the energy an atom {after}",
            unit="eV/atom",
            bound=lambda tolerance: tolerance.energy,
        ),
        _Number(
            name=f"{name}: forces",
            measures=f"largest error of the force on an atom {after}",
            unit="eV/Å",
            bound=lambda tolerance: tolerance.forces,
        ),
    )


def _steps(subject: Subject) -> str:
    settings = subject.settings
    return (
        f"{settings.nve_steps} steps of {timestep_of(subject):g} fs, begun at "
        f"{settings.temperature_K:g} K"
    )


_CHECKS: tuple[_Check, ...] = (
    _Check(measure=permutation, numbers=_pair("permutation", "in another order")),
    _Check(measure=translation, numbers=_pair("translation", "moved and wrapped")),
    _Check(measure=rotation, numbers=_pair("rotation", "under random rotations")),
    _Check(
        measure=worst_of_rotations,
        numbers=_pair("worst rotation", "under the worst rotation found"),
        note=lambda subject: (
            f"{subject.settings.ascent_starts} searches of "
            f"{subject.settings.ascent_steps} steps"
        ),
    ),
    _Check(measure=inversion, numbers=_pair("inversion", "of the mirror image")),
    _Check(
        measure=extensivity,
        numbers=(
            _Number(
                name="extensivity",
                measures="energy an atom of two copies less that of one",
                unit="eV/atom",
                bound=lambda tolerance: tolerance.energy,
            ),
        ),
    ),
    _Check(measure=smoothness, numbers=_pair("cutoff", "across the cutoff")),
    _Check(
        measure=closed_loop,
        numbers=(
            _Number(
                name="closed loop",
                measures="work of the forces around a closed loop, by its length",
                unit="eV/Å",
                bound=lambda tolerance: max(tolerance.forces, 1e-5),
            ),
            _Number(
                name="work and energy",
                measures="largest difference of work and energy along the loop",
                unit="eV/atom",
                bound=lambda tolerance: max(10.0 * tolerance.energy, 1e-5),
            ),
        ),
        note=lambda subject: (
            f"{subject.settings.loop_points} points on circles of "
            f"{subject.settings.loop_radius:g} Å"
        ),
    ),
    _Check(
        measure=nve_drift,
        numbers=(
            _Number(
                name="NVE drift",
                measures="drift of the total energy at constant energy",
                unit="meV/atom/ps",
                bound=lambda _: LARGEST_DRIFT,
            ),
        ),
        note=_steps,
    ),
)


def audit(
    potential: Potential,
    structures: Sequence[ase.Atoms],
    *,
    seed: int = 0,
    settings: AuditSettings | None = None,
    say: Callable[[str], None] | None = None,
) -> Audit:
    """Measure what a potential promises.

    Order of atoms, place, direction (random rotations, and the worst found by
    maximisation) and handedness change nothing; energy is extensive, and smooth where
    pairs reach the cutoff; forces do no work around a closed loop, and are the gradient
    of the energy; total energy does not drift in dynamics at constant energy. Bounds
    are those of the conformance suite in the floating type of the potential.

    Args:
        potential: any.
        structures: a few that it knows the elements of, best distorted: where symmetry
            makes a force zero, nothing is measured.
        seed: of everything that is drawn.
        settings: how much work to do.
        say: told after each measurement.

    Raises:
        StructureError: no structure, or one that cannot be used.
        UnsupportedElementError: the potential does not know an element.
    """
    if not structures:
        raise StructureError("Wanted at least one structure to audit with, got none.")
    subject = Subject(potential, structures, settings or AuditSettings(), seed)
    rows: list[AuditRow] = []
    for check in _CHECKS:
        rows += _rows(subject, check)
        if say is not None:
            say("; ".join(map(_sentence, rows[-len(check.numbers) :])))
    return Audit(
        potential=potential.card.name,
        title=potential.card.title,
        dtype=str(potential.dtype).removeprefix("torch."),
        structures=tuple(atoms.get_chemical_formula() for atoms in subject.structures),
        seed=seed,
        rows=tuple(rows),
    )


def _rows(subject: Subject, check: _Check) -> list[AuditRow]:
    values: tuple[float | None, ...] = (None,) * len(check.numbers)
    note, passed = check.note(subject), None
    subject.notes.clear()
    try:
        found = check.measure(subject)
        if isinstance(found, str):
            note = found
        else:
            values = found
            note = ". ".join(filter(None, (note, *subject.notes)))
    except GNNDesignError as error:
        note = str(error)
        # Where two copies cannot be computed, that is the answer.
        passed = False if check.measure is extensivity else None
    return [
        AuditRow(
            name=number.name,
            measures=number.measures,
            value=value,
            unit=number.unit,
            bound=number.bound(subject.tolerance),
            # A NaN is not within the bound.
            passed=passed
            if value is None
            else value <= number.bound(subject.tolerance),
            note=note,
        )
        for number, value in zip(check.numbers, values, strict=True)
    ]


def _sentence(row: AuditRow) -> str:
    if row.value is None:
        return f"{row.name}: {'failed' if row.passed is False else 'not applicable'}"
    verdict = "passed" if row.passed else f"failed (up to {row.bound:.1g})"
    return f"{row.name}: {row.value:.2g} {row.unit}, {verdict}"
