"""CHGNet as a `Potential`, through the `chgnet` package that carries its weights.

B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023). The package builds its own graphs,
of atoms and of bonds, structure by structure; the network then runs on all at once.
"""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from pathlib import Path

import ase
import numpy as np
import torch

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.adapters.packaged import packaged_file
from gnndesign.potentials.base import Card, Potential, Prediction
from gnndesign.structures.convert import to_pymatgen
from gnndesign.units import EV_PER_A3_TO_GPA

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


class CHGNetPotential(Potential):
    """CHGNet 0.3.0; magnetic moments are not passed on.

    An axis without periodicity is given a lattice vector that leaves more vacuum than
    CHGNet's range, because the package knows periodic structures alone.
    """

    cutoff = None
    needs_neighbors = True

    def __init__(self, card: Card, device: torch.device) -> None:
        from chgnet.model.model import CHGNet

        self.card = card
        self.device = device
        # The constructor announces itself on standard output, verbose or not.
        with redirect_stdout(None):
            self._model = CHGNet.load(use_device=str(device), verbose=False)
        self._model.eval()

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
        graphs = [
            self._graph(atoms, k).to(self.device)
            for k, atoms in enumerate(batch.to_atoms())
        ]
        with warnings.catch_warnings():
            # chgnet 0.4.2 turns volumes that carry a gradient into plain numbers.
            warnings.filterwarnings("ignore", "Converting a tensor with requires_grad")
            output = self._model(graphs, task="efs", return_site_energies=True)
        dtype = batch.positions.dtype
        atomic = torch.cat(list(output["site_energies"])).detach().reshape(-1).to(dtype)
        stress = torch.stack(list(output["s"])).detach().to(dtype) / EV_PER_A3_TO_GPA
        # The package takes the volume of left-handed lattice vectors for negative.
        stress = stress * torch.linalg.det(batch.cell).sign()[:, None, None]
        periodic = batch.pbc.all(1)[:, None, None]
        return Prediction(
            energy=batch.sum_over_atoms(atomic),
            atomic_energies=atomic,
            forces=torch.cat(list(output["f"])).detach().to(dtype),
            stress=torch.where(periodic, stress, torch.zeros_like(stress)),
        )

    def _graph(self, atoms: ase.Atoms, index: int):  # noqa: ANN202 - chgnet's own type
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
