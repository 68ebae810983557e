"""What the relax and the dynamics panel share: a job on the chosen structures."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

import ase
import ipywidgets as ipw
from traitlets import HasTraits, Unicode

from gnndesign.errors import JobError
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.simulation.base import Status
from gnndesign.simulation.estimate import Estimate, estimate
from gnndesign_widgets.fixed_atoms import with_fixed_atoms
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure import StructureModel

FIXED_AXES = {
    "none": "",
    "a": "a",
    "b": "b",
    "c": "c",
    "a and b": "ab",
    "a and c": "ac",
    "b and c": "bc",
}
"""Choices of lattice vectors that stay."""

_MOST_LINES = 50
_PAUSE = 10
"""How much longer than writing the endings took it is left alone."""


class SimulationModel(HasTraits):
    """Parameters of a job, the job, and what it takes and gives back.

    Attributes:
        structure, potential: the models that say what the job takes.
        job: the job that is followed.
        fixed_atoms: those that do not move, beside those that the structures fix
            themselves; see `with_fixed_atoms`.
    """

    kind: JobKind
    fixed_atoms = Unicode("")

    def __init__(self, structure: StructureModel, potential: PotentialModel) -> None:
        super().__init__()
        self.structure = structure
        self.potential = potential
        self.job = JobModel(self.kind)

    def parameters(self) -> dict[str, Any]:
        """As the job's kind takes them."""
        raise NotImplementedError

    def structures(self) -> list[ase.Atoms]:
        """What a job would take.

        Raises:
            GNNDesignError: there is none, the potential does not know an element, or
                the fixed atoms are not there.
        """
        structures = self.structure.chosen_atoms()
        for atoms in structures:
            self.potential.require_card().check_elements(atoms.numbers.tolist())
        return [with_fixed_atoms(atoms, self.fixed_atoms) for atoms in structures]

    def estimate(self) -> Estimate:
        """What a job would cost.

        Raises:
            GNNDesignError: what `structures` raises.
        """
        parameters = self.parameters()
        return estimate(
            self.structures(),
            self.potential.name,
            parameters["steps"],
            parameters.get("record_every", 1),
            device=self.potential.device_for_job,
            is_relaxation=self.kind is JobKind.RELAX,
            contents=parameters.get("contents", "full"),
        )

    def start(self) -> None:
        """Submit a job on the chosen structures.

        Raises:
            GNNDesignError: there is no structure, the potential does not know one of
                its elements, or a parameter is out of range.
        """
        self.job.submit(
            JobSpec.create(
                self.kind,
                potential=self.potential.name,
                structures=self.structures(),
                parameters=self.parameters(),
                device=self.potential.device_for_job,
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
        n_structures = len(store.spec.structures)
        final: list[ase.Atoms] = []
        for system in range(n_structures):
            frames = store.trajectory(system)
            # One that was refused has none.
            if frames is not None:
                final.append(_without_results(frames[-1]))
                frames.close()
        if not final:
            raise JobError(f"Job {store.job_id} has no frames yet.")
        word = "relaxed" if self.kind is JobKind.RELAX else "after dynamics"
        self.structure.add(
            [
                (f"{atoms.get_chemical_formula('metal')} {word}", atoms)
                for atoms in final
            ]
        )
        return f"Took {len(final)} of {n_structures} structures to the desk."


class Endings(ipw.HTML):
    """How every structure of a job has ended, and why."""

    def __init__(self, job: JobModel) -> None:
        super().__init__()
        self._job = job
        self._formulas: Sequence[str] = ()
        self._due = 0.0
        self.layout.max_height = "200px"
        self.layout.overflow = "auto"
        job.observe(self._begin, "job_id")
        job.observe(self._show, ["revision", "state"])
        self._begin()

    def _begin(self, _change: object = None) -> None:
        store = self._job.store
        self._formulas = (
            ()
            if store is None
            else [a.get_chemical_formula("metal") for a in store.spec.atoms()]
        )
        self._due = 0.0
        self._show()

    def _show(self, _change: object = None) -> None:
        metrics = self._job.metrics
        if metrics is None:
            self.value = ""
            return
        if self._job.active and time.monotonic() < self._due:
            return
        began = time.monotonic()
        lines = [
            f"<b>{system + 1}</b> {html.escape(_ending(formula, row))}"
            for system, formula in enumerate(self._formulas)
            if (row := metrics.last(system)) and row["status"] != Status.RUNNING.name
        ]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"and {len(lines) - _MOST_LINES} more"]
        self.value = "".join(
            f"<div style='line-height:1.4'>{line}</div>" for line in lines
        )
        self._due = time.monotonic() + _PAUSE * (time.monotonic() - began)


def _ending(formula: str, row: dict[str, Any]) -> str:
    """In a sentence."""
    status = row["status"].lower().replace("_", " ")
    if row["energy"] is None:
        return f"{formula}: {status}. {row['message']}"
    said = f"{formula}: {status} after {row['step']:,} steps, {row['energy']:.4f} eV"
    if row["temperature_K"] is None:
        said += f", largest force {row['max_force']:.3g} eV/Å"
    return f"{said}. {row['message']}"


def _without_results(atoms: ase.Atoms) -> ase.Atoms:
    kept = atoms.copy()
    kept.info = {}
    return kept
