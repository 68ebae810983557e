"""What a worker does to compute properties, and what it leaves in the job's folder.

outcomes.jsonl  a line an outcome, appended when it has ended: {"structure": its place,
                "property": the place of the property, "outcome": ...}
parameters/     structures that are parameters, once a form shows them
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import ase
import ase.io

from gnndesign.disk import replacing
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import Computation
from gnndesign.properties.from_text import texts_of
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.plain import from_plain, to_plain

Key: TypeAlias = tuple[int, int]
"""Place of the structure, place of the property."""


def properties_parameters(
    properties: Sequence[Property[Any]], names: Sequence[str] = ()
) -> dict[str, Any]:
    """The parameters of a job of this kind, as JSON holds them.

    Args:
        properties: one or more, also of the same kind.
        names: of the structures, for a person; empty for their formulas.
    """
    return {
        "properties": [
            {"kind": each.kind, "parameters": to_plain(each)["fields"]}
            for each in properties
        ],
        "names": list(names),
    }


def properties_of(spec: JobSpec) -> list[Property[Any]]:
    """The properties that a job computes.

    Raises:
        ParameterError: there is no such property in this version.
    """
    return [
        new_property(each["kind"], **each["parameters"])
        for each in spec.parameters["properties"]
    ]


def typed_parameters(store: JobStore, wanted: Property[Any]) -> dict[str, str]:
    """What one would type into a form for a property of a job.

    Args:
        store: of the job; structures that are parameters are written into its folder.
        wanted: of the job.

    Returns:
        As `property_from_text` takes it; what has its default is left out.

    Raises:
        OSError: the folder cannot be written to.
    """

    def save(name: str, structures: Sequence[ase.Atoms]) -> str:
        path = store.folder / "parameters" / f"{wanted.kind}.{name}.traj"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with replacing(path) as partial:
                ase.io.write(partial, list(structures), format="traj")
        return str(path)

    return texts_of(wanted, save)


def structure_names(spec: JobSpec) -> list[str]:
    """What a person calls the structures of a job of this kind."""
    names = spec.parameters.get("names")
    return list(names or [a.get_chemical_formula("metal") for a in spec.atoms()])


def outcomes_file(store: JobStore) -> Path:
    """Where a job's outcomes are."""
    return store.folder / "outcomes.jsonl"


def read_outcomes(store: JobStore) -> list[Outcome[Any]]:
    """The outcomes of a job so far, structure by structure.

    Raises:
        CheckpointError: they were written by another version.
    """
    reader = OutcomesReader(store)
    reader.refresh()
    return [reader.outcomes[key] for key in sorted(reader.outcomes)]


class OutcomesReader:
    """The outcomes of a job, read bit by bit while it grows.

    A line that is not complete, because it is being written or because its writer was
    killed, is left for later.
    """

    def __init__(self, store: JobStore) -> None:
        self._path = outcomes_file(store)
        self._outcomes: dict[Key, Outcome[Any]] = {}
        self.offset = 0

    @property
    def outcomes(self) -> Mapping[Key, Outcome[Any]]:
        """By place of the structure and place of the property."""
        return MappingProxyType(self._outcomes)

    def refresh(self) -> bool:
        """Read what was written since; whether there was anything.

        Raises:
            CheckpointError: it was written by another version.
        """
        if not self._path.is_file():
            return False
        with self._path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        end = text.rfind(b"\n") + 1
        for line in text[:end].splitlines():
            row = json.loads(line)
            key = int(row["structure"]), int(row["property"])
            self._outcomes[key] = from_plain(row["outcome"])
        self.offset += end
        return end > 0


class OutcomesWriter:
    """Appends outcomes, each at once and never one twice."""

    def __init__(self, store: JobStore) -> None:
        self._path = outcomes_file(store)
        reader = OutcomesReader(store)
        reader.refresh()
        self.written = dict(reader.outcomes)
        if self._path.exists() and self._path.stat().st_size > reader.offset:
            # A line cut short by the death of a worker.
            os.truncate(self._path, reader.offset)

    def take(self, outcomes: Mapping[Key, Outcome[Any]]) -> None:
        """Write those that are new; what was stopped is not, so that it is resumed."""
        new = {
            key: outcome
            for key, outcome in outcomes.items()
            if key not in self.written and outcome.status is not PropertyStatus.STOPPED
        }
        if not new:
            return
        with self._path.open("a", encoding="utf-8") as file:
            for (structure, which), outcome in new.items():
                row = {
                    "structure": structure,
                    "property": which,
                    "outcome": to_plain(outcome),
                }
                file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.written |= new


def run_properties(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Compute properties; a resumed job computes those that have no outcome yet."""
    properties = properties_of(spec)
    structures = spec.atoms()
    total = len(properties) * len(structures)
    writer = OutcomesWriter(store)
    if len(writer.written) < total:
        computation = Computation(
            properties, structures, potential, skip=writer.written.keys()
        )
        for progress in computation.iterate(control.should_stop):
            if progress.ended:
                with control.guard:
                    writer.take(computation.outcomes)
            yield Progress(
                done=len(writer.written), total=total, message=progress.message
            )
    yield Progress(
        done=len(writer.written), total=total, message=_summary(writer.written, total)
    )


def _summary(written: Mapping[Key, Outcome[Any]], total: int) -> str:
    """How many came out, and why the first that failed did."""
    failed = [o for o in written.values() if o.status is PropertyStatus.FAILED]
    said = f"{len(written) - len(failed)} of {total} computed"
    if not failed:
        return f"{said}."
    return f"{said}, {len(failed)} failed. {failed[0].formula}: {failed[0].message}"
