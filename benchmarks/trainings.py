"""Trainings that benchmarks share: done once, kept, and gone on with where cut."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from harness import ROOT, device_name, versions

from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import evaluate
from gnndesign.training.loss import Loss
from gnndesign.training.options import Training
from gnndesign.training.results import train
from gnndesign.training.sparse_kernel import fit_sparse_kernel

Row = dict[str, Any]

FOLDER = ROOT / "build" / "benchmarks"
"""Trainings take hours; what is here and was made with the same settings is not made
again."""


def parse_names(description: str, names: str) -> argparse.Namespace:
    """Arguments of a benchmark of trainings: `names`, `quick` and `check`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", help=names)
    parser.add_argument("--quick", action="store_true", help="a few epochs of one")
    parser.add_argument("--check", action="store_true", help="exit 1 if a claim fails")
    return parser.parse_args()


def kept(name: str, settings: Mapping[str, Any]) -> Row | None:
    """What an earlier training of this name and these settings gave."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        return None
    row: Row = json.loads(path.read_text("utf-8"))
    return row if row["settings"] == plain(settings) else None


def learned(
    name: str,
    settings: Mapping[str, Any],
    data: Dataset,
    validation: Dataset,
    tests: Mapping[str, Dataset],
) -> Row:
    """Train, or take what is kept; the errors on each of the test sets.

    Args:
        name: of the files in `FOLDER`.
        settings: "architecture", "shape", "loss", and fields of `Training`.
        data: to learn from.
        validation: to choose the best epoch by.
        tests: to report errors on; the only one's stand in the row, those of several
            under their names.
    """
    row = kept(name, settings)
    if row is not None:
        return row
    FOLDER.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    how = dict(settings)
    architecture, shape = how.pop("architecture"), how.pop("shape")
    start = new_potential(architecture, data.elements, seed=0, **shape)
    if architecture == "soap-kernel":
        potential = fitted(start, Dataset.concatenate([data, validation]))
    else:
        loss = Loss(**how.pop("loss"))
        checkpoint = FOLDER / f"{name}.pt"
        result = train(
            start,
            data,
            validation,
            Training(loss=loss, **how),
            checkpoint=checkpoint,
            on_moment=lambda moment: (
                moment.report
                and moment.report.epoch % 10 == 0
                and say(
                    f"  {name}, epoch {moment.report.epoch}: "
                    f"{moment.report.validation.forces_mae_meV_per_A:.3g} meV/Å"
                )
            ),
        )
        assert result is not None
        potential = result.potential
    seconds = time.perf_counter() - begin
    save_potential(potential, FOLDER / f"{name}.safetensors")
    errors = {
        key: evaluate(potential, test).errors.to_dict() for key, test in tests.items()
    }
    row = {
        "architecture": architecture,
        "parameters": potential.card.n_parameters,
        "train_s": seconds,
        **(next(iter(errors.values())) if len(errors) == 1 else errors),
        "settings": plain(settings),
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "versions": versions("torch"),
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(row, indent=1), "utf-8")
    (FOLDER / f"{name}.pt").unlink(missing_ok=True)
    return row


def potential_of(name: str) -> Any:
    """The potential that a training of this name gave."""
    return load_potential(FOLDER / f"{name}.safetensors", "cpu")


def fitted(potential: Any, data: Dataset) -> Any:
    """A sparse kernel, which has no epochs."""
    return fit_sparse_kernel(
        potential,
        data.structures,
        data.energy,
        data.forces,
        data.stress,
        sigma_energy=0.002,
        sigma_force=0.05,
        sigma_stress=0.005,
    )


def plain(value: Mapping[str, Any]) -> Row:
    """As it comes back from JSON."""
    return json.loads(json.dumps(dict(value)))


def say(text: str) -> None:
    """To whoever waits."""
    sys.stderr.write(text + "\n")
