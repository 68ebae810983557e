"""What a job is: everything that is needed to run it again, as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import version
from typing import Any

import ase

from gnndesign.errors import JobError
from gnndesign.potentials.catalog import potential_card
from gnndesign.structures.convert import atoms_from_dict, atoms_to_dict

FORMAT = 1
_PACKAGES = ("gnndesign", "torch", "ase", "numpy", "llvmlite", "vesin", "optuna")


class JobKind(StrEnum):
    """What a job does."""

    RELAX = "relax"
    DYNAMICS = "dynamics"
    SEARCH = "search"
    TRAIN = "train"
    FINE_TUNE = "fine_tune"
    DISTILL = "distill"
    PARETO = "pareto"
    PROPERTIES = "properties"
    CHECK = "check"
    """Of the winners of a search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job that has not happened yet.

    Attributes:
        kind: what it does.
        title: what a person calls it.
        structures: as `atoms_to_dict` gives them; empty for a search or training.
        potential: a name that `load_potential` knows: the one that is fine-tuned, or
            the teacher of a distillation; empty for a training.
        potential_checksum: of the weights; a job does not run on others.
        device: as `load_potential` takes it; None lets the worker choose.
        parameters: of `relax`, `molecular_dynamics` or `search_compositions`, a
            `TrainingPlan`, `FineTuningPlan` or `DistillationPlan`, or those of `pareto_parameters` or `properties_parameters`.
        versions: of the packages that matter, and of Python.
    """

    kind: JobKind
    title: str
    structures: tuple[Mapping[str, Any], ...]
    potential: str
    potential_checksum: str
    device: str | None
    parameters: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        kind: JobKind | str,
        *,
        potential: str = "",
        structures: Sequence[ase.Atoms] = (),
        parameters: Mapping[str, Any],
        device: str | None = None,
        title: str | None = None,
    ) -> JobSpec:
        """A spec with the checksum of the potential and today's versions.

        Raises:
            ParameterError: no potential of this name.
            StructureError: a structure cannot be written as JSON without loss.
        """
        kind = JobKind(kind)
        formulas = ", ".join(
            atoms.get_chemical_formula("metal") for atoms in structures[:3]
        )
        more = f" and {len(structures) - 3} more" if len(structures) > 3 else ""
        return cls(
            kind=kind,
            title=title or f"{kind} {formulas}{more}".strip(),
            structures=tuple(atoms_to_dict(atoms) for atoms in structures),
            potential=potential,
            potential_checksum=potential and potential_card(potential).checksum,
            device=device,
            parameters=dict(parameters),
            versions={
                "python": platform.python_version(),
                **{package: version(package) for package in _PACKAGES},
            },
        )

    def atoms(self) -> list[ase.Atoms]:
        """The structures."""
        return [atoms_from_dict(data) for data in self.structures]

    def to_json(self) -> str:
        """As text.

        Raises:
            JobError: a parameter is not what JSON can hold.
        """
        try:
            return json.dumps(
                {"format": FORMAT, **asdict(self)}, allow_nan=False, indent=1
            )
        except (TypeError, ValueError) as error:
            raise JobError(
                f"Job '{self.title}' cannot be written: {error}. Wanted numbers, text, "
                "None, and lists and dicts of these."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> JobSpec:
        """Back from text.

        Raises:
            JobError: not a job of this version.
        """
        try:
            data = json.loads(text)
            if data.pop("format") != FORMAT:
                raise JobError(
                    f"Wanted a job of format {FORMAT}; use the gnndesign that wrote it."
                )
            kind, structures = JobKind(data.pop("kind")), tuple(data.pop("structures"))
            return cls(kind=kind, structures=structures, **data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JobError(f"This is no job specification: {error}") from error
