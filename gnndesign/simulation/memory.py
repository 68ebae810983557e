"""How much memory is free, and how much something took. Imports no torch by itself."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BUDGET_FRACTION = 0.8
"""Of the free memory; the rest is for rounding, fragments and other programs."""

_UNKNOWN_SHARE = 0.5
"""Of all memory, taken to be free where the system does not say (macOS)."""

_UNKNOWN = 4 * 2**30
"""Bytes taken to be free where not even that is known (Windows)."""

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self")


def memory_budget(device: str | torch.device = "cpu") -> int:
    """Bytes that may be taken on a device: `BUDGET_FRACTION` of what is free now.

    Args:
        device: "cpu" or a CUDA device. On the host the limit of the process's control
            group (a container, a Slurm job) counts too. Where Linux's own figures are
            missing, half of the machine's memory counts as free, or else 4 GiB.
    """
    if str(device).startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        # torch keeps what it no longer uses, and hands it out again.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(BUDGET_FRACTION * (free + kept))
    return int(BUDGET_FRACTION * _free_on_host())


def _free_on_host() -> float:
    free = _UNKNOWN
    try:
        text = Path("/proc/meminfo").read_text("utf-8")
    except OSError:
        with suppress(AttributeError, ValueError, OSError):
            whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            free = _UNKNOWN_SHARE * whole
    else:
        free = 1024 * int(_number("MemAvailable:", text) or _UNKNOWN // 1024)
    room = control_group_room(_CONTROL_GROUPS, _PROCESS / "cgroup")
    return free if room is None else min(free, room)


def control_group_room(groups: Path, membership: Path) -> int | None:
    """Bytes until the limit of a process's control group; None without a limit.

    Args:
        groups: where the control groups are mounted.
        membership: the process's file of its groups.
    """
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        return None
    rooms: list[int] = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            rooms += _rooms(groups, name, names)
        elif "memory" in controllers.split(","):
            names = (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
            rooms += _rooms(groups / "memory", name, names)
    return min(rooms, default=None)


def _rooms(mount: Path, name: str, names: tuple[str, str, str]) -> list[int]:
    """Of a group and those above it; what the group does not know is left out."""
    limit_file, usage_file, cache = names
    rooms: list[int] = []
    group = mount / name.lstrip("/")
    while group.is_relative_to(mount):
        with suppress(OSError, ValueError):  # "max" is no number and no limit.
            limit = int((group / limit_file).read_text("utf-8"))
            used = int((group / usage_file).read_text("utf-8"))
            statistics = (group / "memory.stat").read_text("utf-8")
            # Copies of files, which make place for whatever needs it.
            used -= int(_number(cache, statistics) or 0)
            rooms.append(max(0, limit - used))
        group = group.parent
    return rooms


class MemoryMeter:
    """The most memory that was in use on a device since `start`, above a base.

    On CUDA the base is what was in use at the last `start`. On the host it is what was
    resident when the meter was made, since memory given back is taken again unseen.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._base = 0
        if device.type != "cuda":
            _give_back()
            self._base = self._resident("VmRSS:") or 0

    def start(self) -> None:
        """Forget peaks so far."""
        if self._device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
            self._base = torch.cuda.memory_allocated(self._device)
            return
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5", "utf-8")

    def peak(self) -> int | None:
        """Bytes; None where the system does not say."""
        if self._device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self._device) - self._base
        highest = self._resident("VmHWM:")
        return None if highest is None else max(0, highest - self._base)

    def _resident(self, name: str) -> int | None:
        try:
            found = _number(name, (_PROCESS / "status").read_text("utf-8"))
        except OSError:
            return None
        return None if found is None else 1024 * int(found)


def _number(name: str, text: str) -> str | None:
    """What follows a name at the beginning of a line."""
    match = re.search(rf"^{re.escape(name)}\s+(\d+)", text, re.MULTILINE)
    return match and match[1]


def _give_back() -> None:
    """Make the C library return what was freed; then what is taken can be seen."""
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
