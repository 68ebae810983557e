"""Measurements of conservation: around a closed loop, and at constant energy."""

from __future__ import annotations

import ase
import numpy as np

from gnndesign.simulation.nve import NVE
from gnndesign.simulation.results import Recorder, follow
from gnndesign.simulation.run import run
from gnndesign.training.audit_subject import Subject

_FEWEST_MOMENTS = 10
"""Through fewer no line is laid."""


def closed_loop(subject: Subject) -> tuple[float, float]:
    """Work around a closed loop, and how far work is from the change of energy.

    Every atom goes once around a circle of radius a in a plane of its own,

        r_i(t) = r_i + a ((cos t - 1) u_i + sin t v_i),   dW/dt = Σ_i F_i · dr_i/dt

    The integral of a smooth periodic function over a period by equal steps converges
    faster than any power of the step (L. N. Trefethen and J. A. C. Weideman, SIAM Rev.
    56, 385 (2014)); on the way it is integrated by its Fourier series.

    Returns:
        |∮ dW| by the length of the paths of all atoms, eV/Å; and the largest
        |E(t) - E(0) + W(t)|, eV an atom.
    """
    found = [_around(subject, atoms) for atoms in subject.structures]
    return max(loop for loop, _ in found), max(apart for _, apart in found)


def nve_drift(subject: Subject) -> tuple[float] | str:
    """Drift of the total energy at constant energy, meV an atom and ps.

    The slope of a straight line through the total energies after the first tenth of
    the run, of the structure that drifts most. Where a guard stops a run (the structure
    falls apart), that of the run until then.
    """
    structures = [atoms for atoms in subject.structures if len(atoms) > 1]
    if not structures:
        return "One atom alone does not move."
    settings = subject.settings
    stepper = NVE(
        temperature_K=settings.temperature_K,
        timestep_fs=timestep_of(subject),
        seed=subject.seed,
        # What drifts is measured, not stopped.
        max_energy_drift_meV=1e9,
    )
    going = run(
        stepper,
        subject.potential,
        structures,
        max_steps=settings.nve_steps,
        every=max(settings.nve_steps // 100, 1),
    )
    recorder = follow(going, len(structures))
    drifts: list[float] = []
    for k, atoms in enumerate(structures):
        history = recorder.history(k)
        if len(history.step) < _FEWEST_MOMENTS:
            return (
                f"The run of {atoms.symbols} was stopped at once: {_why(recorder, k)}"
            )
        if history.step[-1] < settings.nve_steps:
            subject.notes.append(
                f"{atoms.symbols} was stopped at {history.time_fs[-1]:.0f} fs: "
                f"{_why(recorder, k)}"
            )
        total = history.energy + history.kinetic_energy
        late = history.time_fs >= 0.1 * history.time_fs[-1]
        slope = np.polyfit(history.time_fs[late], total[late], 1)[0]
        drifts.append(abs(float(slope)) * 1e6 / len(atoms))
    return (max(drifts),)


def _why(recorder: Recorder, system: int) -> str:
    found = recorder.last(system)
    return "no reason is known." if found is None else found[0].messages[found[1]]


def timestep_of(subject: Subject) -> float:
    """fs; as set, or short enough for the lightest atom."""
    if subject.settings.timestep_fs is not None:
        return subject.settings.timestep_fs
    lightest = min(float(atoms.get_masses().min()) for atoms in subject.structures)
    return 0.5 if lightest < 3.0 else 1.0


def _around(subject: Subject, atoms: ase.Atoms) -> tuple[float, float]:
    n, radius = subject.settings.loop_points, subject.settings.loop_radius
    frames = np.linalg.qr(subject.rng.normal(size=(len(atoms), 3, 3)))[0]
    u, v = radius * frames[:, 0], radius * frames[:, 1]
    angles = 2.0 * np.pi * np.arange(n) / n
    path: list[ase.Atoms] = []
    power = np.zeros(n)
    for angle in angles:
        copy = atoms.copy()
        copy.positions += (np.cos(angle) - 1.0) * u + np.sin(angle) * v
        path.append(copy)
    energy, forces = subject.predict(path)
    for k, (angle, f) in enumerate(zip(angles, forces, strict=True)):
        power[k] = (f * (np.cos(angle) * v - np.sin(angle) * u)).sum()
    around = 2.0 * np.pi * float(power.mean())
    length = 2.0 * np.pi * radius * len(atoms)
    apart = np.abs(energy - energy[0] + _integrated(power, angles)).max()
    return abs(around) / length, float(apart) / len(atoms)


def _integrated(values: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Integral from angle 0 of a function with period 2π, at equally spaced angles."""
    series = np.fft.rfft(values)
    order = np.arange(len(series))
    order[0] = 1
    if len(values) % 2 == 0:
        series[-1] = 0.0  # The sine of the highest order is zero at all angles.
    mean = float(series[0].real) / len(values)
    series = series / (1j * order)
    series[0] = 0.0
    wave = np.fft.irfft(series, len(values))
    return wave - wave[0] + mean * angles
