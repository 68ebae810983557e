"""What workers of a cluster are asked to do in tests; they import it."""

import os
import signal
import time
from pathlib import Path


def process_id(delay_s=0.0):
    time.sleep(delay_s)
    return os.getpid()


def fail(message):
    raise ValueError(message)


def die_unless_others_did(folder, n_deaths):
    """Kill this worker, as long as fewer than `n_deaths` have died of it."""
    folder = Path(folder)
    if len(list(folder.iterdir())) < n_deaths:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(list(folder.iterdir()))


def overlap(folder, seconds):
    """How many are in here at a time, in this process."""
    mine = Path(folder) / f"{os.getpid()}-{time.monotonic_ns()}"
    mine.touch()
    time.sleep(seconds)
    n = len(list(Path(folder).glob(f"{os.getpid()}-*")))
    mine.unlink()
    return n
