"""A GPU of its own for every worker of a cluster; imported where there is Dask."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin
from filelock import FileLock, Timeout


class OwnDevice(WorkerPlugin):
    """What a scheduler tells every worker that starts."""

    name = "gnndesign-device"

    def setup(self, worker: Any) -> None:
        """Take a GPU before the first call."""
        # Also set up when a second search connects; released when the process ends.
        if not hasattr(worker, "gnndesign_device"):
            worker.gnndesign_device = take_device()


def take_device(folder: Path | None = None) -> FileLock | None:
    """Set CUDA_VISIBLE_DEVICES to one GPU that no other worker of the machine has.

    Where all are taken, it is left as it is.

    Args:
        folder: where workers of this machine leave their locks; None for the system's
            folder of temporary files.

    Returns:
        What must be kept for as long as the GPU is in use; None where there is none.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        # CUDA numbers what a container shows from 0, whatever the names are.
        n_devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
        devices = [str(number) for number in range(n_devices)]
    else:
        devices = [device for device in visible.split(",") if device.strip()]
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    for device in devices:
        lock = FileLock(folder / f"gnndesign-gpu-{device.strip()}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        os.environ["CUDA_VISIBLE_DEVICES"] = device.strip()
        return lock
    return None
