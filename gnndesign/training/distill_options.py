"""How a student is made of a teacher: `Distillation`."""

from __future__ import annotations

from dataclasses import dataclass, field

from gnndesign.errors import ParameterError
from gnndesign.training.frames import Sampling
from gnndesign.training.options import Training


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """How a student is made.

    Attributes:
        temperature_K: at which the student shall be good.
        temperatures_K: at which frames to learn from are made.
        force_error_meV_per_A: root mean square error of a force component on fresh
            frames, of each kind, below which the student is good.
        rounds: at most so many.
        n_members: students in the committee, two or more.
        n_dynamics, n_deformed: frames of the first round, from the teacher's dynamics
            and deformed.
        n_candidates, n_added: frames of the student's dynamics in a later round, and
            those of them that are labelled and learned.
        n_fresh: frames of each kind in a test.
        strain, rattle: of deformed frames, see `deformed_frames`.
        largest_force: eV/Å; frames with a longer one are not learned.
        sampling: of the dynamics.
        training: of the first round.
        more_epochs: of each later round, which goes on from the weights before.
        timings: pairs of runs of teacher and student that are timed at the end; 0 for
            none.
        stability_ps: of the student's run at the end; 0 for none.
        seed: of everything random.
    """

    temperature_K: float = 300.0
    temperatures_K: tuple[float, ...] = (300.0, 600.0, 900.0)
    force_error_meV_per_A: float = 60.0
    rounds: int = 4
    n_members: int = 2
    n_dynamics: int = 60
    n_deformed: int = 30
    n_candidates: int = 120
    n_added: int = 30
    n_fresh: int = 10
    strain: float = 0.04
    rattle: float = 0.15
    largest_force: float = 30.0
    sampling: Sampling = field(default_factory=Sampling)
    training: Training = field(default_factory=lambda: Training(epochs=100))
    more_epochs: int = 50
    timings: int = 5
    stability_ps: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no distillation.

        Raises:
            ParameterError: a number out of its range.
        """
        object.__setattr__(self, "temperatures_K", tuple(self.temperatures_K))
        temperatures = (self.temperature_K, *self.temperatures_K)
        counts = (
            *(self.rounds, self.n_dynamics, self.n_added, self.n_fresh),
            self.more_epochs,
        )
        for kept, wanted in (
            (
                len(temperatures) > 1 and min(temperatures) > 0,
                f"temperatures above zero, got {temperatures} K",
            ),
            (
                self.force_error_meV_per_A > 0,
                f"a force error above zero, got {self.force_error_meV_per_A}",
            ),
            (
                min(counts) >= 1 and self.n_deformed >= 0,
                f"at least one round, frame and epoch, got {counts}",
            ),
            (
                self.n_members >= 2,
                f"two or more members that may disagree, got {self.n_members}",
            ),
            (
                self.n_candidates >= self.n_added,
                (
                    "no more added frames than candidates, got "
                    f"{self.n_added} of {self.n_candidates}"
                ),
            ),
            (
                0 <= self.strain < 0.5 and self.rattle >= 0 and self.largest_force > 0,
                (
                    "strain from 0 to 0.5, rattle >= 0 and a largest force above zero, "
                    f"got {self.strain}, {self.rattle} and {self.largest_force}"
                ),
            ),
            (self.timings >= 0, f"a number of timings >= 0, got {self.timings}"),
            (self.stability_ps >= 0, f"a time >= 0, got {self.stability_ps} ps"),
        ):
            if not kept:
                raise ParameterError(f"Distillation wants {wanted}.")
