"""The Lennard-Jones potential: a fast stand-in with an analytic answer."""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, EnergyModel
from gnndesign.potentials.radial import XPLOREnvelope


class LennardJones(EnergyModel):
    """E = Σ_pairs 4 ε ((σ/r)^12 - (σ/r)^6) s(r), s the X-PLOR switch from 0.8 cutoff.

    J. E. Lennard-Jones, Proc. R. Soc. A 106, 463 (1924). One ε and σ for all
    elements. The defaults are argon's (A. Rahman, Phys. Rev. 136, A405 (1964)).

    Args:
        epsilon: depth of the well, eV.
        sigma: distance of zero energy, Å.
        cutoff: Å.
        device: where it computes.

    Attributes:
        settings: epsilon, sigma and cutoff.
    """

    def __init__(
        self,
        *,
        epsilon: float = 0.01034,
        sigma: float = 3.4,
        cutoff: float = 8.5,
        device: torch.device | str = "cpu",
    ) -> None:
        if not (epsilon > 0 and sigma > 0 and cutoff > sigma):
            raise ParameterError(
                "Wanted epsilon > 0 eV and 0 < sigma < cutoff in Å, got "
                f"epsilon={epsilon}, sigma={sigma}, cutoff={cutoff}."
            )
        self.epsilon, self.sigma, self.cutoff = epsilon, sigma, cutoff
        self.settings = {"epsilon": epsilon, "sigma": sigma, "cutoff": cutoff}
        self.device = torch.device(device)
        self._switch = XPLOREnvelope(onset=0.8 * cutoff)
        self._reach = cutoff
        defined_by = f"lennard-jones {epsilon!r} {sigma!r} {cutoff!r}"
        self.card = Card(
            name="lennard-jones",
            title="Lennard-Jones 12-6",
            licence="MIT",
            level_of_theory=f"a model: ε = {epsilon} eV, σ = {sigma} Å",
            training_data="none",
            n_parameters=2,
            elements=tuple(range(1, 119)),
            cutoff=cutoff,
            checksum=hashlib.sha256(defined_by.encode()).hexdigest(),
            citation="J. E. Lennard-Jones, Proc. R. Soc. A 106, 463 (1924)",
            notes=(
                "A textbook model for noble gases and for tests, not for materials.",
            ),
        )

    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV; half of each pair belongs to either atom."""
        distance = edges.vectors(batch).norm(dim=-1)
        ratio6 = (self.sigma / distance) ** 6
        pair = 4.0 * self.epsilon * (ratio6 * ratio6 - ratio6)
        pair = 0.5 * pair * self._switch(distance, self._reach)
        return pair.new_zeros(batch.n_atoms).index_add(0, edges.centers, pair)
