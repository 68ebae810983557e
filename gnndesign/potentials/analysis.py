"""What a network sees: features of atoms by layer, and how far they reach.

Energies of single atoms are in every `Prediction`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ase
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.equivariant import EquivariantPotential
from gnndesign.potentials.irreps import Features
from gnndesign.potentials.trainable import TrainablePotential


def node_features(
    potential: EquivariantPotential, structures: ase.Atoms | Sequence[ase.Atoms]
) -> list[Features]:
    """Features of all atoms before the first interaction and after each.

    Returns:
        n_layers + 1 entries; each has, by irrep, (n_atoms, 2l + 1, channels), the
        atoms of all structures one after the other. Components are e3nn's: those of
        l = 1 turn as (x, y, z) does.

    Raises:
        UnsupportedElementError: the potential does not know an element.
        StructureError: a structure cannot be used.
    """
    batch = AtomicBatch.from_atoms(structures, device=potential.device)
    potential.check_elements(batch)
    edges = find_neighbors(batch, potential.parameters.cutoff)
    with torch.no_grad():
        layers = potential.network.layers(
            potential.species(batch), edges.vectors(batch), edges
        )
        return list(layers)


def norms_by_l(features: Features) -> Mapping[int, Float[Tensor, "n_atoms _channels"]]:
    """(n_atoms, channels) lengths of features, which no rotation or inversion changes.

    Channels of both parities one after the other; for l = 0 absolute values.
    """
    collected: dict[int, list[Tensor]] = {}
    for ir, values in features.items():
        collected.setdefault(ir.l, []).append(values.norm(dim=1))
    return {l: torch.cat(parts, -1) for l, parts in sorted(collected.items())}


def receptive_radius(potential: TrainablePotential[Any]) -> float:
    """Å; no atom farther away than this changes an atom's energy: rounds times cutoff.

    Infinite where the energy is one of all atoms together (`is_extensive` is false).
    """
    if not potential.is_extensive:
        return math.inf
    return potential.network.n_rounds * potential.parameters.cutoff


def receptive_field(
    potential: TrainablePotential[Any], atoms: ase.Atoms, atom: int
) -> Bool[Tensor, " n_atoms"]:
    """(n_atoms,) which atoms the energy of `atom` depends on, itself among them.

    Those reached by as many steps from neighbor to neighbor as there are rounds of
    messages; of a periodic structure, those with an image that is.

    Raises:
        ParameterError: there is no such atom.
        StructureError: the structure cannot be used.
    """
    if not 0 <= atom < len(atoms):
        raise ParameterError(
            f"Wanted an atom of 0 to {len(atoms) - 1}, got {atom}. Choose one of these."
        )
    batch = AtomicBatch.from_atoms(atoms, device=potential.device)
    reached = torch.zeros(len(atoms), dtype=torch.bool, device=potential.device)
    reached[atom] = True
    if not potential.is_extensive:
        return torch.ones_like(reached)
    edges = find_neighbors(batch, potential.parameters.cutoff)
    for _ in range(potential.network.n_rounds):
        reached[edges.neighbors[reached[edges.centers]]] = True
    return reached
