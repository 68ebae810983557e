"""CHGNet as a `Potential`, through the `chgnet` package that carries its weights.

B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023). The package builds its own graphs,
of atoms and of bonds, structure by structure; the network then runs on all at once. The
derivatives are ours: the package's own are made to be trained on, which costs time and
memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.adapters.packaged import packaged_file
from gnndesign.potentials.base import Card, Potential, Prediction
from gnndesign.structures.convert import to_pymatgen

if TYPE_CHECKING:
    from chgnet.graph import CrystalGraph

_CUTOFF = 6.0
"""Å, range of CHGNet 0.3.0's atom graph."""


def packaged_checkpoint() -> Path:
    """Where the weights of CHGNet 0.3.0 lie inside the installed `chgnet` package.

    Raises:
        MissingDependencyError: `chgnet` is not installed.
        CheckpointError: this release of it does not carry the file.
    """
    file = "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar"
    return packaged_file("chgnet", file, release="chgnet>=0.4.2,<0.5")


_MOST_ATOMS_CPU, _MOST_ATOMS_GPU = 128, 2048
"""In one pass through the network, which keeps 1 to 3 MB an atom. On a CPU more are not
faster."""


class CHGNetPotential(Potential):
    """CHGNet 0.3.0 with its magnetic moments, which have no sign.

    An axis without periodicity is given a lattice vector that leaves more vacuum than
    CHGNet's range, because the package knows periodic structures alone.
    """

    cutoff = None
    needs_neighbors = True
    has_magnetic_moments = True

    def __init__(self, card: Card, device: torch.device) -> None:
        from chgnet.model.model import CHGNet

        self.card = card
        self.device = device
        # The constructor announces itself on standard output, verbose or not.
        with redirect_stdout(None):
            self._model = CHGNet.load(use_device=str(device), verbose=False)
        self._model.eval().requires_grad_(requires_grad=False)

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights."""
        return torch.float32

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Evaluate a batch; `edges` is not used.

        Raises:
            StructureError: an atom has no neighbor within 6 Å, where CHGNet is
                not defined.
        """
        del edges
        dtype = batch.positions.dtype
        parts = [
            self._network(graphs)
            for graphs in _packed(
                (self._graph(atoms, k) for k, atoms in enumerate(batch.to_atoms())),
                _MOST_ATOMS_CPU if self.device.type == "cpu" else _MOST_ATOMS_GPU,
            )
        ]

        def joined(name: str) -> Tensor:
            return torch.cat([part[name] for part in parts]).to(dtype)

        atomic = joined("energies")
        volume = torch.linalg.det(batch.cell).abs()[:, None, None]
        stress = joined("virial") / volume
        periodic = batch.pbc.all(1)[:, None, None]
        return Prediction(
            energy=batch.sum_over_atoms(atomic),
            atomic_energies=atomic,
            forces=joined("forces"),
            stress=torch.where(periodic, stress, 0.0),
            magnetic_moments_muB=joined("moments"),
        )

    def _network(self, graphs: list[CrystalGraph]) -> dict[str, Tensor]:
        """One pass: energies and moments (n_atoms,), forces, virial dE/dstrain (eV)."""
        moved = [graph.to(str(self.device)) for graph in graphs]
        sizes = [len(graph.atomic_number) for graph in moved]
        shifts = torch.zeros(sum(sizes), 3, device=self.device, requires_grad=True)
        strains = torch.zeros(len(moved), 3, 3, device=self.device, requires_grad=True)
        for graph, shift, strain in zip(
            moved, shifts.split(sizes), strains, strict=True
        ):
            lattice = graph.lattice
            away = shift @ torch.linalg.inv(lattice)
            graph.atom_frac_coord = graph.atom_frac_coord.detach() + away
            graph.lattice = lattice + lattice @ strain
        with warnings.catch_warnings():
            # chgnet 0.4.2 turns volumes that carry a gradient into plain numbers.
            warnings.filterwarnings("ignore", "Converting a tensor with requires_grad")
            output: dict[str, Any] = self._model(
                moved, task="em", return_site_energies=True
            )
        energies = torch.cat(list(output["site_energies"])).reshape(-1)
        slope, virial = torch.autograd.grad(energies.sum(), (shifts, strains))
        return {
            "energies": energies.detach(),
            "forces": -slope,
            "virial": virial,
            "moments": torch.cat(list(output["m"])).detach().reshape(-1),
        }

    def _graph(self, atoms: ase.Atoms, index: int) -> CrystalGraph:
        open_axes = np.flatnonzero(~atoms.pbc)
        if len(open_axes):
            atoms.center(vacuum=_CUTOFF, axis=tuple(open_axes))
            atoms.pbc = True
        try:
            return self._model.graph_converter(to_pymatgen(atoms))
        except ValueError as error:
            if "isolated" not in str(error):
                raise
            raise StructureError(
                f"Structure {index} ({atoms.get_chemical_formula()}) has an atom "
                f"without a neighbor within {_CUTOFF:g} Å, for which CHGNet is not "
                "defined. Bring it closer, remove it, or choose a SevenNet."
            ) from error


def _packed(
    graphs: Iterable[CrystalGraph], most_atoms: int
) -> Iterator[list[CrystalGraph]]:
    """As many graphs together as have at most `most_atoms` atoms, but at least one."""
    pack: list[CrystalGraph] = []
    n_atoms = 0
    for graph in graphs:
        if pack and n_atoms + len(graph.atomic_number) > most_atoms:
            yield pack
            pack, n_atoms = [], 0
        pack.append(graph)
        n_atoms += len(graph.atomic_number)
    if pack:
        yield pack
