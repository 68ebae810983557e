"""How a potential is trained: `Training`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gnndesign.errors import ParameterError
from gnndesign.training.loss import Loss

OPTIMIZERS = ("adam", "adamw")
DECAYS = ("cosine", "exponential", "none")
DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a potential is trained.

    Attributes:
        epochs: passes through the data.
        batch_size: structures of average size in a batch; batches are filled up to as
            many edges, so that all cost the same.
        learning_rate: the largest, reached after the warm-up.
        optimizer: "adam" or "adamw" (decoupled weight decay).
        weight_decay: of the optimizer.
        warmup_epochs: in which the learning rate rises linearly from zero.
        decay: of the learning rate after that: "cosine", "exponential" or "none".
        final_learning_rate: where the decay ends, as a fraction of the largest.
        ema: memory of the exponential moving average of the weights, a step; the
            average is what is tested and kept. 0 for none.
        gradient_clip: largest norm of the gradient; None for any.
        patience: epochs without a better validation after which training ends; None
            to go on.
        loss: what is made small.
        augment_rotations: whether every structure is turned at random each time, for
            networks that do not know that this has no meaning.
        symmetry_penalty: weight of the squared energy violation, in units of the
            loss, under the worst rotation that an inner maximisation finds; 0 for none.
        penalty_steps: steps of that maximisation.
        frozen: beginnings of the names of weights that are not trained.
        seed: of the order of the structures and of rotations.
        dtype: floating type of the weights; sums are float64 always.
        calibrate: whether scale, shift and the network's own statistics are taken from
            the data before the first epoch; a trained network has its own.
    """

    epochs: int = 200
    batch_size: int = 4
    learning_rate: float = 2e-3
    optimizer: str = field(default="adam", metadata={"choices": OPTIMIZERS})
    weight_decay: float = 0.0
    warmup_epochs: float = 1.0
    decay: str = field(default="cosine", metadata={"choices": DECAYS})
    final_learning_rate: float = 0.01
    ema: float = 0.99
    gradient_clip: float | None = 10.0
    patience: int | None = None
    loss: Loss = field(default_factory=Loss)
    augment_rotations: bool = False
    symmetry_penalty: float = 0.0
    penalty_steps: int = 3
    frozen: tuple[str, ...] = ()
    seed: int = 0
    dtype: str = field(default="float32", metadata={"choices": DTYPES})
    calibrate: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "frozen", tuple(self.frozen))
        patience = self.patience
        for kept, wanted in (
            (self.epochs >= 1, f"epochs >= 1, got {self.epochs}"),
            (self.batch_size >= 1, f"batch_size >= 1, got {self.batch_size}"),
            (
                0 < self.learning_rate < 10,
                f"0 < learning_rate < 10, got {self.learning_rate}",
            ),
            (
                0 < self.final_learning_rate <= 1,
                (
                    "final_learning_rate as a fraction of the largest, got "
                    f"{self.final_learning_rate}"
                ),
            ),
            (self.warmup_epochs >= 0, f"warmup_epochs >= 0, got {self.warmup_epochs}"),
            (self.weight_decay >= 0, f"weight_decay >= 0, got {self.weight_decay}"),
            (0 <= self.ema < 1, f"0 <= ema < 1, got {self.ema}"),
            (
                self.gradient_clip is None or self.gradient_clip > 0,
                f"gradient_clip > 0 or None, got {self.gradient_clip}",
            ),
            (
                patience is None or patience >= 1,
                f"patience >= 1 or None, got {patience}",
            ),
            (
                self.symmetry_penalty >= 0 and self.penalty_steps >= 0,
                (
                    "symmetry_penalty and penalty_steps >= 0, got "
                    f"{self.symmetry_penalty} and {self.penalty_steps}"
                ),
            ),
            (0 <= self.seed < 2**63, f"0 <= seed < 2**63, got {self.seed}"),
            (
                self.optimizer in OPTIMIZERS,
                f"optimizer 'adam' or 'adamw', got {self.optimizer!r}",
            ),
            (
                self.decay in DECAYS,
                f"decay 'cosine', 'exponential' or 'none', got {self.decay!r}",
            ),
            (
                self.dtype in DTYPES,
                f"dtype 'float32' or 'float64', got {self.dtype!r}",
            ),
        ):
            if not kept:
                raise ParameterError(f"Training wants {wanted}.")

    def rate(self, epochs_done: float) -> float:
        """The learning rate after a number of epochs, which may be broken.

        It rises linearly for `warmup_epochs`, then falls to `final_learning_rate` of
        the largest: as half a cosine (I. Loshchilov and F. Hutter, ICLR 2017) or
        exponentially.
        """
        if epochs_done < self.warmup_epochs:
            return self.learning_rate * epochs_done / self.warmup_epochs
        left = max(self.epochs - self.warmup_epochs, 1e-9)
        progress = min((epochs_done - self.warmup_epochs) / left, 1.0)
        end = self.final_learning_rate
        if self.decay == "cosine":
            fraction = end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))
        elif self.decay == "exponential":
            fraction = end**progress
        else:
            fraction = 1.0
        return self.learning_rate * fraction
