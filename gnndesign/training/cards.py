"""The card of a potential that was trained here."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from gnndesign.potentials.base import Card
from gnndesign.potentials.trainable import (
    TrainablePotential,
    count_parameters,
    weights_checksum,
)
from gnndesign.training.dataset import Dataset
from gnndesign.training.options import Training
from gnndesign.training.reports import EpochReport


def trained_card(
    potential: TrainablePotential[Any],
    start: Card,
    *,
    data: Dataset,
    validation: Dataset,
    training: Training,
    report: EpochReport | None,
) -> Card:
    """What a person should know of a potential trained here."""
    fine_tuned = start.training_data != "none: the weights are random"
    source = f"{len(data)} structures of {data.source or 'an unnamed source'}"
    if fine_tuned:
        source = f"{start.training_data}; then {source}"
    return replace(
        start,
        name="trained",
        title=f"{start.title}, fine-tuned" if fine_tuned else start.title,
        level_of_theory=data.level_of_theory or "unknown: the data did not say",
        training_data=source,
        n_parameters=count_parameters(potential.network),
        checksum=weights_checksum(potential.network, potential.parameters),
        notes=(
            *(start.notes if fine_tuned else ()),
            *_says(report),
        ),
        training={
            "architecture": potential.architecture,
            "started_from": start.checksum if fine_tuned else None,
            "data": data.summary().to_dict(),
            "data_checksum": data.checksum,
            "validation": validation.summary().to_dict(),
            "validation_checksum": validation.checksum,
            "epoch": None if report is None else report.epoch,
            "validation_errors": None
            if report is None
            else report.validation.to_dict(),
            "options": asdict(training),
            "units": {"energy": "eV", "length": "Å", "forces": "eV/Å"},
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("gnndesign", "torch", "numpy")},
            },
        },
    )


def _says(report: EpochReport | None) -> tuple[str, ...]:
    if report is None:
        return ("Its training was stopped before the first epoch had ended.",)
    errors = report.validation
    parts = [
        f"{value:.3g} {unit}"
        for value, unit in (
            (errors.energy_mae_meV, "meV an atom"),
            (errors.forces_mae_meV_per_A, "meV/Å"),
            (errors.stress_mae_GPa, "GPa"),
        )
        if not math.isnan(value)
    ]
    return (
        (
            f"Mean absolute errors on {errors.n_structures} validation structures: "
            f"{', '.join(parts)}. Elsewhere it was not tested."
        ),
    )
