"""Which form of a network evaluates a batch, and how it comes to be.

The plain network in torch is always there. The fused form has to be made once for a
processor: tables of the radial weights and machine code, some ten seconds, kept in the
cache folder. Where they are kept already the fused form is there at the first
evaluation; else it is made in the background while the plain network does the work.
Before it is used it must agree with the plain network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

import torch
from ase import Atoms
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import Slopes
from gnndesign.potentials.kernels.background import in_background

if TYPE_CHECKING:
    from gnndesign.potentials.fused import FusedPotential

KernelChoice = Literal["auto", "plain", "fused"]

_COMPILING = "Compiling the kernels of {} for this processor, once; about 20 seconds."

_LARGEST_DIFFERENCE = 1e-4
"""Between the plain and the fused form of a network, relative to the largest number of
its kind, or in eV and eV/Å where that is below one. The tables' errors and rounding are
a few times smaller, mistakes orders of magnitude larger."""


@runtime_checkable
class Kernel(Protocol):
    """A fused form of a network."""

    def evaluate(
        self, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> Slopes | None:
        """Energies and derivatives; None where it does not cover a distance."""
        ...


class KernelState(Enum):
    """How far the fused form is."""

    WAITING = "not asked for yet"
    MAKING = "being made"
    READY = "ready"
    REFUSED = "not available"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weight:
    """One of a network's tensors as it was: where it hangs, and what a change changes."""

    home: Mapping[str, Tensor | None]
    name: str
    tensor: Tensor
    version: int
    dtype: torch.dtype


class KernelSelection:
    """Makes the fused form of a potential's network and hands it out.

    Attributes:
        choice: "auto" takes the fused form as soon as it is there, "plain" never, and
            "fused" waits for it and refuses to go without.
        state: of the fused form.
        reason: why it was refused.
    """

    def __init__(self, potential: FusedPotential[Any]) -> None:
        self._potential = potential
        self._lock = Lock()
        self._thread: Thread | None = None
        self._kernel: Kernel | None = None
        self._made_for: list[_Weight] | None = None
        self.choice: KernelChoice = "auto"
        self.state = KernelState.WAITING
        self.reason = ""

    def choose(self, choice: KernelChoice) -> None:
        """Set `choice`.

        Raises:
            ParameterError: no such choice.
        """
        if choice not in get_args(KernelChoice):
            raise ParameterError(
                f"Wanted a kernel of {', '.join(get_args(KernelChoice))}, got {choice!r}."
            )
        self.choice = choice

    def describe(self) -> str:
        """What evaluates now, for people."""
        if self.choice == "plain":
            return "plain torch, as chosen"
        if self.state is KernelState.READY:
            return f"fused, {type(self._kernel).__name__}"
        reason = f": {self.reason}" if self.reason else ""
        return f"plain torch; the fused form is {self.state.value}{reason}"

    def current(self) -> Kernel | None:
        """The fused form, if it is to be used and is there.

        Raises:
            ParameterError: "fused" was chosen and there is no fused form.
        """
        if self.choice == "plain":
            return None
        if not self._is_current():
            self._start()
        if self.choice == "fused":
            self.wait()
            if self._kernel is None:
                raise ParameterError(
                    f"'{self._potential.card.name}' has no fused form here: "
                    f"{self.reason} Choose the kernel 'auto' or 'plain'."
                )
        return self._kernel

    def prepare(self, say: Callable[[str], None] | None = None) -> None:
        """Wait until the fused form is there or refused.

        Args:
            say: told what is going on when it takes long; else standard error is.
        """
        if self.choice == "plain":
            return
        if not self._is_current():
            self._start()
        if self.state is KernelState.MAKING:
            (say or _say)(_COMPILING.format(self._potential.card.title))
            self.wait()
            (say or _say)(f"{self._potential.card.title}: {self.describe()}.")

    def wait(self) -> None:
        """Until nothing is being made."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _weights(self) -> list[_Weight]:
        """What changes when the weights do."""
        return [
            _Weight(
                home=home,
                name=name,
                tensor=tensor,
                version=tensor._version,  # noqa: SLF001 - torch's count of changes
                dtype=tensor.dtype,
            )
            for module in self._potential.network.modules()
            for home in (module._parameters, module._buffers)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            for name, tensor in home.items()
            if tensor is not None
        ]

    def _is_current(self) -> bool:
        """Whether the weights are those that the fused form was made for; in 10 µs."""
        return self._made_for is not None and all(
            weight.home[weight.name] is weight.tensor
            and weight.tensor._version == weight.version  # noqa: SLF001
            and weight.tensor.dtype is weight.dtype
            for weight in self._made_for
        )

    def _start(self) -> None:
        with self._lock:
            if self._is_current():
                return
            weights = self._weights()
            self._made_for, self._kernel, self.reason = weights, None, ""
            self.state = KernelState.MAKING
            if self._potential.is_kernel_quick():
                self._make(weights)
                return
            if self._potential.device.type == "cuda":
                # Beside another thread's work a device cannot be prepared safely.
                _say(_COMPILING.format(self._potential.card.title))
                self._make(weights)
                return
            self._thread = in_background(lambda: self._make(weights))

    def _make(self, weights: list[_Weight]) -> None:
        try:
            kernel = self._potential.build_kernel()
            _compare(self._potential, kernel)
        except Exception as error:  # noqa: BLE001 - reported; the plain network goes on
            if self._made_for is not weights:
                return
            self.reason = str(error) or type(error).__name__
            self.state = KernelState.REFUSED
            return
        if self._made_for is weights:
            self._kernel, self.state = kernel, KernelState.READY


def _compare(potential: FusedPotential[Any], kernel: Kernel) -> None:
    """Refuse a fused form that differs from the plain network.

    Raises:
        ParameterError: it does.
    """
    batch = AtomicBatch.from_atoms(_specimens(potential), device=potential.device)
    edges = find_neighbors(batch, potential.parameters.cutoff)
    plain = potential.plain_slopes(batch, edges)
    fused = kernel.evaluate(potential.species(batch), batch, edges)
    if fused is None:
        raise ParameterError("The fused form does not cover distances above 1 Å.")
    for name in ("atomic_energies", "positions", "strain"):
        wanted, got = getattr(plain, name), getattr(fused, name)
        limit = _LARGEST_DIFFERENCE * max(1.0, float(wanted.abs().max()))
        difference = float((wanted - got).abs().max())
        if not difference <= limit:
            raise ParameterError(
                f"The fused form differs from the plain network by {difference:.2g} in "
                f"{name}; allowed is {limit:.2g}."
            )


def _specimens(potential: FusedPotential[Any]) -> list[Atoms]:
    """A crystal smaller than the cutoff and a molecule of elements it knows."""
    known = potential.parameters.elements
    first, last = known[len(known) // 3], known[-1]
    crystal = Atoms(
        [first, last, first],
        scaled_positions=[[0, 0, 0], [0.5, 0.45, 0.52], [0.1, 0.55, 0.9]],
        cell=[[4.1, 0.2, 0], [0.4, 4.6, 0.1], [-0.3, 0.2, 5.2]],
        pbc=True,
    )
    molecule = Atoms([last, first], positions=[[0, 0, 0], [1.1, 1.3, 0.8]])
    if potential.device.type == "cuda":
        # There large systems have kernels of their own, from 1024 atoms on.
        return [crystal * (7, 7, 7), crystal, molecule]
    return [crystal, molecule]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
