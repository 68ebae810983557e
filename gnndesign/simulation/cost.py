"""What a step costs with a potential on a device: measured once, and kept.

    time of a step = a + b atoms + c pairs,    memory = m0 + m1 atoms + m2 pairs

with all coefficients at least zero, the best fit to steps of a few crystals. Kept as
JSON in the cache folder, so that a process that has not loaded the potential, nor even
torch, can look it up (`recall`). Only `learn` and `cost_of` import torch.
"""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnndesign.disk import cache_folder, write_atomically

if TYPE_CHECKING:
    from gnndesign.potentials.base import Potential

FORMAT = 1

DEFAULT_REACH = 5.0
"""Å, within which pairs are counted for a potential that does not say its cutoff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """fixed + per_atom atoms + per_pair pairs."""

    fixed: float
    per_atom: float
    per_pair: float

    def at(self, n_atoms: float, n_pairs: float) -> float:
        """The value for so many atoms and directed pairs."""
        return self.fixed + self.per_atom * n_atoms + self.per_pair * n_pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Time and memory of a step of a batch.

    Attributes:
        potential: its name.
        checksum: of the potential; empty where it is not known.
        cutoff: Å, within which pairs are counted.
        device: "cpu" or "cuda".
        hardware: the name of the device, and the number of threads on a CPU.
        form: of the potential's kernels, and its floating type.
        host: the machine's name.
        library: the version of gnndesign.
        time: s a step; None where it is not known.
        memory: bytes beside those of the loaded potential; None where not known.
        budget: bytes that were free for it when it was measured.
        is_memory_measured: whether `memory` was; else it is a cautious figure.
    """

    potential: str
    checksum: str
    cutoff: float
    device: str
    hardware: str
    form: str
    host: str
    library: str
    time: Linear | None
    memory: Linear
    budget: int
    is_memory_measured: bool

    def seconds(self, n_atoms: float, n_pairs: float) -> float | None:
        """Of a step of a batch with so many atoms and directed pairs."""
        return None if self.time is None else self.time.at(n_atoms, n_pairs)

    def bytes(self, n_atoms: float, n_pairs: float) -> int:
        """Of a batch with so many atoms and directed pairs."""
        return int(self.memory.at(n_atoms, n_pairs))

    def atoms_that_fit(self, budget: float, pairs_per_atom: float) -> int:
        """Most atoms of a batch within a budget in bytes; at least 1."""
        each = self.memory.per_atom + self.memory.per_pair * pairs_per_atom
        return max(1, int((budget - self.memory.fixed) / max(each, 1.0)))


def cost_of(potential: Potential) -> CostModel:
    """The model that was kept, or else a new one, which takes seconds."""
    from gnndesign.simulation.cost_measurement import identity, measure

    wanted = identity(potential)
    path = _file(wanted)
    kept = _read(path)
    if kept is not None and all(getattr(kept, k) == v for k, v in wanted.items()):
        return kept
    model = measure(potential, wanted)
    _write(path, model)
    return model


def learn(potential: Potential) -> CostModel:
    """Measure anew, in a second or two for a fast potential, and keep the result."""
    from gnndesign.simulation.cost_measurement import identity, measure

    wanted = identity(potential)
    model = measure(potential, wanted)
    _write(_file(wanted), model)
    return model


def recall(name: str | Path, device: str | None = None) -> CostModel | None:
    """The model measured last for a potential on this machine; None without one.

    Args:
        name: as `load_potential` takes it.
        device: "cpu", "cuda", "cuda:1"; None or "auto" for what was used last.
    """
    kind = None if device in (None, "auto") else str(device).partition(":")[0]
    checksum = _checksum(str(name))
    files = sorted(
        _folder().glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    for path in files:
        model = _read(path)
        if (
            model is not None
            and (
                model.checksum == checksum if checksum else model.potential == str(name)
            )
            and kind in (None, model.device)
            and (model.host, model.library) == (platform.node(), version("gnndesign"))
        ):
            return model
    return None


def _checksum(name: str) -> str | None:
    """That of the card, where the weights are a file; as `sha256` of potentials.files,
    which needs torch.
    """
    from gnndesign.potentials import weights

    shipped = Path(weights.__file__).parent / f"{name}.safetensors"
    for path in (shipped, Path(name)):
        if path.is_file():
            return _digest(path, path.stat().st_mtime_ns)
    return None


@cache
def _digest(path: Path, modified_ns: int) -> str:
    del modified_ns  # Makes a changed file another one.
    return sha256(path.read_bytes()).hexdigest()


def _folder() -> Path:
    return cache_folder() / "costs"


def _file(wanted: dict[str, Any]) -> Path:
    key = sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    return _folder() / f"{key[:16]}.json"


def _write(path: Path, model: CostModel) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "model": asdict(model)}
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> CostModel | None:
    """None where there is none, or what is there is damaged or of another format."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            return None
        fields: dict[str, Any] = content["model"]
        time, memory = fields.pop("time"), fields.pop("memory")
        model = CostModel(
            **fields, time=time and Linear(**time), memory=Linear(**memory)
        )
        numbers = [n for part in (time, memory) if part for n in part.values()]
        whole = all(0 <= number < math.inf for number in numbers)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return model if whole else None
