"""`DistillationPlan`: a distillation as JSON, for jobs and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import ase
import torch

from gnndesign.errors import ParameterError
from gnndesign.potentials.architectures import architecture, new_potential
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.distill_options import Distillation
from gnndesign.training.plan import BY_LEAST_SQUARES, training_of, with_tuples

_NO_STUDENTS = ("naive", "direct-force", BY_LEAST_SQUARES)
"""The negative controls, and what is not trained by gradients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationPlan:
    """What kind of student is to learn from a potential, and how.

    Attributes:
        architecture: of the student.
        shape: of its network: options of `new_potential`.
        options: fields of `Distillation` that are not the default; `sampling` and
            `training` as dicts.

    Raises:
        ParameterError: no such architecture or option, or one out of range.
    """

    architecture: str = "behler-parrinello"
    shape: Mapping[str, Any] = field(default_factory=dict[str, Any])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        architecture(self.architecture)
        if self.architecture in _NO_STUDENTS:
            raise ParameterError(
                f"Wanted a student that can be distilled, got {self.architecture!r}. "
                "Choose behler-parrinello, soap, invariant or equivariant."
            )
        _ = self.distillation

    @property
    def distillation(self) -> Distillation:
        """The options as `Distillation`."""
        options, start = with_tuples(self.options), Distillation()
        try:
            sampling = replace(start.sampling, **options.pop("sampling", {}))
            training = training_of(options.pop("training", {}), start.training)
            return replace(start, sampling=sampling, training=training, **options)
        except TypeError as error:
            raise ParameterError(
                f"A distillation has no such option: {error}."
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DistillationPlan:
        """Back from `to_dict`."""
        return cls(**data)

    def student(
        self, structures: Sequence[ase.Atoms], device: torch.device | str = "cpu"
    ) -> TrainablePotential[Any]:
        """An untrained student that knows the elements of some structures.

        Raises:
            ParameterError: no structures, or no network has that shape.
        """
        elements = sorted({z for atoms in structures for z in atoms.numbers.tolist()})
        return new_potential(
            self.architecture, elements, device=device, **with_tuples(self.shape)
        )
