"""What a job will cost is known before it starts, and is what it then costs."""

import json
import mmap
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import process_time

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from random_structures import random_structure

from gnndesign.batch import AtomicBatch
from gnndesign.disk import CACHE_VARIABLE
from gnndesign.errors import ParameterError, StructureError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation import cost, cost_measurement
from gnndesign.simulation.cost import Linear, cost_of, learn, recall
from gnndesign.simulation.estimate import (
    MEMORY_FACTOR,
    TIME_FACTOR,
    duration,
    estimate,
    size,
)
from gnndesign.simulation.langevin import Langevin
from gnndesign.simulation.memory import MemoryMeter, control_group_room, memory_budget
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.pair_count import count_pairs
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import run
from gnndesign.simulation.trajectory import TrajectoryFolder

SILICON = bulk("Si", cubic=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def kept(**changes):
    """A model as if it had been measured here, in the cache."""
    measured = cost.CostModel(
        **cost_measurement.identity(LennardJones()),
        cutoff=8.5,
        time=Linear(fixed=1e-3, per_atom=1e-5, per_pair=1e-6),
        memory=Linear(fixed=1e6, per_atom=1e4, per_pair=1e3),
        budget=10**9,
        is_memory_measured=True,
    )
    model = replace(measured, **changes)
    cost._write(cost._folder() / f"{model.device}-{model.potential}.json", model)
    return model


def test_pairs_counted_without_torch_are_those_of_the_search():
    for seed in range(100):
        atoms = random_structure(np.random.default_rng(seed))
        cutoff = (0.7, 3.1, 4.4)[seed % 3]
        found = find_neighbors(AtomicBatch.from_atoms(atoms), cutoff)
        assert count_pairs(atoms, cutoff) == found.n_edges
    assert count_pairs(ase.Atoms(), 5.0) == 0


@pytest.mark.parametrize(
    "atoms",
    [
        ase.Atoms("He", positions=[[np.nan, 0, 0]]),
        ase.Atoms("He", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True),
        ase.Atoms("He", cell=[1, 1, 1e-9], pbc=True),
    ],
)
def test_an_unusable_structure_is_refused_in_words(atoms):
    with pytest.raises(StructureError, match="not finite, or periodic"):
        estimate(atoms, "lennard-jones", 10)


def test_an_estimate_by_name_needs_no_torch():
    kept()
    code = (
        "import sys; from ase.build import bulk\n"
        "from gnndesign.simulation.estimate import estimate\n"
        "found = estimate(bulk('Si'), 'lennard-jones', 100)\n"
        "assert found.measured, found\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_the_estimate_adds_up():
    model = kept()
    found = estimate([SILICON, SILICON * (2, 1, 1)], "lennard-jones", 1000, 10)
    n_pairs = 3 * count_pairs(SILICON, 8.5)
    assert (found.n_structures, found.n_atoms, found.n_edges) == (2, 24, n_pairs)
    assert found.largest_structure_atoms == 16
    assert (found.n_batches, found.systems_per_batch, found.atoms_per_batch) == (
        1,
        2,
        24,
    )
    assert found.seconds_per_step == pytest.approx(1e-3 + 24e-5 + n_pairs * 1e-6)
    assert found.seconds == pytest.approx(1000 * found.seconds_per_step)
    assert found.memory_bytes == model.bytes(24, n_pairs)
    assert found.fits
    assert found.measured
    assert found.text == (
        "2 structures with 24 atoms, 4.2 ms a step, about 4.2 s for 1,000 steps, "
        "4.2 MB of memory, 316 kB on disk."
    )


def test_what_does_not_fit_together_goes_one_batch_after_the_other(monkeypatch):
    n_pairs = count_pairs(SILICON, 8.5)
    model = kept()
    three = int(model.bytes(24, 3 * n_pairs))
    monkeypatch.setattr("gnndesign.simulation.estimate.memory_budget", lambda: three)
    found = estimate([SILICON] * 10, "lennard-jones", 1)
    assert (found.n_batches, found.systems_per_batch, found.atoms_per_batch) == (
        4,
        3,
        24,
    )
    assert found.memory_bytes == three
    assert found.fits
    # Every batch has its fixed cost.
    assert found.seconds == pytest.approx(4e-3 + 80e-5 + 10 * n_pairs * 1e-6)
    alone = estimate([SILICON, SILICON * (4, 1, 1)], "lennard-jones", 1)
    assert (alone.n_batches, alone.fits) == (2, False)
    assert "too much for the memory" in alone.text


def test_a_relaxation_costs_at_most_all_its_steps():
    kept()
    found = estimate(SILICON, "lennard-jones", 500, is_relaxation=True)
    assert "at most" in found.text
    assert found.disk_bytes < estimate(SILICON, "lennard-jones", 500).disk_bytes


def test_figures_that_were_not_measured_here_say_so():
    typical = estimate(SILICON, "lennard-jones", 500)
    assert not typical.measured
    assert "not measured on this device" in typical.text
    assert typical.seconds > 0
    unknown = estimate(SILICON, "mine.safetensors", 500, device="cuda")
    assert unknown.seconds is None
    assert "once the potential has run" in unknown.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structures": []}, "at least one structure"),
        ({"steps": -1}, "steps >= 0"),
        ({"record_every": 0}, "record_every >= 1"),
        ({"contents": "tiny"}, "'full' or 'compact'"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    given = {"structures": SILICON, "potential": "lennard-jones", "steps": 1}
    with pytest.raises((StructureError, ParameterError), match=message):
        estimate(**(given | arguments))


@pytest.mark.parametrize("contents", ["full", "compact"])
@pytest.mark.parametrize("is_relaxation", [False, True])
def test_the_trajectory_takes_the_bytes_foretold(
    tmp_path, lennard_jones, contents, is_relaxation
):
    argon = bulk("Ar", "fcc", 5.3, cubic=True) * (4, 4, 4)
    folder = TrajectoryFolder(tmp_path / "frames", contents=contents)
    for snapshot in run(NVE(), lennard_jones, argon, max_steps=40, every=2):
        written = replace(snapshot, momenta=None) if is_relaxation else snapshot
        folder.write(written)
    real = sum(path.stat().st_size for path in folder.folder.iterdir())
    foretold = estimate(
        argon,
        "lennard-jones",
        40,
        2,
        contents=contents,
        is_relaxation=is_relaxation,
    ).disk_bytes
    assert 0.7 < foretold / real < 1.3


def test_a_model_is_measured_once_and_then_found(lennard_jones, monkeypatch):
    measured = []

    def counting(potential, identity):
        measured.append(potential)
        return replace(kept(), **identity)

    monkeypatch.setattr(cost_measurement, "measure", counting)
    first = cost_of(lennard_jones)
    assert cost_of(lennard_jones) == first
    assert recall("lennard-jones") == first
    assert len(measured) == 1
    assert learn(lennard_jones) == first
    cost_of(LennardJones(sigma=3.0))  # another checksum
    assert len(measured) == 3
    # So many threads, so fast.
    torch.set_num_threads(2)
    try:
        cost_of(lennard_jones)
    finally:
        torch.set_num_threads(1)
    assert len(measured) == 4


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"format": 1, "model": {"time": 3}}', '{"format": 99}'],
)
def test_a_damaged_file_is_measured_anew(lennard_jones, monkeypatch, content):
    monkeypatch.setattr(
        cost_measurement, "measure", lambda _, identity: replace(kept(), **identity)
    )
    model = cost_of(lennard_jones)
    for path in cost._folder().iterdir():
        path.write_text(content)
    assert recall("lennard-jones") is None
    assert cost_of(lennard_jones) == model
    assert recall("lennard-jones") == model


def test_a_number_that_is_not_finite_is_damage():
    kept()
    (path,) = cost._folder().iterdir()
    content = json.loads(path.read_text())
    for value in ("nan", "inf", "-1"):
        content["model"]["time"]["per_pair"] = float(value)
        path.write_text(json.dumps(content))
        assert recall("lennard-jones") is None


def test_only_what_was_measured_on_this_machine_is_recalled():
    kept(device="cuda", hardware="some GPU")
    assert recall("lennard-jones", "cpu") is None
    assert recall("lennard-jones", "cuda:1").hardware == "some GPU"
    assert recall("lennard-jones").hardware == "some GPU"
    assert recall("sevennet-0") is None
    kept(device="cuda", host="elsewhere")
    assert recall("lennard-jones") is None
    kept(device="cuda", library="0.0.0")
    assert recall("lennard-jones") is None


def test_other_weights_under_the_same_name_are_another_potential(tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"weights")
    digest = "9b6e5d5d"
    kept(potential=str(file), checksum=digest)
    assert recall(file) is None
    kept(potential="elsewhere", checksum=cost._checksum(str(file)))
    assert recall(file).potential == "elsewhere"


def test_a_fit_finds_the_coefficients_and_none_below_zero():
    truth = Linear(fixed=2e-3, per_atom=1e-4, per_pair=3e-6)
    samples = [
        cost_measurement._Sample(
            n_atoms=n, n_pairs=n * k, seconds=truth.at(n, n * k), peak=None
        )
        for n in (4, 32, 256)
        for k in (15, 44)
    ]
    found = cost_measurement._fit(samples, [sample.seconds for sample in samples], 0.0)
    assert found.fixed == pytest.approx(truth.fixed)
    assert found.per_atom == pytest.approx(truth.per_atom)
    assert found.per_pair == pytest.approx(truth.per_pair)
    falling = [sample.seconds - 1e-4 * sample.n_atoms for sample in samples]
    found = cost_measurement._fit(samples, np.abs(falling).tolist(), 0.0)
    assert min(found.fixed, found.per_atom, found.per_pair) >= 0


def test_as_many_atoms_fit_as_the_budget_pays():
    model = kept()
    n_atoms = model.atoms_that_fit(10**9, 40.0)
    assert model.bytes(n_atoms, 40 * n_atoms) <= 10**9
    assert model.bytes(n_atoms + 1, 40 * (n_atoms + 1)) > 10**9
    assert model.atoms_that_fit(0, 40.0) == 1


def test_memory_that_cannot_be_measured_is_taken_to_be_much(monkeypatch):
    monkeypatch.setattr(MemoryMeter, "peak", lambda _: None)
    monkeypatch.setattr(cost_measurement, "_REPEATS", (1, 2))
    model = learn(LennardJones())
    assert not model.is_memory_measured
    assert model.bytes(1000, 40_000) > 10**9


def test_the_budget_is_part_of_what_is_free():
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    assert 0 < memory_budget() < 1024 * sizes["MemAvailable"]


def test_a_control_group_limits_the_memory(tmp_path):
    groups, membership = tmp_path / "groups", tmp_path / "cgroup"
    membership.write_text("0::/job/step\n")
    (groups / "job" / "step").mkdir(parents=True)
    assert control_group_room(groups, membership) is None

    def limit(group, most, used, cached):
        (group / "memory.max").write_text(f"{most}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")

    limit(groups / "job" / "step", "max", 10, 0)
    assert control_group_room(groups, membership) is None
    limit(groups / "job", 1000, 600, 100)
    assert control_group_room(groups, membership) == 500
    limit(groups / "job" / "step", 300, 400, 0)
    assert control_group_room(groups, membership) == 0
    assert control_group_room(groups, tmp_path / "nothing") is None


def test_an_older_control_group_limits_the_memory(tmp_path):
    groups, membership = tmp_path / "groups", tmp_path / "cgroup"
    membership.write_text("9:name=systemd:/\n4:cpu,memory:/job\n0::/\n")
    group = groups / "memory" / "job"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("600\n")
    (group / "memory.stat").write_text("total_inactive_file 50\n")
    assert control_group_room(groups, membership) == 450


def test_the_meter_sees_the_highest_and_not_the_last():
    meter = MemoryMeter(torch.device("cpu"))
    if meter.peak() is None:
        pytest.skip("the system does not say")
    meter.start()
    # Given back to the system for certain, unlike an array.
    with mmap.mmap(-1, 80_000_000) as memory:
        memory[:: mmap.PAGESIZE] = bytes(-(-80_000_000 // mmap.PAGESIZE))
    assert 70e6 < meter.peak() < 120e6
    meter.start()
    assert meter.peak() < 40e6


def test_lengths_and_sizes_are_for_people():
    spans = [0.00123, 0.5, 8.0, 95.0, 5400.0, 1e6]
    assert [duration(span) for span in spans] == [
        "1.2 ms",
        "500 ms",
        "8.0 s",
        "1.6 min",
        "1.5 h",
        "12 days",
    ]
    assert [size(n) for n in (900, 4.7e7, 1.6e10, 3e13)] == [
        "0.9 kB",
        "47 MB",
        "16 GB",
        "30 TB",
    ]


def real_cost(potential, atoms, n_steps):
    """Seconds of the fastest step of a thermostatted run, and its bytes at the highest."""
    potential = cost_measurement._fresh(potential)
    meter = MemoryMeter(torch.device("cpu"))
    meter.start()
    going = run(
        Langevin(temperature_K=300.0),
        potential,
        atoms,
        max_steps=n_steps,
        every=10,
        room=Room(),
    )
    moments = []
    going.before_step = lambda: moments.append(process_time())
    for _ in going:
        pass
    return float(np.diff(moments).min()), meter.peak()


@pytest.mark.slow
@pytest.mark.parametrize(
    "atoms",
    [
        SILICON * (2, 2, 2),
        SILICON * (5, 5, 5),
        bulk("MgO", "rocksalt", 4.21) * (6, 6, 6),
    ],
    ids=["Si64", "Si1000", "MgO432"],
)
def test_a_run_costs_what_was_foretold(sevennet_0, atoms, monkeypatch):
    # On one thread the processor's time is that of the clock, if nothing else runs;
    # else it depends less on what does.
    monkeypatch.setattr(cost_measurement, "perf_counter", process_time)
    n_steps = 40 if len(atoms) < 100 else 10
    for _ in range(3):
        learn(sevennet_0)
        foretold = estimate(atoms, "sevennet-0", n_steps)
        seconds, peak = real_cost(sevennet_0, atoms, n_steps)
        time_ratio = foretold.seconds_per_step / seconds
        memory_ratio = foretold.memory_bytes / peak
        if 1 / TIME_FACTOR < time_ratio < TIME_FACTOR:
            break
    assert 1 / TIME_FACTOR < time_ratio < TIME_FACTOR
    assert 1 / MEMORY_FACTOR < memory_ratio < MEMORY_FACTOR
