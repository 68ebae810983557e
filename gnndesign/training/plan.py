"""`TrainingPlan`: a training as JSON, for jobs, the command line and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from ase.data import chemical_symbols

from gnndesign.errors import ParameterError
from gnndesign.potentials.architectures import architecture, new_potential
from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.dataset import Dataset
from gnndesign.training.dataset_files import load_dataset
from gnndesign.training.options import Training

BY_LEAST_SQUARES = "soap-kernel"
"""The architecture that `fit_sparse_kernel` fits in one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is to be trained on what, and how.

    Attributes:
        data: file or folder of labelled structures, as `load_dataset` takes it.
        validation: another one; None to take a part of `data`.
        validation_share: that part.
        split_by: "structure", or "group" to keep groups on one side.
        split_seed: of the choice.
        architecture: of a new network; None to go on from `start`.
        shape: of a new network: options of `new_potential`.
        elements: symbols that a new network shall know; empty for those of the data.
        start: name or file of a potential to fine-tune; None for a new network.
        seed: of a new network's weights.
        options: fields of `Training` that are not the default; `loss` as a dict.

    Raises:
        ParameterError: neither an architecture nor a start, or both; or an option out
            of range.
    """

    data: str
    validation: str | None = None
    validation_share: float = 0.1
    split_by: Literal["structure", "group"] = "structure"
    split_seed: int = 0
    architecture: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict[str, Any])
    elements: tuple[str, ...] = ()
    start: str | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(self.elements))
        if (self.architecture is None) == (self.start is None):
            raise ParameterError(
                "Wanted either an architecture for a new potential or one to start "
                f"from, got {self.architecture!r} and {self.start!r}."
            )
        if self.architecture is not None:
            architecture(self.architecture)
        if self.architecture == BY_LEAST_SQUARES:
            raise ParameterError(
                "A sparse kernel is not trained by gradients. Fit it with "
                "gnndesign.training.sparse_kernel.fit_sparse_kernel."
            )
        if not 0 < self.validation_share < 1:
            raise ParameterError(
                "Wanted a share of the data for validation between 0 and 1, got "
                f"{self.validation_share}."
            )
        _ = self.training

    @property
    def training(self) -> Training:
        """The options as `Training`."""
        return training_of(self.options, Training())

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingPlan:
        """Back from `to_dict`."""
        return cls(**with_tuples(data))

    def load_data(self) -> tuple[Dataset, Dataset]:
        """The structures to learn from, and those to choose the best epoch by.

        Raises:
            StructureError: a file cannot be read, or a label makes no sense.
            ParameterError: too few structures to split.
        """
        data = load_dataset(Path(self.data))
        if self.validation is not None:
            return data, load_dataset(Path(self.validation))
        rest, share = 1.0 - self.validation_share, self.validation_share
        kept, aside = data.split([rest, share], seed=self.split_seed, by=self.split_by)
        return kept, aside

    def begin(
        self, data: Dataset, device: torch.device | str = "cpu"
    ) -> TrainablePotential[Any]:
        """The potential before training.

        Raises:
            ParameterError: no such architecture, shape or potential, or one that
                cannot be trained here.
        """
        if self.start is not None:
            return require_trainable(load_potential(self.start, device))
        assert self.architecture is not None
        symbols = self.elements or tuple(chemical_symbols[z] for z in data.elements)
        shape = with_tuples(self.shape)
        if self.architecture == "naive" and "atomic_numbers" not in shape:
            # It knows one molecule: that of the data.
            shape["atomic_numbers"] = tuple(data.structures[0].numbers.tolist())
        return new_potential(
            self.architecture, symbols, seed=self.seed, device=device, **shape
        )


def training_of(options: Mapping[str, Any], start: Training) -> Training:
    """A training with some options changed, as JSON holds them.

    Args:
        options: fields of `Training`; `loss` as a dict.
        start: has the others.

    Raises:
        ParameterError: no such option, or one out of range.
    """
    changes = with_tuples(options)
    loss = with_tuples(changes.pop("loss", {}))
    try:
        return replace(start, loss=replace(start.loss, **loss), **changes)
    except TypeError as error:
        raise ParameterError(f"Training has no such option: {error}.") from error


def require_trainable(potential: Potential) -> TrainablePotential[Any]:
    """The potential, if it can be trained.

    Raises:
        ParameterError: it cannot.
    """
    if not isinstance(potential, TrainablePotential):
        raise ParameterError(
            f"Wanted a potential that can be trained, got '{potential.card.name}', "
            "whose weights are not one network of ours. Choose a SevenNet, or a file "
            "that save_potential wrote of a single network."
        )
    return potential


def with_tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where the parameters have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
