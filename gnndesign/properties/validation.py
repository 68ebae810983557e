"""`validate`: a potential's properties against reference data."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property
from gnndesign.properties.compute import Computation, Progress
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.reference_sets import ReferenceSet, Target, reference_set
from gnndesign.properties.reference_structures import APART, Reference
from gnndesign.properties.validation_result import Comparison, Errors, Validation

SAVED_EVERY_S = 30.0
"""Between two writings of a checkpoint."""


def validate(
    which: str,
    potential: Potential,
    *,
    n: int | None = None,
    seed: int = 0,
    whole: bool = False,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Validation:
    """Compute a property over a reference set.

    Args:
        which: name of a `ReferenceSet`.
        potential: what is judged.
        n: structures, chosen by the seed; None for the set's own number.
        seed: of the choice.
        whole: take all structures of the set.
        checkpoint: file for what has ended, which the next run of the same goes on
            from; None to begin anew. It is left for the caller to remove.
        on_progress: told how far it is.
        should_stop: asked after every step; structures that are not through count as
            neither right nor failed: they are left out.

    Raises:
        ParameterError: no such set.
        CheckpointError: the checkpoint is of another potential, set or version.
    """
    wanted = reference_set(which)
    chosen, of = _chosen(wanted, n=n, seed=seed, whole=whole)
    chosen_by = seed if len(chosen) < of else None
    chosen = [ref for ref in chosen if _known(ref, potential)]
    begun = _Begun(wanted, chosen, potential, of=of, seed=chosen_by)
    if checkpoint is not None and checkpoint.exists():
        begun.take_over(Validation.load(checkpoint), checkpoint)
    for how, references in _by_property(wanted, begun.left):
        computation = Computation(how, [ref.atoms for ref in references], potential)
        before = len(begun)
        for progress in computation.iterate(should_stop):
            for outcome in progress.ended:
                begun.take(references[outcome.structure], outcome)
            if checkpoint is not None and progress.ended:
                begun.save_now_and_then(checkpoint)
            if on_progress is not None:
                done = before + progress.done
                on_progress(replace(progress, done=done, total=len(chosen)))
    found = begun.validation()
    if checkpoint is not None:
        found.save(checkpoint)
    return found


class _Begun:
    """Rows of the structures that have ended.

    Args:
        wanted: the set.
        references: all that are asked for.
        potential: what is judged.
        of: structures in the whole set.
        seed: that chose the sample.
    """

    def __init__(
        self,
        wanted: ReferenceSet,
        references: Sequence[Reference],
        potential: Potential,
        *,
        of: int,
        seed: int | None,
    ) -> None:
        self._wanted, self._references = wanted, references
        self._potential, self._of, self._seed = potential, of, seed
        self._rows: dict[str, tuple[Comparison, ...]] = {}
        self._begin = self._saved = time.perf_counter()
        self._seconds_before = 0.0

    def __len__(self) -> int:
        """Number of structures that have ended."""
        return len(self._rows)

    @property
    def left(self) -> list[Reference]:
        """Structures that have not."""
        return [ref for ref in self._references if ref.name not in self._rows]

    def take(self, reference: Reference, outcome: Outcome[Any]) -> None:
        """Keep what a structure ended with, but for one that was stopped."""
        if outcome.status is not PropertyStatus.STOPPED:
            rows = _compare(self._wanted, reference, outcome)
            self._rows[reference.name] = tuple(rows)

    def take_over(self, earlier: Validation, path: Path) -> None:
        """Go on from what an earlier run had.

        Raises:
            CheckpointError: that was of something else.
        """
        now = self.validation()
        for what in ("potential", "checksum", "reference_set", "versions"):
            if getattr(earlier, what) != getattr(now, what):
                raise CheckpointError(
                    f"{path} was begun with {what} {getattr(earlier, what)!r}; wanted "
                    f"{getattr(now, what)!r}. Delete it to begin anew."
                )
        names = {reference.name for reference in self._references}
        for row in earlier.rows:
            if row.name in names:
                self._rows[row.name] = (*self._rows.get(row.name, ()), row)
        self._seconds_before = earlier.seconds

    def save_now_and_then(self, path: Path) -> None:
        """Write what there is, unless that was done a moment ago."""
        if time.perf_counter() - self._saved > SAVED_EVERY_S:
            self.validation().save(path)
            self._saved = time.perf_counter()

    def validation(self) -> Validation:
        """Of what has ended."""
        rows = [row for ref in self._references for row in self._rows.get(ref.name, ())]
        card = self._potential.card
        return Validation(
            potential=card.name,
            checksum=card.checksum,
            reference_set=self._wanted.name,
            level=self._wanted.level,
            of=self._of,
            seed=self._seed,
            seconds=self._seconds_before + time.perf_counter() - self._begin,
            device=str(self._potential.device),
            errors=tuple(_errors(self._wanted, rows, card.name)),
            rows=tuple(rows),
            versions={name: version(name) for name in ("gnndesign", "torch")},
            date=datetime.now(UTC).date().isoformat(),
        )


def _chosen(
    wanted: ReferenceSet, *, n: int | None, seed: int, whole: bool
) -> tuple[list[Reference], int]:
    everything = wanted.load()
    if n is not None and n < 1:
        raise ParameterError(f"Wanted n >= 1 structures, got {n}.")
    count = len(everything) if whole else (n or wanted.sample or len(everything))
    if count >= len(everything):
        return everything, len(everything)
    places = random.Random(seed).sample(range(len(everything)), count)  # noqa: S311
    return [everything[place] for place in sorted(places)], len(everything)


def _known(reference: Reference, potential: Potential) -> bool:
    """A potential of few elements is judged by those."""
    return set(reference.atoms.numbers.tolist()) <= set(potential.card.elements)


def _by_property(
    wanted: ReferenceSet, references: Sequence[Reference]
) -> Iterator[tuple[Property[Any], list[Reference]]]:
    """Structures that are computed in the same way, together."""
    groups: dict[Property[Any], list[Reference]] = {}
    for reference in references:
        groups.setdefault(reference.how or wanted.how, []).append(reference)
    yield from groups.items()


def _compare(
    wanted: ReferenceSet, reference: Reference, outcome: Outcome[Any]
) -> Iterator[Comparison]:
    values: dict[str, float] = {}
    message = outcome.message
    if outcome.result is not None:
        values = {q.key: q.value for q in outcome.result.quantities()}
        message = " ".join(outcome.result.notes)
    for target in wanted.targets:
        if target.key not in reference.values:
            continue
        value = values.get(target.key, math.nan)
        if target.of_cell:
            value *= len(reference.atoms)
        yield Comparison(
            name=reference.name,
            formula=outcome.formula,
            group=reference.group,
            key=target.key,
            reference=reference.values[target.key],
            predicted=value if math.isfinite(value) else None,
            message="" if math.isfinite(value) else message,
        )


def _errors(
    wanted: ReferenceSet, rows: Sequence[Comparison], potential: str
) -> Iterator[Errors]:
    for target in wanted.targets:
        for group in ("", APART):
            part = [row for row in rows if row.key == target.key and row.group == group]
            if part:
                yield _errors_of(target, group, part, potential)


def _errors_of(
    target: Target, group: str, rows: Sequence[Comparison], potential: str
) -> Errors:
    missed = [
        (row.predicted - row.reference)
        * (100.0 / abs(row.reference) if target.relative else 1.0)
        for row in rows
        if row.predicted is not None
    ]
    sizes = [abs(miss) for miss in missed]
    published, source = (
        target.published.get(potential, (None, "")) if not group else (None, "")
    )
    return Errors(
        key=target.key,
        name=target.name,
        unit="%" if target.relative else target.unit,
        group=group,
        n=len(missed),
        failed=len(rows) - len(missed),
        mean_absolute=mean(sizes) if sizes else math.nan,
        median_absolute=median(sizes) if sizes else math.nan,
        bias=mean(missed) if missed else math.nan,
        published=published,
        published_source=source,
    )
