"""What training makes small: errors of energy, forces and stress, weighed.

    L = w_E <f(ΔE / (N 10 meV))> + w_F <f(ΔF / 100 meV/Å)> + w_S <f(Δσ / 1 GPa)>

with f(x) = x² (mse), |x| (mae) or Huber's function of x, <> the mean over structures,
force components and stress components that have a label. The three units are errors
that a person would find equally bad. Energies are few, one a structure: with a weight
as large as that of the forces, small data sets are learned by heart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Slopes
from gnndesign.training.batches import Labels
from gnndesign.units import EV_PER_A3_TO_GPA

ENERGY_UNIT = 0.01
"""eV an atom."""

FORCE_UNIT = 0.1
"""eV/Å."""

STRESS_UNIT = 1.0 / EV_PER_A3_TO_GPA
"""eV/Å³, 1 GPa."""

Weight = float | tuple[float, ...]
"""A number, or its values at the start and at the end of training, between which it
goes geometrically."""


KINDS = ("mse", "mae", "huber")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Weights of what is learned.

    Attributes:
        energy: weight w_E of the energy an atom.
        forces: weight w_F of a force component.
        stress: weight w_S of a stress component.
        kind: f: "mse", "mae", or "huber", x²/2 up to `huber_delta` and straight beyond.
        huber_delta: in the units above.
    """

    energy: Weight = 0.1
    forces: Weight = 1.0
    stress: Weight = 0.1
    kind: str = field(default="mse", metadata={"choices": KINDS})
    huber_delta: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(
                f"Wanted a loss of kind 'mse', 'mae' or 'huber', got {self.kind!r}."
            )
        if not self.huber_delta > 0:
            raise ParameterError(f"Wanted huber_delta > 0, got {self.huber_delta}.")
        for name in ("energy", "forces", "stress"):
            value = getattr(self, name)
            ends = (value,) if isinstance(value, int | float) else tuple(value)
            if isinstance(value, list | tuple):
                object.__setattr__(self, name, ends)
            zero = [end == 0 for end in ends]
            if len(ends) > 2 or min(ends) < 0 or any(zero) != all(zero):
                raise ParameterError(
                    f"Wanted the weight of {name} as a number >= 0, or two > 0 for "
                    f"start and end, got {value}."
                )
        if not any(self.weights(0.0)):
            raise ParameterError("Wanted a weight above zero, got a loss of nothing.")

    def weights(self, progress: float) -> tuple[float, float, float]:
        """Those of energy, forces and stress, at a progress of 0 to 1."""

        def now(value: Weight) -> float:
            if isinstance(value, tuple):
                start, end = value
                return start if start == 0 else start * (end / start) ** progress
            return value

        return now(self.energy), now(self.forces), now(self.stress)

    @property
    def wants_stress(self) -> bool:
        """Whether the stress is learned at all."""
        return self.weights(0.0)[2] > 0

    def __call__(
        self, batch: AtomicBatch, found: Slopes, labels: Labels, progress: float
    ) -> Float[Tensor, ""]:
        """The loss of a batch, in float64.

        Args:
            batch: structures.
            found: what the potential says.
            labels: what it should say.
            progress: part of the training that is through, 0 to 1.
        """
        wanted_energy, wanted_forces, wanted_stress = self.weights(progress)
        errors = differences(batch, found, labels)
        total = found.atomic_energies.new_zeros((), dtype=torch.float64)
        for weight, error, unit in (
            (wanted_energy, errors.energy, ENERGY_UNIT),
            (wanted_forces, errors.forces, FORCE_UNIT),
            (wanted_stress, errors.stress, STRESS_UNIT),
        ):
            if weight > 0 and error.numel():
                total = total + weight * self._mean(error / unit)
        return total

    def score(self, energy: Tensor, forces: Tensor, stress: Tensor) -> float:
        """The loss of errors, with the weights at the end of training.

        Args:
            energy: (n,) eV an atom.
            forces: (n,) eV/Å.
            stress: (n,) eV/Å³.
        """
        parts = zip(
            self.weights(1.0),
            (energy / ENERGY_UNIT, forces / FORCE_UNIT, stress / STRESS_UNIT),
            strict=True,
        )
        return sum(w * float(self._mean(x)) for w, x in parts if w and x.numel())

    def _mean(self, x: Tensor) -> Tensor:
        if self.kind == "mse":
            return (x * x).mean()
        if self.kind == "mae":
            return x.abs().mean()
        zero = torch.zeros_like(x)
        return torch.nn.functional.huber_loss(x, zero, delta=self.huber_delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Found minus wanted, of all that has a label.

    Attributes:
        energy: (n,) eV an atom.
        forces: (n,) eV/Å, components.
        stress: (n,) eV/Å³, the six components.
    """

    energy: Float[Tensor, " n_energies"]
    forces: Float[Tensor, " n_components"]
    stress: Float[Tensor, " n_stresses"]


VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))
"""Rows and columns of xx, yy, zz, yz, xz, xy."""


def differences(batch: AtomicBatch, found: Slopes, labels: Labels) -> Differences:
    """Found minus wanted, of all that has a label, in float64."""
    energy = batch.sum_over_atoms(found.atomic_energies.double())
    energy = (energy - labels.energy) / batch.atoms_per_system
    forces = (-found.positions.double() - labels.forces).flatten()
    stress = torch.empty_like(energy[:0])
    with_stress = torch.isfinite(labels.stress[:, 0, 0])
    if bool(with_stress.any()):
        virial = found.strain[with_stress].double()
        stress = virial / batch.volume[with_stress, None, None].double()
        stress = (stress - labels.stress[with_stress])[:, VOIGT[0], VOIGT[1]].flatten()
    return Differences(
        energy=energy[torch.isfinite(labels.energy)],
        forces=forces[torch.isfinite(labels.forces).flatten()],
        stress=stress,
    )
