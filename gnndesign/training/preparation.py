"""Before training: a copy to train, its weights, and what is taken from the data."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from gnndesign.errors import ParameterError
from gnndesign.potentials.architectures import architecture
from gnndesign.potentials.trainable import FIXED_WEIGHTS, TrainablePotential
from gnndesign.training.baseline import fit_baseline
from gnndesign.training.batches import TrainingSet
from gnndesign.training.dataset import Dataset
from gnndesign.training.options import Training


def calibrate(potential: TrainablePotential[Any], structures: TrainingSet) -> None:
    """Set a network's shift, scale and own statistics from training data, in place.

    The shift of an element is its energy in the least-squares fit of total energies by
    composition; the scale is the root mean square of the force components, or where
    there are no forces, of the energy an atom that the fit leaves. What the network
    says on average before it has learned is taken off the shift.
    """
    network, dataset = potential.network, structures.dataset
    baseline = fit_baseline(dataset)
    with torch.no_grad():
        for place, number in enumerate(potential.parameters.elements):
            network.shift[place] = baseline.get(number, 0.0)
        network.scale.fill_(_spread(dataset, baseline))
    potential.calibrate((part.batch, part.edges) for part in structures.parts)
    with torch.no_grad():
        network.shift -= _first_guess(potential, structures).to(network.shift)


def _first_guess(
    potential: TrainablePotential[Any], structures: TrainingSet
) -> torch.Tensor:
    """(n_species,) eV an atom, fitted to what the network says beside its shift."""
    n_species = len(potential.parameters.elements)
    shares: list[torch.Tensor] = []
    energies: list[torch.Tensor] = []
    shift = potential.network.shift.double()
    for part in structures.parts[:: max(len(structures) // 50, 1)]:
        species = potential.species(part.batch)
        own = potential.atomic_energies(part.batch, part.edges) - shift[species]
        count = torch.bincount(species, minlength=n_species).double()
        shares.append(count / count.sum())
        energies.append(own.double().mean())
    share, energy = torch.stack(shares).cpu(), torch.stack(energies).cpu()
    return torch.linalg.lstsq(share, energy[:, None], driver="gelsd").solution[:, 0]


def _spread(dataset: Dataset, baseline: dict[int, float]) -> float:
    """eV/Å or eV."""
    parts = [part.ravel() for part in dataset.forces if part is not None]
    values = np.concatenate(parts) if parts else np.zeros(0)
    values = values[np.isfinite(values)]
    if not values.any():
        left = [
            (energy - sum(baseline[int(z)] for z in atoms.numbers)) / len(atoms)
            for atoms, energy in zip(dataset.structures, dataset.energy, strict=True)
            if np.isfinite(energy)
        ]
        values = np.array(left)
    spread = float(np.sqrt((values**2).mean())) if values.size else 0.0
    return spread if spread > 1e-6 else 1.0


def working_copy(
    potential: TrainablePotential[Any], dtype: torch.dtype
) -> TrainablePotential[Any]:
    """A potential of its own weights, without a fast form built for others."""
    kind = architecture(potential.architecture)
    network = copy.deepcopy(potential.network).to(dtype)
    shape, card, device = potential.parameters, potential.card, potential.device
    return kind.potential_of(potential.architecture, network, shape, card, device)


def trained_weights(
    network: torch.nn.Module, frozen: tuple[str, ...]
) -> dict[str, torch.nn.Parameter]:
    """The weights that are trained, by name, switched to want a gradient.

    Args:
        network: whose weights.
        frozen: beginnings of the names of those that are not.

    Raises:
        ParameterError: nothing begins so, or nothing is left to train.
    """
    found = {
        name: weight
        for name, weight in network.named_parameters()
        if not name.endswith(FIXED_WEIGHTS) and not name.startswith(frozen or ("\0",))
    }
    for start in frozen:
        if not any(name.startswith(start) for name, _ in network.named_parameters()):
            raise ParameterError(
                f"Wanted beginnings of weights' names to freeze, got {start!r}; they "
                f"begin with {sorted({n.split('.')[0] for n, _ in network.named_parameters()})}."
            )
    if not found:
        raise ParameterError("Every weight is frozen: there is nothing to train.")
    for weight in found.values():
        weight.requires_grad_()
    return found


def optimizer_of(
    weights: list[torch.nn.Parameter], training: Training
) -> torch.optim.Optimizer:
    """Adam (D. Kingma and J. Ba, ICLR 2015) or AdamW (I. Loshchilov, ICLR 2019)."""
    kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    return kind(weights, lr=training.learning_rate, weight_decay=training.weight_decay)


def check_labels(data: Dataset, training: Training) -> None:
    """Refuse a loss of something that no structure has a label of.

    Stress is let pass: molecules have none, and it is no part of their loss.

    Raises:
        ParameterError: names it.
    """
    energy, forces, _ = training.loss.weights(0.0)
    for what, weight, there in (
        ("energy", energy, np.isfinite(data.energy).any()),
        ("forces", forces, any(part is not None for part in data.forces)),
    ):
        if weight > 0 and not there:
            raise ParameterError(
                f"The loss has a weight of {weight} for {what}, of which the data set "
                "has no label. Set this weight to 0."
            )
