"""A script with checkpoints that is killed and started again ends as if it had not."""

import json
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
import torch

from gnndesign.simulation.checkpoint import load_state
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign.simulation.relaxation import METHODS

# Two of the four crystals run at a time; the others wait until one has ended.
SCRIPT = """
import json, sys
from pathlib import Path
import ase.build
from gnndesign.potentials.catalog import load_potential
from gnndesign.simulation.checkpoint import Checkpoints
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.packing import Room
from gnndesign.simulation.relaxation import METHODS, relax

folder, kind = Path(sys.argv[1]), sys.argv[2]
crystals = [ase.build.bulk("Ar", a=a, cubic=True) for a in (5.2, 5.6, 5.3, 5.4)]
for number, atoms in enumerate(crystals):
    atoms.rattle(0.1, seed=number)
common = {
    "trajectory": folder / "frames",
    "checkpoints": Checkpoints(path=folder / "checkpoint.npz", every_s=0.1),
    "room": Room(atoms=8),
}
potential = load_potential("lennard-jones", "cpu")
print("ready", flush=True)
if kind in METHODS:
    results = relax(
        crystals, potential, method=kind, cell="full", max_force=1e-7, **common
    )
else:
    results = molecular_dynamics(
        crystals, potential, ensemble=kind, temperature_K=30.0, timestep_fs=2.0,
        steps=120, record_every=3, seed=4, **common
    )
print(json.dumps([
    [r.status.name, r.steps, r.energy, r.atoms.positions.tolist(), r.atoms.cell.tolist()]
    for r in results
]))
"""


@pytest.fixture
def start():
    running = []

    def begin(folder, kind):
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SCRIPT, str(folder), kind],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def frames_of(folder):
    """All frames so far, by file, as ASE reads them."""
    return {
        path.name: [
            (
                atoms.info["step"],
                atoms.positions.tobytes(),
                atoms.cell.array.tobytes(),
                atoms.get_momenta().tobytes(),
                atoms.get_potential_energy(),
            )
            for atoms in ase.io.read(path, ":")
        ]
        for path in folder.glob("frames/[!.]*.traj")
    }


def frames_size(folder):
    return sum(path.stat().st_size for path in folder.glob("frames/[!.]*.traj"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [*METHODS, *ENSEMBLES])
def test_a_killed_script_that_is_started_again_ends_as_if_nothing_had_been(
    kind, start, tmp_path
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected = start(whole, kind).stdout.read()
    random = np.random.default_rng(list(map(ord, kind)))

    for part in (0.3, random.random(), 0.9):
        process = start(killed, kind)
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 120.0
        while frames_size(killed) < part * frames_size(whole):
            assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1 * random.random())
        process.kill()
        process.wait()
        frames_of(killed)
        if (killed / "checkpoint.npz").exists():
            load_state(killed / "checkpoint.npz", torch.device("cpu"))

    found = start(killed, kind).stdout.read()
    assert len(json.loads(found.splitlines()[-1])) == 4
    assert found == expected
    assert frames_of(killed) == frames_of(whole)
