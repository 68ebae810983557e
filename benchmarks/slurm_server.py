"""A SLURM of one machine for a test: controller, node and keys of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from postgresql_server import UnavailableError, free_port, install

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
N_CPUS = 4
_MEMORY_MB = 8000
_PATIENCE_S = 30.0


@contextmanager
def slurm_server() -> Generator[Path]:
    """Run controller and node as long as the context lasts.

    Programs find them by the environment variable SLURM_CONF.

    Yields:
        Path of its slurm.conf. The node says that it has four cores whatever there are.

    Raises:
        UnavailableError: there is no SLURM and it cannot be installed, this is not root,
            or it does not come up.
    """
    if os.geteuid() != 0:
        raise UnavailableError("Only root can start jobs of a SLURM node.")
    if any(shutil.which(program) is None for program in PROGRAMS):
        install("slurm-wlm")
    folder = Path(tempfile.mkdtemp(prefix="gnndesign-slurm-"))
    configuration = _configure(folder)
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    keys = (
        *(f"--key-file={folder / 'key'}", f"--socket={folder / 'munge'}"),
        *(f"--pid-file={folder / 'munge.pid'}", f"--log-file={folder / 'munge.log'}"),
        *(f"--seed-file={folder / 'seed'}", "--foreground", "--force"),
    )
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for command in (("munged", *keys), ("slurmctld", "-D"), ("slurmd", "-D")):
            name = command[0]
            log = stack.enter_context((folder / f"{name}.out").open("wb"))
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            stack.callback(_end, process)
        _wait_for_node(environment, folder)
        yield configuration


def _configure(folder: Path) -> Path:
    """Write what the three programs read."""
    folder.chmod(0o755)
    key = folder / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    settings = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": free_port(),
        "SlurmdPort": free_port(),
        "SlurmUser": "root",
        "AuthInfo": f"socket={folder / 'munge'}",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        # Nothing of the machine's control groups is touched.
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "MpiDefault": "none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SlurmdParameters": "config_overrides",
        "ReturnToService": 2,
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    lines += [
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs={N_CPUS} RealMemory={_MEMORY_MB}",
        "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    ]
    path = folder / "slurm.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def _wait_for_node(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["sinfo", "-h", "-o", "%t"],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
        )
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.3)
    said = "\n".join(
        f"{path.name}: {path.read_text(errors='replace')[-1000:]}"
        for path in sorted(folder.glob("*.out"))
    )
    raise UnavailableError(f"SLURM did not come up in {_PATIENCE_S:g} s.\n{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
