"""A potential's properties against reference data: `validate`, and what was found.

The runs of the potentials that ship with gnndesign are kept beside this file, in
`validations/`; `validations_of` reads them for the potential's card.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from statistics import mean, median
from typing import Any

from gnndesign.disk import write_atomically
from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property
from gnndesign.properties.compute import Computation, Progress
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.reference_sets import (
    APART,
    Reference,
    ReferenceSet,
    Target,
    reference_set,
)

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One number of one structure beside its reference.

    Attributes:
        name: of the structure in the set.
        formula: of the structure.
        group: `APART` or empty.
        key: of the quantity.
        reference: what it should be.
        predicted: what the potential gives; None where there is no number.
        message: why there is none.
    """

    name: str
    formula: str
    group: str
    key: str
    reference: float
    predicted: float | None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How well one quantity is predicted.

    Attributes:
        key: of the quantity.
        name: of the quantity.
        unit: of the errors, "%" where they are relative to the reference.
        group: `APART`, or empty for all others.
        n: structures with a number.
        failed: structures without.
        mean_absolute: of predicted minus reference; NaN for none.
        median_absolute: likewise; tells of outliers where it is much smaller.
        bias: mean of predicted minus reference.
        published: mean absolute error that was published of this potential; None for
            none.
        published_source: where.
    """

    key: str
    name: str
    unit: str
    group: str
    n: int
    failed: int
    mean_absolute: float
    median_absolute: float
    bias: float
    published: float | None = None
    published_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A potential beside a reference set.

    Attributes:
        potential: name of it.
        checksum: of its weights.
        reference_set: name of the set.
        level: of theory of the references.
        of: structures in the whole set; those with elements that the potential does
            not know are left out.
        seed: that chose the sample; None for the whole set.
        seconds: that it took.
        device: it ran on.
        errors: one a quantity and group.
        rows: one a structure and quantity.
        versions: of packages.
        date: ISO.
    """

    potential: str
    checksum: str
    reference_set: str
    level: str
    of: int
    seed: int | None
    seconds: float
    device: str
    errors: tuple[Errors, ...]
    rows: tuple[Comparison, ...]
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    date: str = ""

    @property
    def n(self) -> int:
        """Number of structures asked for."""
        return len({row.name for row in self.rows})

    def save(self, path: Path | str) -> None:
        """Write as JSON."""
        content = {"format": FORMAT, **asdict(self)}
        write_atomically(Path(path), json.dumps(_without_nan(content), indent=1))

    @classmethod
    def load(cls, path: Path | str) -> Validation:
        """Read what `save` wrote.

        Raises:
            CheckpointError: it is something else.
        """
        return _read(Path(path).read_text(encoding="utf-8"), str(path))


def validate(
    which: str,
    potential: Potential,
    *,
    n: int | None = None,
    seed: int = 0,
    whole: bool = False,
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
        on_progress: told how far it is.
        should_stop: asked after every step; structures that are not through count as
            neither right nor failed: they are left out.

    Raises:
        ParameterError: no such set.
    """
    wanted = reference_set(which)
    chosen, of = _chosen(wanted, n=n, seed=seed, whole=whole)
    sampled = len(chosen) < of
    chosen = [ref for ref in chosen if _known(ref, potential)]
    begin = time.perf_counter()
    outcomes: list[Outcome[Any]] = []
    for how, references in _by_property(wanted, chosen):
        computation = Computation(how, [ref.atoms for ref in references], potential)
        for progress in computation.iterate(should_stop):
            if on_progress is not None:
                done = len(outcomes) + progress.done
                on_progress(_of_all(progress, done, len(chosen)))
        found = computation.outcomes
        outcomes += [found[place, 0] for place in range(len(references))]
    in_order = [ref for _, group in _by_property(wanted, chosen) for ref in group]
    rows = [
        row
        for reference, outcome in zip(in_order, outcomes, strict=True)
        if outcome.status is not PropertyStatus.STOPPED
        for row in _compare(wanted, reference, outcome)
    ]
    card = potential.card
    return Validation(
        potential=card.name,
        checksum=card.checksum,
        reference_set=wanted.name,
        level=wanted.level,
        of=of,
        seed=seed if sampled else None,
        seconds=time.perf_counter() - begin,
        device=str(potential.device),
        errors=tuple(_errors(wanted, rows, card.name)),
        rows=tuple(rows),
        versions={name: version(name) for name in ("gnndesign", "torch")},
        date=datetime.now(UTC).date().isoformat(),
    )


def validations_of(potential: str, checksum: str) -> tuple[Validation, ...]:
    """What was measured of a potential that ships with gnndesign.

    Args:
        potential: its name.
        checksum: of its weights; those of others do not count.
    """
    return tuple(
        found
        for found in _shipped()
        if found.potential == potential and found.checksum == checksum
    )


def measured(potential: str, checksum: str) -> tuple[str, ...]:
    """What a card says of a potential's errors, one sentence a quantity."""
    return tuple(
        f"{errors.name}: {_in_words(found, errors)}"
        for found in validations_of(potential, checksum)
        for errors in found.errors
        if not errors.group and errors.n
    )


def known_error(potential: str, checksum: str, kind: str, key: str) -> str:
    """What to print beside a value: "MAE 12 GPa on 71 elements"; empty if unknown.

    Args:
        potential: name.
        checksum: of its weights.
        kind: of the property.
        key: of the quantity.
    """
    for found in validations_of(potential, checksum):
        if reference_set(found.reference_set).how.kind != kind:
            continue
        for errors in found.errors:
            if errors.key == key and not errors.group and errors.n:
                return _in_words(found, errors)
    return ""


def _in_words(found: Validation, errors: Errors) -> str:
    title = reference_set(found.reference_set).title
    title = title[0].lower() + title[1:]
    words = (
        f"MAE {errors.mean_absolute:.2g} {errors.unit} on {errors.n} of {title} "
        f"({found.level})"
    )
    if errors.failed:
        words += f", {errors.failed} without a number"
    if errors.published is not None:
        words += f"; published {errors.published:g} ({errors.published_source})"
    return words + "."


@cache
def _shipped() -> tuple[Validation, ...]:
    folder = files("gnndesign.properties").joinpath("validations")
    return tuple(
        _read(path.read_text(encoding="utf-8"), path.name)
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".json")
    )


def _read(text: str, name: str) -> Validation:
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise CheckpointError(f"{name}: wanted a validation of format {FORMAT}.")
        errors: list[dict[str, Any]] = content.pop("errors")
        rows = content.pop("rows")
        return Validation(
            errors=tuple(Errors(**(row | _nan_again(row))) for row in errors),
            rows=tuple(Comparison(**row) for row in rows),
            **content,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{name} is no validation: {error}") from error


_NUMBERS = ("mean_absolute", "median_absolute", "bias")


def _nan_again(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan for key in _NUMBERS if row[key] is None}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


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


def _of_all(progress: Progress, done: int, total: int) -> Progress:
    return Progress(
        done=done, total=total, message=progress.message, ended=progress.ended
    )


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
