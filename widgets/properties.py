"""The properties panel: what to compute of which structures, and what has come of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase
from traitlets import Dict, Enum, HasTraits, Instance, Tuple, Unicode, observe

from gnndesign.errors import (
    CheckpointError,
    GNNDesignError,
    JobError,
    ParameterError,
)
from gnndesign.jobs.properties import (
    Key,
    OutcomesReader,
    properties_of,
    properties_parameters,
    structure_names,
    typed_parameters,
)
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.properties.base import Property
from gnndesign.properties.catalog import PROPERTIES
from gnndesign.properties.export import save_outcomes
from gnndesign.properties.follow_mode import FollowMode
from gnndesign.properties.from_text import property_from_text
from gnndesign.properties.outcomes import Outcome
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.table import title_of
from gnndesign_widgets.figures import Figures
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.outcomes import (
    figure_builds,
    frames_of,
    phonons_of,
    structure_of,
)
from gnndesign_widgets.phonon_modes import PhononModes
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure import StructureModel
from gnndesign_widgets.structure_patterns import structures_from_files

SOURCES = {
    "The one shown": "shown",
    "All chosen on the desk": "chosen",
    "Files, every frame": "files",
}
"""Where structures come from."""


class PropertiesModel(HasTraits):
    """What to compute of what, the job that does, and what has come of it.

    Attributes:
        chosen: kinds of properties, see `PROPERTIES`.
        settings: by kind, what was typed into its form where that is not the default;
            see `property_from_text`.
        source: where structures come from; a value of `SOURCES`.
        files: paths and patterns such as "data/*.cif", between commas.
        job: the job that is followed.
        names: of its structures.
        outcomes: what has ended, by place of the structure and of the property.
        picked: whose figure and structure are on the stage; None for none.
        problem: why outcomes cannot be read; empty otherwise.
        figures: for the stage.
        modes: of the crystal whose phonons were picked.
    """

    chosen = Tuple(default_value=PROPERTIES[:1])
    settings: Mapping[str, Mapping[str, str]] = Dict()  # pyright: ignore[reportAssignmentType]
    source = Enum(list(SOURCES.values()), default_value="shown")
    files = Unicode("")
    names = Tuple()
    outcomes: Mapping[Key, Outcome[Any]] = Dict()  # pyright: ignore[reportAssignmentType]
    picked: Key | None = Instance(tuple, allow_none=True)  # pyright: ignore[reportAssignmentType]
    problem = Unicode("")

    def __init__(self, structure: StructureModel, potential: PotentialModel) -> None:
        super().__init__()
        self._structure = structure
        self._potential = potential
        self._reader: OutcomesReader | None = None
        self._inputs: list[ase.Atoms] = []
        self.figures = Figures(title="Properties")
        self.modes = PhononModes()
        self.modes.observe(self._play, "frames")
        self.job = JobModel(JobKind.PROPERTIES)
        self.job.observe(self._begin, "job_id")
        self.job.observe(self._read, "revision")

    def properties(self) -> list[Property[Any]]:
        """What would be computed now, in the order of the catalog.

        Raises:
            ParameterError: nothing is chosen, or a parameter makes no sense.
            StructureError: a parameter's structure cannot be read.
        """
        if not self.chosen:
            raise ParameterError("Choose a property; there is none chosen.")
        return [
            property_from_text(kind, self.settings.get(kind, {}))
            for kind in PROPERTIES
            if kind in self.chosen
        ]

    def structures(self) -> list[tuple[str, ase.Atoms]]:
        """Of what it would be computed now: names and structures.

        Raises:
            StructureError: there is none, or a file cannot be read.
            ParameterError: no file of this name.
        """
        if self.source == "files":
            return structures_from_files(self.files)
        entries = [self._structure.current]
        if self.source == "chosen":
            entries = [self._structure.entries[k] for k in self._structure.chosen]
        return [(entry.name, entry.atoms) for entry in entries]

    def start(self) -> None:
        """Submit a job.

        Raises:
            GNNDesignError: there is no structure, or a parameter makes no sense.
        """
        self._potential.require_card()
        properties = self.properties()
        names, structures = zip(*self.structures(), strict=True)
        self.job.submit(
            JobSpec.create(
                JobKind.PROPERTIES,
                potential=self._potential.name,
                structures=structures,
                parameters=properties_parameters(properties, names),
                device=self._potential.device_for_job,
            )
        )

    def set_text(self, kind: str, name: str, text: str | None) -> None:
        """Take what was typed into the form of a property; None for the default."""
        own = dict(self.settings.get(kind, {}))
        own.pop(name, None)
        if text is not None:
            own[name] = text
        self.settings = {**self.settings, kind: own}

    def title(self, key: Key) -> str:
        """Structure and property in words."""
        return f"{self.names[key[0]]}: {title_of(self.outcomes[key].kind)}"

    def export(self, path: str) -> str:
        """Write all outcomes so far to a file named .csv or .json.

        Raises:
            JobError: there are none.
            ParameterError: another suffix.
        """
        store = self.job.store
        if store is None or not self.outcomes:
            raise JobError("There is nothing to export yet; compute a property first.")
        target = Path(path).expanduser()
        save_outcomes(
            [self.outcomes[key] for key in sorted(self.outcomes)],
            target,
            names=self.names,
            properties=properties_of(store.spec),
        )
        return f"Wrote {target.resolve()}."

    def take_structure(self) -> str:
        """Put the structure that is on the stage on the desk.

        Raises:
            JobError: there is none.
        """
        atoms = self.figures.atoms
        if self.picked is None or atoms is None:
            raise JobError("Choose a row of the table first.")
        copy = atoms.copy()
        copy.info = {}
        name = self.title(self.picked)
        self._structure.add([(name, copy)])
        return f"Took {name} to the desk."

    def follow_worst_mode(self) -> None:
        """Submit a job down the imaginary modes of the crystal that was picked.

        Raises:
            JobError: it has none.
        """
        store, phonons = self.job.store, self.modes.phonons
        if store is None or self.picked is None or phonons is None or phonons.is_stable:
            raise JobError("Choose a row of phonons with imaginary modes first.")
        used = properties_of(store.spec)[self.picked[1]]
        if isinstance(used, Phonons):
            used = FollowMode.shown_by(used)
        crystal = phonons.atoms.copy()
        crystal.info = {}
        self.job.submit(
            JobSpec.create(
                JobKind.PROPERTIES,
                potential=store.spec.potential,
                structures=[crystal],
                parameters=properties_parameters([used], [self.names[self.picked[0]]]),
                device=store.spec.device,
            )
        )

    def _begin(self, _change: object = None) -> None:
        store = self.job.store
        self._reader = None if store is None else OutcomesReader(store)
        self._inputs = [] if store is None else store.spec.atoms()
        self.picked = None
        self.outcomes, self.problem = {}, ""
        self.names = () if store is None else tuple(structure_names(store.spec))
        if store is not None:
            self._refill(store)
        self._read()

    def _refill(self, store: JobStore) -> None:
        """Type what a job was started with."""
        try:
            used = properties_of(store.spec)
            typed = {each.kind: typed_parameters(store, each) for each in used}
        except (GNNDesignError, OSError) as error:
            self.problem = f"The form does not show the parameters of this job: {error}"
            return
        with self.hold_trait_notifications():
            self.settings = {**self.settings, **typed}
            self.chosen = tuple(kind for kind in PROPERTIES if kind in typed)

    def _read(self, _change: object = None) -> None:
        reader = self._reader
        if reader is None:
            return
        try:
            grown = reader.refresh()
        except (CheckpointError, OSError) as error:
            self.problem = str(error)
            return
        if grown:
            self.outcomes = dict(reader.outcomes)
            computed = [k for k, o in self.outcomes.items() if o.result is not None]
            if self.picked is None and computed:
                self.picked = computed[0]

    @observe("picked")
    def _offer(self, _change: object = None) -> None:
        """Figure and structure of what was picked."""
        outcome = None if self.picked is None else self.outcomes.get(self.picked)
        result = None if outcome is None else outcome.result
        self.modes.phonons = phonons_of(result)
        with self.figures.hold_trait_notifications():
            self.figures.builds, self.figures.clicks = {}, {}
            self.figures.title, self.figures.atoms = "Properties", None
            self.figures.frames, self.figures.is_played = (), False
            if outcome is None or self.picked is None:
                return
            self.figures.title = self.title(self.picked)
            self.figures.builds = figure_builds(outcome)
            if isinstance(result, PhononResult):
                clicks = dict.fromkeys(self.figures.builds, self.modes.click)
                self.figures.clicks = clicks
            shown = structure_of(result)
            self.figures.atoms = shown or self._inputs[self.picked[0]]
            self.figures.frames = frames_of(result)

    def _play(self, _change: object = None) -> None:
        """Play the mode that is chosen, or show the crystal at rest again."""
        with self.figures.hold_trait_notifications():
            self.figures.frames = self.modes.frames
            self.figures.is_played = bool(self.modes.frames)
