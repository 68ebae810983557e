# ruff: noqa: S310
"""A real JupyterLab server that leaves nothing behind, and its notebooks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

TOKEN = "test"  # noqa: S105
START_LIMIT_S = 90
_SETTINGS = {
    "labconfig/page_config.json": {
        "disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}
    },
    # Cells out of sight would otherwise not exist in the page.
    "lab/user-settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {
        "windowingMode": "none"
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabServer:
    """A running JupyterLab.

    Attributes:
        url: without a slash at its end.
        folder: which the server shows; notebooks live here.
        log: what the server and its kernels print.
    """

    url: str
    folder: Path
    log: Path

    def notebook_url(self, name: str) -> str:
        """Opens one notebook in an otherwise empty JupyterLab."""
        return f"{self.url}/lab/tree/{name}?token={TOKEN}&reset"

    def write_notebook(self, name: str, cells: Sequence[str]) -> Path:
        """Put a notebook of code cells into the folder."""
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": spec},
        )
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def wait_for_kernel(self, name: str, *, timeout_s: float = 90) -> None:
        """Wait until an open notebook has a kernel that listens to it."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for session in json.loads(self._ask("GET", "sessions")):
                kernel = session["kernel"] or {}
                connected = kernel.get("connections", 0) > 0
                idle = kernel.get("execution_state") == "idle"
                if session["path"] == name and connected and idle:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"No kernel for {name} after {timeout_s} s:\n{self.log}")

    def stop_kernels(self) -> None:
        """End every kernel, so that the next test has the machine to itself."""
        for session in json.loads(self._ask("GET", "sessions")):
            self._ask("DELETE", f"sessions/{session['id']}")

    def _ask(self, method: str, resource: str) -> bytes:
        request = urllib.request.Request(
            f"{self.url}/api/{resource}",
            method=method,
            headers={"Authorization": f"token {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


@contextmanager
def running_lab(root: Path) -> Iterator[LabServer]:
    """Start a server with all its state under `root`; stop it in the end."""
    folder, log = root / "notebooks", root / "lab.log"
    folder.mkdir()
    for name, content in _SETTINGS.items():
        path = root / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    port = _free_port()
    server = LabServer(url=f"http://127.0.0.1:{port}", folder=folder, log=log)
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603
            _command(port, folder),
            env=os.environ | _environment(root),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(server, process)
        yield server
        server.stop_kernels()
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(root: Path) -> dict[str, str]:
    return {
        "JUPYTER_CONFIG_DIR": str(root / "config"),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
        "IPYTHONDIR": str(root / "ipython"),
        "GNNDESIGN_HOME": str(root / "gnndesign"),
    }


def _command(port: int, folder: Path) -> list[str]:
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        *(["--allow-root"] if as_root else []),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(server: LabServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/api", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"JupyterLab did not start:\n{server.log.read_text()}")
