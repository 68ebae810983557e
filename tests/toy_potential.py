"""A Morse pair potential with element-dependent bonds: crystals in milliseconds."""

import time

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from pymatgen.core import Element

from gnndesign.potentials.base import Card, EnergyModel

N_ELEMENTS = 90


def electronegativity(number):
    symbol = chemical_symbols[number]
    return 0.0 if symbol in ("He", "Ne", "Ar") else float(Element(symbol).X)


class ToyPotential(EnergyModel):
    """E = sum over pairs of D (b^2 - 2 b) times a switch, b = exp(-5 (r / r0 - 1)).

    r0 is the sum of covalent radii, D grows with the difference of electronegativities.
    """

    def __init__(self, *, broken=(), delay_s=0.0, name="toy", elements=None):
        self.device = torch.device("cpu")
        self.cutoff = 5.0
        self.calls = 0
        self.delay_s = delay_s
        numbers = np.arange(1, N_ELEMENTS + 1)
        self.radius = torch.tensor(covalent_radii[: N_ELEMENTS + 1])
        self.electronegativity = torch.tensor(
            [0.0, *(electronegativity(int(number)) for number in numbers)]
        )
        self.broken = torch.tensor(
            [atomic_numbers[s] for s in broken], dtype=torch.int64
        )
        self.card = Card(
            name=name,
            title="Toy",
            licence="MIT",
            level_of_theory="none",
            training_data="none",
            n_parameters=0,
            elements=tuple(numbers.tolist())
            if elements is None
            else tuple(sorted(atomic_numbers[s] for s in elements)),
            cutoff=self.cutoff,
            checksum=f"checksum of {name}",
            citation="none",
        )

    def atomic_energies(self, batch, edges):
        self.calls += 1
        time.sleep(self.delay_s)
        numbers = batch.atomic_numbers
        i, j = edges.centers, edges.neighbors
        r = edges.vectors(batch).norm(dim=-1)
        r0 = self.radius[numbers[i]] + self.radius[numbers[j]]
        chi = self.electronegativity[numbers].to(r.dtype)
        depth = 0.2 + 0.15 * (chi[i] - chi[j]).abs()
        bond = torch.exp(-5.0 * (r / r0 - 1.0))
        x = (r / self.cutoff).clamp(max=1.0)
        energy = 0.5 * depth * (bond * bond - 2 * bond) * (1 - x**2) ** 3
        atomic = r.new_zeros(batch.n_atoms).index_add(0, i, energy)
        factor = torch.ones_like(atomic)
        factor[torch.isin(numbers, self.broken)] = torch.nan
        return factor * atomic
