"""`Trainer`: the loop that trains a potential, batch by batch, and can be cut anywhere.

Everything random is a function of the seed and of the epoch or step, so that a run
that is taken up again from a checkpoint goes on as if it had never ended.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.errors import CheckpointError, FitError
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.batches import LabeledBatch, TrainingSet
from gnndesign.training.cards import trained_card
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import Parity, evaluate_set
from gnndesign.training.loss import ENERGY_UNIT
from gnndesign.training.options import Training
from gnndesign.training.preparation import (
    calibrate,
    check_labels,
    optimizer_of,
    trained_weights,
    working_copy,
)
from gnndesign.training.reports import EpochReport, Moment
from gnndesign.training.rotations import (
    adversarial_rotations,
    random_rotations,
    rotation_violation,
)
from gnndesign.units import EV_PER_A3_TO_GPA

ORDER_STREAM, ROTATION_STREAM, PENALTY_STREAM = 0, 1, 2
"""Purposes of random numbers."""


class Trainer:
    """Trains a copy of a potential; iterate over it, then ask for `potential`.

    Args:
        potential: where training begins; it is not modified.
        data: to learn from.
        validation: to choose the best epoch by.
        training: how.
        checkpoint: a file to save to, and to go on from if it is there.
        save_every_s: seconds between saves; one is made after every epoch, too.

    Attributes:
        training: how; its number of epochs may be changed on the way.
        history: a report an epoch.
        parity: validation of the best epoch, if that was in this process.

    Raises:
        StructureError, UnsupportedElementError: a structure cannot be learned.
        ParameterError: nothing of the network is trained, or no label is there for a
            weight of the loss.
        CheckpointError: the checkpoint is damaged, or of another training.
    """

    def __init__(
        self,
        potential: TrainablePotential[Any],
        data: Dataset,
        validation: Dataset,
        training: Training,
        *,
        checkpoint: Path | str | None = None,
        save_every_s: float = 30.0,
    ) -> None:
        self.training = training
        self.data = TrainingSet(data, potential)
        self.validation = TrainingSet(validation, potential)
        check_labels(data, training)
        self._start = potential.card
        self._potential = working_copy(potential, getattr(torch, training.dtype))
        if training.calibrate:
            calibrate(self._potential, self.data)
        self._weights = trained_weights(self._potential.network, training.frozen)
        self._optimizer = optimizer_of(list(self._weights.values()), training)
        self._average = {k: w.detach().clone() for k, w in self._weights.items()}
        self._best: dict[str, Tensor] = {k: w.clone() for k, w in self._average.items()}
        self._edges_per_batch = float(training.batch_size * self.data.n_edges.mean())
        self.history: list[EpochReport] = []
        self._epoch = self._batch = self._step = 0
        self._losses: list[float] = []
        self._seconds = 0.0
        self.parity: Parity | None = None
        self._stopping = False
        self.checkpoint_file = None if checkpoint is None else Path(checkpoint)
        self._save_every_s = save_every_s
        self._saved_at = time.monotonic()
        if self.checkpoint_file is not None and self.checkpoint_file.is_file():
            self._load(self.checkpoint_file)

    @property
    def best(self) -> EpochReport | None:
        """Of the epoch with the lowest score; None before the first has ended."""
        return min(self.history, key=lambda report: report.score, default=None)

    @property
    def reason(self) -> str:
        """Why training ended; empty while it has not."""
        patience = self.training.patience
        if self.best is not None and patience is not None:
            since = self._epoch - self.best.epoch
            if since >= patience:
                return f"no better validation for {since} epochs"
        if self._epoch >= self.training.epochs:
            return f"all {self.training.epochs} epochs are through"
        return "stopped" if self._stopping else ""

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopping = True

    def __iter__(self) -> Iterator[Moment]:
        """Train until the end, saving on the way."""
        epoch, batches = -1, []
        while not self.reason:
            if epoch != self._epoch:
                epoch = self._epoch
                batches = self.data.batches_of(
                    self._order(epoch), self._edges_per_batch
                )
            begin = time.perf_counter()
            loss = self._learn(self.data.batch(batches[self._batch]), len(batches))
            self._seconds += time.perf_counter() - begin
            self._losses.append(loss)
            self._batch += 1
            self._step += 1
            through = self._batch
            report = self._end_epoch() if through == len(batches) else None
            self._save_if_due(now=report is not None)
            yield Moment(
                epoch=epoch + 1,
                batch=through,
                n_batches=len(batches),
                loss=loss,
                report=report,
            )
        self._save_if_due(now=True)

    def potential(self, which: str = "best") -> TrainablePotential[Any]:
        """The potential with the best or the last weights; see `trained_card`."""
        weights = self._best if which == "best" else self._average
        made = working_copy(self._potential, getattr(torch, self.training.dtype))
        made.network.load_state_dict(weights, strict=False)
        report = self.best if which == "best" else (self.history or [None])[-1]
        made.card = trained_card(
            made,
            self._start,
            data=self.data.dataset,
            validation=self.validation.dataset,
            training=self.training,
            report=report,
        )
        return made

    def validate(self) -> Parity:
        """What the averaged weights say of the validation set."""
        now = {k: w.detach().clone() for k, w in self._weights.items()}
        self._set(self._average)
        try:
            return evaluate_set(self._potential, self.validation)
        finally:
            self._set(now)

    def _set(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(values[name])

    def _order(self, epoch: int) -> list[int]:
        numbers = np.random.default_rng([self.training.seed, ORDER_STREAM, epoch])
        return numbers.permutation(len(self.data)).tolist()

    def _learn(self, part: LabeledBatch, n_batches: int) -> float:
        """One step of the optimizer; the loss before it."""
        training = self.training
        done = self._epoch + (self._batch + 1) / n_batches
        rate = training.rate(done)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if training.augment_rotations:
            numbers = self._numbers(ROTATION_STREAM)
            part = part.turned(random_rotations(part.batch.n_systems, numbers))
        self._optimizer.zero_grad(set_to_none=True)
        found = self._potential.labels(
            part.batch, part.edges, with_strain=training.loss.wants_stress
        )
        loss = training.loss(part.batch, found, part.labels, done / training.epochs)
        if training.symmetry_penalty:
            loss = loss + self._penalty(part)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FitError(
                f"The loss became {value} in epoch {self._epoch + 1}. Train with a "
                "smaller learning rate, or look at the labels for outliers."
            )
        if not loss.requires_grad:
            return value  # Not one structure of the batch has a label.
        # By the weights alone: by positions, too, it would take three times as long.
        loss.backward(inputs=list(self._weights.values()))
        if training.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(
                list(self._weights.values()), training.gradient_clip
            )
        self._optimizer.step()
        self._remember()
        return value

    def _numbers(self, stream: int) -> torch.Generator:
        """The random numbers of a purpose in this step."""
        numbers = np.random.default_rng([self.training.seed, stream, self._step])
        return torch.Generator().manual_seed(int(numbers.integers(2**62)))

    def _penalty(self, part: LabeledBatch) -> Tensor:
        """Squared violation under the worst rotation found, in units of the loss."""
        training = self.training
        worst = adversarial_rotations(
            self._potential,
            part.batch,
            part.edges,
            steps=training.penalty_steps,
            generator=self._numbers(PENALTY_STREAM),
        )
        violation = rotation_violation(self._potential, part.batch, part.edges, worst)
        return training.symmetry_penalty * violation.mean() / ENERGY_UNIT**2

    def _remember(self) -> None:
        """Move the average towards the weights; the first steps weigh more."""
        keep = min(self.training.ema, (1.0 + self._step) / (10.0 + self._step))
        with torch.no_grad():
            for name, weight in self._weights.items():
                self._average[name].lerp_(weight, 1.0 - keep)

    def _end_epoch(self) -> EpochReport:
        parity = self.validate()
        self._epoch += 1
        self._batch = 0
        differences = (
            torch.as_tensor(pairs[np.isfinite(pairs).all(1)] @ np.array([1.0, -1.0]))
            for pairs in (parity.energy, parity.forces, parity.stress)
        )
        energy, forces, stress = differences
        score = self.training.loss.score(energy, forces, stress / EV_PER_A3_TO_GPA)
        best = self.best
        report = EpochReport(
            epoch=self._epoch,
            loss=float(np.mean(self._losses)),
            validation=parity.errors,
            score=score,
            learning_rate=self.training.rate(float(self._epoch)),
            seconds=self._seconds,
            structures_per_s=len(self.data) / max(self._seconds, 1e-9),
            is_best=best is None or score < best.score,
        )
        if report.is_best:
            self.parity = parity
            self._best = {k: w.clone() for k, w in self._average.items()}
        self.history.append(report)
        self._losses, self._seconds = [], 0.0
        return report

    def _save_if_due(self, *, now: bool) -> None:
        if self.checkpoint_file is None:
            return
        if now or time.monotonic() - self._saved_at > self._save_every_s:
            self.save(self.checkpoint_file)
            self._saved_at = time.monotonic()

    def save(self, path: Path) -> None:
        """Write everything that the next batch depends on, atomically."""
        from gnndesign.disk import replacing

        state = {
            "identity": self._identity(),
            "network": self._potential.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
            "best": self._best,
            "history": json.dumps([report.to_dict() for report in self.history]),
            "place": [self._epoch, self._batch, self._step],
            "losses": self._losses,
            "seconds": self._seconds,
        }
        with replacing(path) as partial:
            torch.save(state, partial)

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(
                path, map_location=self._potential.device, weights_only=True
            )
            identity = state["identity"]
        except (
            *(OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError),
            pickle.UnpicklingError,
        ) as error:
            first = str(error).partition("\n")[0]
            raise CheckpointError(
                f"{path} is no readable checkpoint of a training ({first}). Delete it "
                "to begin anew."
            ) from error
        if identity != self._identity():
            raise CheckpointError(
                f"{path} is the checkpoint of another training: wanted the same "
                "potential, data and options (but for the number of epochs). Choose "
                "another file, or delete it to begin anew."
            )
        self._potential.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average, self._best = state["average"], state["best"]
        rows = json.loads(state["history"])
        self.history = [EpochReport.from_dict(row) for row in rows]
        self._epoch, self._batch, self._step = state["place"]
        self._losses, self._seconds = state["losses"], state["seconds"]

    def _identity(self) -> str:
        """What a checkpoint must agree in."""
        options = asdict(replace(self.training, epochs=1))
        return json.dumps(
            {
                "architecture": self._potential.architecture,
                "parameters": repr(self._potential.parameters),
                "start": self._start.checksum,
                "data": self.data.dataset.checksum,
                "validation": self.validation.dataset.checksum,
                "options": options,
            },
            sort_keys=True,
        )
