"""A PostgreSQL server for a benchmark or a test: up in a second, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USER = "test"


class UnavailableError(Exception):
    """There is no PostgreSQL here, and none could be installed; says why."""


@contextmanager
def postgresql_server(authentication: str = "trust") -> Generator[str]:
    """Run a server of its own on a free port of this machine.

    It keeps its data in a temporary folder of the system and does not wait for the disk:
    what it holds survives the death of its clients, not a loss of power.

    Args:
        authentication: how its users show who they are, as `initdb -A` takes it; the
            password of the user is "secret" where one is asked for.

    Yields:
        The URL of an empty database, without a password.

    Raises:
        UnavailableError: there is no PostgreSQL, and it cannot be installed.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="gnndesign-postgresql-"))
    as_server = _as_server_user(folder)
    data = folder / "data"
    password = folder / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    port = free_port()

    output = folder / "output"

    def call(program: str, *arguments: str) -> None:
        # Not a pipe: the server would keep it open.
        with output.open("ab") as written:
            ended = subprocess.run(
                [str(binaries / program), "-D", str(data), *arguments],
                check=False,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                **as_server,
            )
        if ended.returncode:
            raise UnavailableError(f"{program} failed: {output.read_text()}")

    try:
        call(
            *("initdb", "-A", authentication, "-U", USER, "--no-sync"),
            *("-E", "UTF8", "--locale=C", "--pwfile", str(password)),
        )
        options = (
            f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off "
            "-c max_connections=50"
        )
        call("pg_ctl", "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql+psycopg://{USER}@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """The folder of initdb and pg_ctl, after installing them where that is possible."""
    found = _installed()
    if found is None:
        install("postgresql")
        found = _installed()
    if found is None:
        raise UnavailableError("No PostgreSQL after the package was installed.")
    return found


def _installed() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    # Debian keeps them out of PATH.
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def install(package: str) -> None:
    """Install a package of a Debian system.

    Raises:
        UnavailableError: this is none, or not root, or it cannot be had.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise UnavailableError(
            f"{package} is not installed, and only root can install it from the packages "
            f"of a Debian system: apt-get install {package}."
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (
        ("update",),
        ("install", "-y", "--no-install-recommends", package),
    ):
        ended = subprocess.run(
            ["apt-get", *arguments],
            check=False,
            env=quiet,
            capture_output=True,
            text=True,
            timeout=300,
        )
    if ended.returncode:
        raise UnavailableError(f"apt-get could not do it: {ended.stderr.strip()}")


def _as_server_user(folder: Path) -> dict[str, Any]:
    """Who runs the server; PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
