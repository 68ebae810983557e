"""`Observables`: what was asked for, of every structure of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.simulation.base import Snapshot
from gnndesign.simulation.observables.averages import AveragesAccumulator
from gnndesign.simulation.observables.base import Observable
from gnndesign.simulation.observables.mean_squared_displacement import (
    MeanSquaredDisplacementAccumulator,
)
from gnndesign.simulation.observables.moment import (
    Moment,
    free_degrees,
    moment_of_frame,
    moments,
)
from gnndesign.simulation.observables.radial_distribution import (
    RadialDistributionAccumulator,
)
from gnndesign.simulation.observables.results import (
    FORMAT,
    ObservableResults,
    require_format,
    save_results,
)
from gnndesign.simulation.observables.storage import load_tree, save_tree
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelationAccumulator,
)
from gnndesign.structures.trajectory import TrajectoryFile

OBSERVABLES: Mapping[str, type[Observable]] = {
    "averages": AveragesAccumulator,
    "rdf": RadialDistributionAccumulator,
    "msd": MeanSquaredDisplacementAccumulator,
    "vacf": VelocityAutocorrelationAccumulator,
}
"""What may be asked for."""


class Observables:
    """Takes the snapshots of a run and keeps accumulators for every structure."""

    def __init__(
        self,
        wanted: Mapping[str, Mapping[str, Any]],
        masses: Mapping[int, np.ndarray],
        accumulators: dict[int, dict[str, Observable]],
    ) -> None:
        """Use `create`, `load` or `from_state`."""
        self._wanted = {name: dict(parameters) for name, parameters in wanted.items()}
        self._masses = dict(masses)
        self._accumulators = accumulators

    @classmethod
    def create(
        cls,
        names: Sequence[str] | Mapping[str, Mapping[str, Any]],
        *,
        skip_fs: float = 0.0,
        spacing: int | None = None,
        masses: Mapping[int, np.ndarray] | None = None,
    ) -> Observables:
        """Begin with nothing.

        Args:
            names: of `OBSERVABLES`; as a mapping, with parameters for each, such as
                `{"averages": {}, "rdf": {"r_max": 10.0, "every": 5}}`.
            skip_fs: moments before this time are ignored (equilibration).
            spacing: steps between the regular snapshots of the run (its `every`);
                found from the first two when not given.
            masses: (n_atoms,) amu of the structures, by id, whose masses are not the
                standard ones of their elements.

        Raises:
            ParameterError: an unknown name or parameter, or one out of range.
        """
        wanted = names if isinstance(names, Mapping) else {name: {} for name in names}
        unknown = [name for name in wanted if name not in OBSERVABLES]
        if unknown:
            raise ParameterError(
                f"Wanted observables of {', '.join(OBSERVABLES)}, got "
                f"{', '.join(map(repr, unknown))}."
            )
        shared = {"skip_fs": skip_fs, "spacing": spacing}
        made = cls(
            {name: {**shared, **parameters} for name, parameters in wanted.items()},
            masses or {},
            {},
        )
        try:
            made._new(0)
        except TypeError as error:
            raise ParameterError(
                f"Wanted parameters of observables: {error}."
            ) from error
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """What was asked for."""
        return tuple(self._wanted)

    @property
    def systems(self) -> tuple[int, ...]:
        """Ids of the structures seen so far."""
        return tuple(sorted(self._accumulators))

    def add(self, snapshot: Snapshot) -> None:
        """Take a moment of a run; structures seen at this step or later ignore it."""
        for system, moment in moments(snapshot, self._masses):
            self.add_moment(system, moment)

    def add_moment(self, system: int, moment: Moment) -> None:
        """Take a moment of one structure."""
        if system not in self._accumulators:
            self._accumulators[system] = self._new(system)
        for accumulator in self._accumulators[system].values():
            accumulator.add_moment(moment)

    def results(self, system: int = 0) -> ObservableResults:
        """What is known of a structure by now.

        Raises:
            ParameterError: no moment of it was seen.
        """
        if system not in self._accumulators:
            raise ParameterError(
                f"Wanted a structure of {self.systems}, got {system}: no moment of it "
                "was seen yet."
            )
        return ObservableResults(
            **{
                name: accumulator.result()
                for name, accumulator in self._accumulators[system].items()
            }
        )

    def state(self) -> dict[str, Any]:
        """Everything: a tree of dicts with arrays, numbers, strings and None."""
        return {
            "format": FORMAT,
            "wanted": self._wanted,
            "masses": [[system, mass] for system, mass in self._masses.items()],
            "systems": [
                [system, [[name, a.state()] for name, a in accumulators.items()]]
                for system, accumulators in self._accumulators.items()
            ],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Observables:
        """The observables whose `state` this is; they go on identically.

        Raises:
            CheckpointError: it is something else, or of another version.
        """
        require_format(state)
        try:
            return cls(
                state["wanted"],
                dict(state["masses"]),
                {
                    system: {
                        name: OBSERVABLES[name].from_state(content)
                        for name, content in accumulators
                    }
                    for system, accumulators in state["systems"]
                },
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"The state of observables lacks something: {error!r}. Begin them anew."
            ) from error

    def save(self, path: Path) -> None:
        """Write everything, atomically."""
        save_tree(path, self.state())

    @classmethod
    def load(cls, path: Path) -> Observables:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is missing, damaged, or of another version.
        """
        return cls.from_state(load_tree(path))

    def save_results(self, path: Path) -> None:
        """Write the results of all structures, atomically; much less than `save`."""
        save_results(path, {system: self.results(system) for system in self.systems})

    def _new(self, system: int) -> dict[str, Observable]:
        return {
            name: OBSERVABLES[name](system, **parameters)
            for name, parameters in self._wanted.items()
        }


def observe(
    trajectory: TrajectoryFile | Path | str,
    names: Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    skip_fs: float = 0.0,
    degrees_of_freedom: int | None = None,
) -> ObservableResults:
    """The same from the frames of one structure on disk.

    Args:
        trajectory: that `simulation.trajectory` wrote, or its path.
        names: as in `Observables.create`.
        skip_fs: frames before this time are ignored (equilibration).
        degrees_of_freedom: that share the kinetic energy; when not given, 3 an atom
            that moves, less 3 where the centre of mass is at rest.

    Raises:
        StructureError: there is no such trajectory.
        ParameterError: an unknown name or parameter, one out of range, or no frame.
    """
    is_mine = not isinstance(trajectory, TrajectoryFile)
    frames = TrajectoryFile(Path(trajectory)) if is_mine else trajectory
    try:
        if len(frames) == 0:
            raise ParameterError(f"Wanted frames, found none in {frames.path}.")
        steps = [int(frames[k].info["step"]) for k in range(min(len(frames), 16))]
        # The commonest: a run that was stopped leaves a frame between regular ones.
        usual = Counter(np.diff(steps).tolist()).most_common(1)
        spacing = usual[0][0] if usual else None
        observables = Observables.create(names, skip_fs=skip_fs, spacing=spacing)
        if degrees_of_freedom is None:
            degrees_of_freedom = free_degrees(frames[0])
        for frame in frames:
            observables.add_moment(0, moment_of_frame(frame, degrees_of_freedom))
        return observables.results(0)
    finally:
        if is_mine:
            frames.close()
