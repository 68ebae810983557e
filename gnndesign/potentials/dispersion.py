"""London dispersion, D3 with the damping of Becke and Johnson, as a term to be added."""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib.metadata import version
from typing import Any

import ase
import numpy as np
import torch
from ase.units import Bohr, Hartree

from gnndesign.batch import AtomicBatch
from gnndesign.errors import MissingDependencyError, ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import (
    Card,
    Potential,
    Prediction,
    stress_from_virial,
)

LARGEST_ELEMENT = 94
"""D3 has coefficients up to plutonium; beyond, the library may end the process."""

_REACH = {"disp2": 95.0, "disp3": 40.0, "cn": 40.0, "width2": 20.0, "width3": 10.0}
"""Bohr: those of the authors' program. Without the widths, over which interactions are
faded out, the energy has a step wherever a pair crosses the end, and forces differ from
its slope by 1e-3 of their size."""


class D3Dispersion(Potential):
    """E = -½ Σ_ij (s6 C6_ij / (r^6 + f^6) + s8 C8_ij / (r^8 + f^8)), f = a1 R_ij + a2.

    S. Grimme, J. Antony, S. Ehrlich and H. Krieg, J. Chem. Phys. 132, 154104 (2010);
    S. Grimme, S. Ehrlich and L. Goerigk, J. Comput. Chem. 32, 1456 (2011). C6 depends
    on the coordination of both atoms; there is no three-body term. Computed by the
    library s-dftd3, on the CPU, one structure after the other, through up to 95 Bohr.

    It belongs to a density functional: add it to a potential that was trained with
    that functional and without dispersion, `potential + D3Dispersion("pbe")`.

    Args:
        functional: whose parameters are used: "pbe", "pbesol", "rpbe", "r2scan", ...

    Attributes:
        settings: the functional.

    Raises:
        MissingDependencyError: the library is not installed.
        ParameterError: it has no parameters for the functional.
    """

    cutoff = None

    def __init__(self, functional: str = "pbe") -> None:
        self.functional = functional.lower()
        self.settings = {"functional": self.functional}
        self.device = torch.device("cpu")
        try:
            _ = self._damping
        except RuntimeError as error:
            raise ParameterError(
                "Wanted a functional that D3 with Becke-Johnson damping has parameters "
                f"for (pbe, pbesol, rpbe, r2scan, ...), got {functional!r}: {error}."
            ) from error
        release = version("dftd3")
        defined_by = f"d3(bj) {self.functional} {release} {sorted(_REACH.items())!r}"
        self.card = Card(
            name=f"d3-{self.functional}",
            title=f"D3(BJ) dispersion for {functional.upper()}",
            licence="LGPL-3.0-or-later (s-dftd3)",
            level_of_theory=f"D3(BJ) with the parameters of {functional.upper()}",
            training_data="none: C6 and C8 from time-dependent DFT, s8, a1, a2 fitted",
            n_parameters=3,
            elements=tuple(range(1, LARGEST_ELEMENT + 1)),
            cutoff=None,
            checksum=hashlib.sha256(defined_by.encode()).hexdigest(),
            citation="S. Grimme et al., J. Chem. Phys. 132, 154104 (2010); "
            "S. Grimme, S. Ehrlich, L. Goerigk, J. Comput. Chem. 32, 1456 (2011)",
            notes=(
                "A term to be added to a potential without dispersion, not a potential.",
                (
                    "In a crystal the energy has tiny steps, where an atom leaves the "
                    "range in which neighbors are counted: numerical derivatives of it "
                    "differ from the forces by some 1e-5 eV/Å an atom, and from the "
                    "stress by some 1e-3 of it."
                ),
                "It runs on the CPU, one structure at a time.",
            ),
        )

    @cached_property
    def _damping(self) -> Any:
        return _library().RationalDampingParam(method=self.functional)

    def __getstate__(self) -> dict[str, Any]:
        """Without the library's object, which lives in this process alone."""
        return {key: v for key, v in self.__dict__.items() if key != "_damping"}

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Evaluate a batch; `edges` is not used. There are no atomic energies."""
        del edges
        found = [self._evaluate(atoms) for atoms in batch.to_atoms()]

        def tensor(values: object) -> torch.Tensor:
            return torch.as_tensor(values, dtype=batch.positions.dtype)

        forces = [-one["gradient"] * (Hartree / Bohr) for one in found]
        virial = tensor(np.stack([one["virial"] * Hartree for one in found]))
        return Prediction(
            energy=tensor([float(one["energy"]) * Hartree for one in found]),
            atomic_energies=None,
            forces=tensor(np.concatenate(forces)),
            stress=stress_from_virial(batch, 0.5 * (virial + virial.mT)),
        )

    def _evaluate(self, atoms: ase.Atoms) -> dict[str, Any]:
        """Energy, gradient and virial in Hartree and Bohr."""
        # An axis without a lattice vector is given one, which the library wants.
        cell = (atoms.cell.complete().array / Bohr, atoms.pbc)
        model = _library().DispersionModel(
            atoms.numbers, atoms.positions / Bohr, *(cell if atoms.pbc.any() else ())
        )
        model.set_realspace_cutoff(**_REACH)
        return model.get_dispersion(self._damping, grad=True)


def _library() -> Any:
    try:
        from dftd3 import interface
    except ImportError as error:
        raise MissingDependencyError(
            "Wanted the package dftd3 for dispersion, it is not installed. Install "
            "it with: pip install 'gnndesign[dispersion]'."
        ) from error
    return interface
