"""What the relax and the dynamics panel share: a job on the chosen structures."""

from __future__ import annotations

from typing import Any

import ase
from traitlets import HasTraits

from gnndesign.errors import JobError
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure import StructureModel


class SimulationModel(HasTraits):
    """Parameters of a job, the job, and what it takes and gives back.

    Attributes:
        job: the job that is followed.
    """

    kind: JobKind

    def __init__(self, structure: StructureModel, potential: PotentialModel) -> None:
        super().__init__()
        self._structure = structure
        self._potential = potential
        self.job = JobModel(self.kind)

    def parameters(self) -> dict[str, Any]:
        """As the job's kind takes them."""
        raise NotImplementedError

    def start(self) -> None:
        """Submit a job on the chosen structures.

        Raises:
            GNNDesignError: there is no structure, or the potential does not know one
                of its elements.
        """
        structures = self._structure.chosen_atoms()
        for atoms in structures:
            self._potential.require_card().check_elements(atoms.numbers.tolist())
        self.job.submit(
            JobSpec.create(
                self.kind,
                potential=self._potential.name,
                structures=structures,
                parameters=self.parameters(),
                device=self._potential.device_for_job,
            )
        )

    def take_result(self) -> str:
        """Put the last frames of the job on the desk.

        Raises:
            JobError: there is no job, or it has no frames yet.
        """
        store = self.job.store
        if store is None:
            raise JobError("There is no job to take a result from.")
        spec = store.spec
        final = [_without_results(atoms) for atoms in store.final_structures()]
        word = "relaxed" if self.kind is JobKind.RELAX else "after dynamics"
        self._structure.add(
            [
                (f"{atoms.get_chemical_formula('metal')} {word}", atoms)
                for atoms in final
            ]
        )
        return f"Took {len(final)} of {len(spec.structures)} structures to the desk."


def _without_results(atoms: ase.Atoms) -> ase.Atoms:
    kept = atoms.copy()
    kept.info = {}
    return kept
