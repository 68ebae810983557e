"""Sums of potentials: a network with dispersion, or with repulsion at short range."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, Potential, Prediction


def combine(*terms: Potential) -> SumPotential:
    """The sum of some potentials; `a + b` is `combine(a, b)`.

    Raises:
        ParameterError: see `SumPotential`.
    """
    return SumPotential(terms)


class SumPotential(Potential):
    """E = Σ E_k, and so forces and stress.

    It knows the elements that all terms know, refuses what any of them refuses, and
    keeps the promises that all of them keep. Each term is given the neighbors within
    its own cutoff. A sum in a sum is one sum.

    Args:
        terms: two or more.

    Attributes:
        terms: what is added.

    Raises:
        ParameterError: fewer than two terms, terms on different devices, or without a
            common element.
    """

    def __init__(self, terms: Sequence[Potential]) -> None:
        flat: list[Potential] = []
        for term in terms:
            flat += term.terms if isinstance(term, SumPotential) else [term]
        self.terms = tuple(flat)
        self._check()
        cutoffs = [term.cutoff for term in flat if term.cutoff is not None]
        self.cutoff = max(cutoffs, default=None)
        self.device = flat[0].device
        self.card = _card_of(flat)
        self.is_equivariant = all(term.is_equivariant for term in flat)
        self.is_mirror_symmetric = all(term.is_mirror_symmetric for term in flat)
        self.is_translation_invariant = all(t.is_translation_invariant for t in flat)
        self.is_permutation_invariant = all(t.is_permutation_invariant for t in flat)
        self.is_extensive = all(term.is_extensive for term in flat)
        self.is_conservative = all(term.is_conservative for term in flat)
        self.needs_neighbors = any(term.needs_neighbors for term in flat)
        self.has_magnetic_moments = any(term.has_magnetic_moments for term in flat)

    def _check(self) -> None:
        names = ", ".join(f"'{term.card.name}'" for term in self.terms)
        if len(self.terms) < 2:
            raise ParameterError(
                f"Wanted two or more potentials to add, got {names or 'none'}."
            )
        devices = sorted({str(term.device) for term in self.terms})
        if len(devices) > 1:
            raise ParameterError(
                f"Wanted potentials on one device, got {names} on "
                f"{' and '.join(devices)}. Load them on the same one."
            )
        if sum(term.has_magnetic_moments for term in self.terms) > 1:
            raise ParameterError(
                f"Wanted magnetic moments of one potential, got {names}, of which "
                "several have them. Add only one of these."
            )

    @property
    def dtype(self) -> torch.dtype:
        """The coarsest of the terms'."""
        kinds = (term.dtype for term in self.terms)
        return max(kinds, key=lambda kind: torch.finfo(kind).eps)

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """The terms' predictions, added.

        Atomic energies are there where all terms have them.
        """
        found = [
            term.predict(batch, self._edges_of(term, batch, edges))
            for term in self.terms
        ]
        atomic = [p.atomic_energies for p in found if p.atomic_energies is not None]
        moments = [p.magnetic_moments_muB for p in found]
        return Prediction(
            energy=torch.stack([p.energy for p in found]).sum(0),
            atomic_energies=torch.stack(atomic).sum(0)
            if len(atomic) == len(found)
            else None,
            forces=torch.stack([p.forces for p in found]).sum(0),
            stress=torch.stack([p.stress for p in found]).sum(0),
            magnetic_moments_muB=next((m for m in moments if m is not None), None),
        )

    def _edges_of(
        self, term: Potential, batch: AtomicBatch, edges: NeighborList | None
    ) -> NeighborList | None:
        if term.cutoff is None or edges is None or term.cutoff == self.cutoff:
            return None if term.cutoff is None else edges
        return edges.within(batch, term.cutoff)

    def check_elements(self, batch: AtomicBatch) -> None:
        """Refuse what any of the terms refuses.

        Raises:
            UnsupportedElementError: a term does not know an element.
            StructureError: a term knows one molecule alone, and this is another.
        """
        super().check_elements(batch)
        for term in self.terms:
            term.check_elements(batch)

    def prepare(self, say: Callable[[str], None] | None = None) -> None:
        """Prepare all terms."""
        for term in self.terms:
            term.prepare(say)


def _card_of(terms: Sequence[Potential]) -> Card:
    cards = [term.card for term in terms]
    names = " + ".join(card.name for card in cards)
    elements = set(cards[0].elements).intersection(*(c.elements for c in cards))
    if not elements:
        raise ParameterError(
            f"Wanted potentials with a common element, got {names}. Choose others."
        )
    cutoffs = [card.cutoff for card in cards if card.cutoff is not None]
    counts = [card.n_parameters for card in cards if card.n_parameters is not None]
    # The order of the terms has no meaning, the number of times a term is there has.
    defined_by = "sum " + " ".join(sorted(card.checksum for card in cards))
    return Card(
        name=names,
        title=" + ".join(card.title for card in cards),
        licence="; ".join(dict.fromkeys(card.licence for card in cards)),
        level_of_theory=" + ".join(card.level_of_theory for card in cards),
        training_data="; ".join(dict.fromkeys(card.training_data for card in cards)),
        n_parameters=sum(counts) if len(counts) == len(cards) else None,
        elements=tuple(sorted(elements)),
        cutoff=max(cutoffs) if len(cutoffs) == len(cards) else None,
        checksum=hashlib.sha256(defined_by.encode()).hexdigest(),
        citation="; ".join(dict.fromkeys(card.citation for card in cards)),
        notes=tuple(f"{card.name}: {note}" for card in cards for note in card.notes),
        training={card.name: dict(card.training) for card in cards if card.training},
    )
