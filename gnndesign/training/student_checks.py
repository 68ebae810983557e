"""What a distilled potential is worth: how much faster it is, and whether it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import ase
import numpy as np

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import molecular_dynamics


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Times of one potential, an atom and step of molecular dynamics.

    Attributes:
        step_us: µs, of the whole step: neighbors, forces, integrator.
        potential_us: µs, of the potential alone.
    """

    step_us: float
    potential_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """Teacher and student, timed in turn in one process.

    Attributes:
        n_atoms: of the structure.
        teacher, student: medians over the runs.
        ratio: of whole steps, median over pairs of runs.
        potential_ratio: of the potentials alone, likewise.
    """

    n_atoms: int
    teacher: Speed
    student: Speed
    ratio: float
    potential_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """A long run of a student at constant temperature.

    Attributes:
        time_ps: simulated.
        finished: whether no guard ended it.
        message: what a guard said.
        temperature_K: mean over the second half.
        energy_drift_meV_per_atom: potential energy, mean over the last quarter less
            that over the second; small where the structure holds.
        steps_per_s: of the whole run.
    """

    time_ps: float
    finished: bool
    message: str
    temperature_K: float
    energy_drift_meV_per_atom: float
    steps_per_s: float


class _Timed(Potential):
    """A potential that adds up what its answers take."""

    def __init__(self, inner: Potential) -> None:
        self._inner = inner
        self.card, self.device, self.cutoff = inner.card, inner.device, inner.cutoff
        self.needs_neighbors = inner.needs_neighbors
        self.seconds = 0.0

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Ask and time."""
        begin = time.perf_counter()
        prediction = self._inner.predict(batch, edges)
        prediction.energy.sum().item()  # A GPU is waited for.
        self.seconds += time.perf_counter() - begin
        return prediction


def measure_speed_up(
    teacher: Potential,
    student: Potential,
    atoms: ase.Atoms,
    *,
    temperature_K: float,
    teacher_steps: int = 10,
    student_steps: int = 100,
    repeats: int = 5,
) -> SpeedUp:
    """Time Langevin dynamics with one and the other, A B A B ..., after one run of each.

    Args:
        teacher: the slow one.
        student: the fast one.
        atoms: that move.
        temperature_K: of the dynamics.
        teacher_steps: of each run of the teacher.
        student_steps: of each run of the student.
        repeats: number of pairs of runs.
    """
    teacher.prepare()
    student.prepare()
    runs: list[tuple[Speed, Speed]] = []
    for repeat in range(repeats + 1):
        pair = tuple(
            _timed_run(potential, atoms, temperature_K, steps, seed=repeat)
            for potential, steps in ((teacher, teacher_steps), (student, student_steps))
        )
        if repeat:
            runs.append((pair[0], pair[1]))
    medians = [
        Speed(
            step_us=median(pair[k].step_us for pair in runs),
            potential_us=median(pair[k].potential_us for pair in runs),
        )
        for k in range(2)
    ]
    return SpeedUp(
        n_atoms=len(atoms),
        teacher=medians[0],
        student=medians[1],
        ratio=median(slow.step_us / fast.step_us for slow, fast in runs),
        potential_ratio=median(
            slow.potential_us / fast.potential_us for slow, fast in runs
        ),
    )


def _timed_run(
    potential: Potential, atoms: ase.Atoms, temperature_K: float, steps: int, seed: int
) -> Speed:
    timed = _Timed(potential)
    marks: list[tuple[float, float]] = []
    molecular_dynamics(
        atoms,
        timed,
        temperature_K=temperature_K,
        steps=steps,
        record_every=steps,
        seed=seed,
        on_snapshot=lambda _: marks.append((time.perf_counter(), timed.seconds)),
    )
    (begin, asked), (end, answered) = marks[0], marks[-1]
    unit = 1e6 / (len(atoms) * steps)
    return Speed(step_us=unit * (end - begin), potential_us=unit * (answered - asked))


def run_long(
    student: Potential,
    atoms: ase.Atoms,
    *,
    temperature_K: float,
    time_ps: float,
    timestep_fs: float = 1.0,
    seed: int = 0,
    should_stop: Callable[[], bool] | None = None,
) -> Stability:
    """Langevin dynamics for a time, and what became of the structure."""
    steps = max(round(1e3 * time_ps / timestep_fs), 8)
    begin = time.perf_counter()
    found = molecular_dynamics(
        atoms,
        student,
        temperature_K=temperature_K,
        timestep_fs=timestep_fs,
        steps=steps,
        record_every=max(steps // 1000, 1),
        seed=seed,
        should_stop=should_stop,
    )
    taken = time.perf_counter() - begin
    history = found.history
    quarters = np.array_split(history.energy, 4)
    half = history.temperature_K[len(history.temperature_K) // 2 :]
    return Stability(
        time_ps=1e-3 * found.time_fs,
        finished=found.status is Status.FINISHED,
        message=found.message,
        temperature_K=float(half.mean()),
        energy_drift_meV_per_atom=float(
            1e3 * (quarters[3].mean() - quarters[1].mean()) / len(atoms)
        )
        if len(history.energy) >= 4
        else float("nan"),
        steps_per_s=found.steps / taken,
    )
