"""The repulsion of nuclei that come too near: what training data seldom show."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from ase.data import covalent_radii
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, EnergyModel
from gnndesign.potentials.radial import PolynomialEnvelope

COULOMB = 14.399645
"""eV Å, e² / (4 π ε0)."""

_SCREENING_LENGTH = 0.46850
"""Å, 0.8854 Bohr radii, as the published fit rounds it."""

_TERMS = (
    (0.18175, 3.19980),
    (0.50986, 0.94229),
    (0.28022, 0.40290),
    (0.02817, 0.20162),
)
"""Weights and decays of the universal screening function."""


class ZBL(EnergyModel):
    """The universal screened repulsion of two nuclei, switched off at a bond's length.

        E = Σ_pairs (e² / 4 π ε0) Z_i Z_j / r  φ(r / a_ij)  s(r / c_ij)
        φ(x) = 0.18175 exp(-3.1998 x) + 0.50986 exp(-0.94229 x)
             + 0.28022 exp(-0.4029 x) + 0.02817 exp(-0.20162 x)
        a_ij = 0.4685 Å / (Z_i^0.23 + Z_j^0.23)

    J. F. Ziegler, J. P. Biersack and U. Littmark, The Stopping and Range of Ions in
    Matter (Pergamon, 1985). s is the polynomial envelope with p = 6 (1 at zero, smooth
    at the end), and c_ij `reach` times the sum of the covalent radii, so that atoms at
    the distances of bonds and beyond feel nothing of it; or `cutoff` for all pairs.

    Args:
        reach: c_ij, in sums of the covalent radii.
        cutoff: Å, c_ij of all pairs alike, instead.
        elements: atomic numbers it may be used for; all by default.
        device: where it computes.

    Attributes:
        settings: reach, cutoff and elements that it was made with.

    Raises:
        ParameterError: a reach or cutoff that is none, or no elements.
    """

    def __init__(
        self,
        *,
        reach: float = 1.0,
        cutoff: float | None = None,
        elements: Sequence[int] = tuple(range(1, 119)),
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0.0 < reach <= 3.0 or not (cutoff is None or 0.0 < cutoff < 100.0):
            raise ParameterError(
                "Wanted a reach above 0 and up to 3 sums of covalent radii, or a cutoff "
                f"above 0 and below 100 Å, got reach={reach}, cutoff={cutoff}."
            )
        known = tuple(sorted(set(elements)))
        if not known or not 1 <= known[0] <= known[-1] <= 118:
            raise ParameterError(
                f"Wanted elements as atomic numbers from 1 to 118, got {known}."
            )
        self.settings = {"reach": reach, "cutoff": cutoff, "elements": known}
        self.device = torch.device(device)
        radii = reach * covalent_radii[:119] if cutoff is None else np.full(119, cutoff)
        share = radii if cutoff is None else radii / 2.0
        self._share = torch.as_tensor(share, device=self.device, dtype=torch.float64)
        self.cutoff = 2.0 * float(share[list(known)].max())
        self._switch = PolynomialEnvelope(p=6)
        defined_by = f"zbl {reach!r} {cutoff!r} {known!r}"
        self.card = Card(
            name="zbl",
            title="Ziegler-Biersack-Littmark repulsion",
            licence="MIT",
            level_of_theory="a model: screened Coulomb repulsion of nuclei",
            training_data="none",
            n_parameters=None,
            elements=known,
            cutoff=self.cutoff,
            checksum=hashlib.sha256(defined_by.encode()).hexdigest(),
            citation="J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range "
            "of Ions in Matter (Pergamon, 1985)",
            notes=(
                "A term for very short distances, not a potential on its own.",
                (
                    "A bond of normal length is shorter than some sums of covalent radii, "
                    "and then feels a little of it: train with it, or choose a shorter reach."
                ),
            ),
        )

    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV; half of each pair belongs to either atom."""
        distance = edges.vectors(batch).norm(dim=-1)
        numbers = [batch.atomic_numbers[k] for k in (edges.centers, edges.neighbors)]
        charges = [number.to(distance.dtype) for number in numbers]
        ends = self._share.to(distance.dtype)[torch.stack(numbers)].sum(0)
        near = charges[0] ** 0.23 + charges[1] ** 0.23
        x = distance * near / _SCREENING_LENGTH
        screening = sum(
            (weight * torch.exp(-decay * x) for weight, decay in _TERMS),
            torch.zeros_like(x),
        )
        pair = COULOMB * charges[0] * charges[1] / distance * screening
        pair = 0.5 * pair * self._switch(distance / ends, 1.0)
        return pair.new_zeros(batch.n_atoms).index_add(0, edges.centers, pair)
