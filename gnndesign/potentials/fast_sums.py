"""Behler-Parrinello networks evaluated fast on the CPU.

The sums over neighbors and their derivatives are machine code (fast_sums_code.py). The
symmetry functions are linear in what it finds, and so is their standardisation: both
are folded into the first matrix of each network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Slopes
from gnndesign.potentials.fast_block import SumsLayout
from gnndesign.potentials.fast_sums_code import OF_ATOM, PHASES, code_key, write_code
from gnndesign.potentials.kernels.cpu_code import HEADER, PROGRAM_HEADER, ROW, Machine
from gnndesign.potentials.kernels.cpu_weights import this_machine
from gnndesign.potentials.kernels.machine_code import MachineCode
from gnndesign.potentials.kernels.threads import run_on_all_threads, yield_address
from gnndesign.potentials.symmetry_functions import (
    BehlerParrinelloParameters,
    angle_constants,
    channel_weights,
    radial_functions,
)

if TYPE_CHECKING:
    from gnndesign.potentials.behler_parrinello import BehlerParrinelloNetwork

MOST_CHANNELS = 4
"""The code grows with the square of the number of channels."""

_INTERVALS_PER_A = 128
"""Of the table; errors of slopes are then below the rounding of float32."""

_LEAST_LANES = 4
_ATOMS_AT_ONCE = 32


class FastSums:
    """A Behler-Parrinello network with the weights that it has now.

    Args:
        network: of a floating type, on the CPU.
        shape: of the network.

    Raises:
        ParameterError: it tells too many kinds of neighbors apart.
    """

    def __init__(
        self, network: BehlerParrinelloNetwork, shape: BehlerParrinelloParameters
    ) -> None:
        if shape.n_channels > MOST_CHANNELS:
            raise ParameterError(
                f"Wanted at most {MOST_CHANNELS} elements that are told apart, got "
                f"{shape.n_channels}."
            )
        self._dtype = network.scale.dtype
        layout = layout_of(shape, self._dtype)
        code = MachineCode(code_key(layout), lambda: write_code(layout))
        self._addresses = {name: code.address(name) for name in (*PHASES, "run")}
        self._widths = layout.moments_width, layout.invariants_width
        self._code = code  # It owns the memory of the functions.
        self._table = _table(shape, layout, self._dtype)
        self._kinds = torch.arange(len(shape.elements))
        if layout.is_weighted:
            species = torch.arange(len(shape.elements))
            like = torch.empty(0, dtype=torch.float64)
            self._kinds = channel_weights(shape, species, like)[:, 0].to(self._dtype)
        self._networks = _fold(network, shape, layout)
        self._scale = network.scale.detach().double()
        self._shift = network.shift.detach().double()

    def evaluate(
        self,
        species: Tensor,
        batch: AtomicBatch,
        edges: NeighborList,
    ) -> Slopes:
        """Energies and their derivatives.

        Args:
            species: (n_atoms,) places of the atoms' elements.
            batch: on the CPU.
            edges: both ways each, by ascending centers.
        """
        n, (width, n_invariants) = batch.n_atoms, self._widths
        rows = torch.searchsorted(edges.centers, torch.arange(n + 1))
        inputs = {
            "positions": batch.positions.detach().double().contiguous(),
            "cells": batch.cell.detach().double().contiguous(),
            "systems": batch.system_index.contiguous(),
            "rows": rows,
            "neighbors": edges.neighbors.contiguous(),
            "shifts": edges.shifts.contiguous(),
            "kinds": self._kinds.index_select(0, species),
            "table": self._table,
        }
        moments = torch.zeros((n, width), dtype=self._dtype)
        invariants = torch.zeros((n, n_invariants), dtype=self._dtype)
        self._run("forward", n, inputs, moments, invariants)
        energies, slopes = self._energies(invariants, species)
        pulls = torch.empty_like(moments)
        pairs = torch.empty((edges.n_edges, 3), dtype=torch.float64)
        atoms = torch.empty((n, OF_ATOM), dtype=torch.float64)
        self._run("backward", n, inputs, moments, pulls, slopes, pairs, atoms)
        gradient = torch.zeros((n, 3), dtype=torch.float64)
        gradient.index_add_(0, edges.neighbors, pairs)
        gradient -= atoms[:, :3]
        virial = batch.sum_over_atoms(atoms[:, 3:]).view(-1, 3, 3)
        dtype = batch.positions.dtype
        return Slopes(
            atomic_energies=energies.to(dtype),
            positions=gradient.to(dtype),
            strain=(0.5 * (virial + virial.mT)).to(dtype),
        )

    def _run(
        self, name: str, n_atoms: int, inputs: dict[str, Tensor], *others: Tensor
    ) -> None:
        """Call a function for all atoms, on all of torch's threads."""
        share = -(-n_atoms // (2 * torch.get_num_threads()))
        flag = np.zeros(1, np.int64)
        program = np.zeros(PROGRAM_HEADER + ROW, np.int64)
        program[:PROGRAM_HEADER] = (1, flag.ctypes.data, yield_address())
        row = program[PROGRAM_HEADER:]
        row[0] = self._addresses[name]
        row[2:4] = (n_atoms, max(1, min(_ATOMS_AT_ONCE, share)))
        pointers = [tensor.data_ptr() for tensor in (*inputs.values(), *others)]
        row[HEADER : HEADER + len(pointers)] = pointers
        run_on_all_threads(self._addresses["run"], program.ctypes.data)

    def _energies(self, invariants: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """(n_atoms,) eV, and their derivatives by the invariants."""
        if len(self._networks) == 1:
            energies, slopes = _network(self._networks[0], invariants)
            energies = energies * self._scale + self._shift
            return energies, (slopes * self._scale).to(self._dtype)
        energies = torch.empty(len(species), dtype=torch.float64)
        slopes = torch.empty_like(invariants)
        for element, layers in enumerate(self._networks):
            places = (species == element).nonzero()[:, 0]
            own, slope = _network(layers, invariants.index_select(0, places))
            scale, shift = self._scale[element], self._shift[element]
            energies.index_copy_(0, places, own * scale + shift)
            slopes.index_copy_(0, places, (slope * scale).to(self._dtype))
        return energies, slopes


Layers = Sequence[tuple[Tensor, Tensor]]
"""Matrix and bias of each."""


def _network(layers: Layers, invariants: Tensor) -> tuple[Tensor, Tensor]:
    """A multilayer perceptron with tanh, and its slope; in float64."""
    x = invariants.double()
    hidden: list[Tensor] = []
    for matrix, bias in layers[:-1]:
        x = torch.addmm(bias, x, matrix).tanh_()
        hidden.append(x)
    matrix, bias = layers[-1]
    energies = torch.addmm(bias, x, matrix)[:, 0]
    slope = matrix[:, 0].expand(len(x), -1)
    for y, (matrix, _) in zip(reversed(hidden), reversed(layers[:-1]), strict=True):
        slope = torch.addcmul(slope, slope * y, y, value=-1.0) @ matrix.mT
    return energies, slope


def layout_of(shape: BehlerParrinelloParameters, dtype: torch.dtype) -> SumsLayout:
    """Which sums a network needs, on this processor."""
    machine = this_machine(dtype)
    if machine.lanes < _LEAST_LANES:
        machine = Machine(
            lanes=_LEAST_LANES, registers=machine.registers, double=machine.double
        )
    return SumsLayout(
        machine=machine,
        n_radial=shape.n_radial,
        n_angular=shape.n_angular,
        n_channels=shape.n_channels,
        is_weighted=shape.resolved == "weighted",
        lmax=max(shape.zeta) if shape.n_angular else 0,
        cutoff=shape.cutoff,
        n_intervals=max(64, round(_INTERVALS_PER_A * shape.cutoff)),
    )


def _table(
    shape: BehlerParrinelloParameters, layout: SumsLayout, dtype: torch.dtype
) -> Tensor:
    """(n_intervals + 1, 4, functions_width) coefficients of the cubics.

    Each has value and slope of the function at both ends of its interval (Hermite).
    """
    step = layout.step
    nodes = torch.arange(layout.n_intervals + 1, dtype=torch.float64) * step
    functions = radial_functions(shape, nodes.dtype, nodes.device)
    value = functions.derivative(nodes, 0)
    slope = functions.derivative(nodes, 1) * step
    value[-1] = slope[-1] = 0.0
    rise = value[1:] - value[:-1]
    cubic = torch.stack(
        [
            value[:-1],
            slope[:-1],
            3.0 * rise - 2.0 * slope[:-1] - slope[1:],
            slope[:-1] + slope[1:] - 2.0 * rise,
        ],
        1,
    )
    size = (layout.n_intervals + 1, 4, layout.functions_width)
    table = torch.zeros(size, dtype=torch.float64)
    radial, width = shape.n_radial, layout.radial_width
    table[:-1, :, :radial] = cubic[:, :, :radial]
    table[:-1, :, width : width + shape.n_angular] = cubic[:, :, radial:]
    return table.to(dtype)


def _fold(
    network: BehlerParrinelloNetwork,
    shape: BehlerParrinelloParameters,
    layout: SumsLayout,
) -> list[Layers]:
    """The layers of each element's network, from invariants to an energy."""
    combine = torch.from_numpy(_symmetry_functions_of_invariants(shape, layout))
    mean = network.standardization.mean.double()
    spread = network.standardization.spread.double()
    weights = [w.detach().double() for w in network.networks.weights]
    biases = [b.detach().double() for b in network.networks.biases]
    folded: list[Layers] = []
    for element in range(len(shape.elements)):
        layers = [
            (w[element], b[element]) for w, b in zip(weights, biases, strict=True)
        ]
        matrix, bias = layers[0]
        scaled = matrix / spread[element, :, None]
        layers[0] = combine @ scaled, bias - mean[element] @ scaled
        folded.append(layers)
    return folded


def _symmetry_functions_of_invariants(
    shape: BehlerParrinelloParameters, layout: SumsLayout
) -> np.ndarray:
    """(invariants_width, n_features), see symmetry_functions.py."""
    matrix: Any = np.zeros((layout.invariants_width, shape.n_features))
    for channel in range(shape.n_channels):
        for n in range(shape.n_radial):
            place = channel * layout.functions_width + n
            matrix[place, channel * shape.n_radial + n] = 1.0
    if not shape.n_angular:
        return matrix
    by_harmonic, alone = (
        x.numpy()
        for x in angle_constants(shape.zeta, torch.float64, torch.device("cpu"))
    )
    n_angles = len(shape.angles)
    feature = shape.n_channels * shape.n_radial
    for pair, (a, b) in enumerate(shape.channel_pairs):
        half = 0.5 if a == b else 1.0
        for n in range(shape.n_angular):
            columns = slice(feature, feature + n_angles)
            for l in range(layout.n_orders):
                matrix[layout.power_place(pair, l) + n, columns] = (
                    half * by_harmonic[l * l]
                )
            if a == b:
                start = a * layout.functions_width + layout.radial_width
                matrix[start + n, columns] = -half * alone
            feature += n_angles
    return matrix
