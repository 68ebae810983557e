"""The order in which SevenNet stores the weights of one interaction, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gnndesign.potentials.algebra import SCALAR, Irrep, wigner_3j
from gnndesign.potentials.equivariant import EquivariantParameters
from gnndesign.potentials.irreps import Gate, Path, channels_of, coupling_paths

Blocks = list[tuple[int, Irrep]]
"""Channels and irreps in the order of a file, each irrep once."""


def inferred_layers(config: Mapping[str, Any]) -> list[Blocks]:
    """The layers that the package makes where no irreps are given.

    Every irrep that can be reached, up to lmax, with the same number of channels; only
    even scalars in the end.
    """
    channels, lmax = int(config["channel"]), int(config["lmax"])
    lmax_edge, lmax_node = (int(config.get(f"lmax_{k}", -1)) for k in ("edge", "node"))
    sign = -1 if config["is_parity"] else 1
    harmonics = [
        Irrep(l, sign**l) for l in range((lmax_edge if lmax_edge > 0 else lmax) + 1)
    ]
    layers: list[Blocks] = [[(channels, SCALAR)]]
    n_layers = int(config["num_convolution_layer"])
    for number in range(1, n_layers + 1):
        largest = lmax_node if lmax_node > 0 else lmax
        reached = {ir for _, x in layers[-1] for y in harmonics for ir in x * y}
        if number == n_layers:
            reached = {SCALAR}
        layers.append([(channels, ir) for ir in sorted(reached) if ir.l <= largest])
    return layers


@dataclass(frozen=True, slots=True, kw_only=True)
class SevenNetLayer:
    """One interaction in a SevenNet checkpoint.

    Attributes:
        parameters: of the whole network.
        before, after: irreps, in the order of the file.
        is_last: whether only even irreps leave the convolution.
        is_old: whether the radial weights follow the order of the paths, not of the
            messages, and Wigner 3j tensors may have another sign than e3nn's.
    """

    parameters: EquivariantParameters
    before: Blocks
    after: Blocks
    is_last: bool
    is_old: bool

    def tensors(self, state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """The weights by the names they have in an `Interaction`."""
        convolution = f"{prefix}convolution"
        hidden = self.parameters.radial_hidden
        found = {
            "convolution.denominator": state[f"{convolution}.denominator"].reshape(()),
            f"convolution.radial.weights.{len(hidden)}": self._radial(
                state, convolution
            ),
        }
        for k in range(len(hidden)):
            weight = state[f"{convolution}.weight_nn.layer{k}.weight"]
            found[f"convolution.radial.weights.{k}"] = weight
        wanted = Gate(channels_of(self.after)).before
        maps = {
            "self_connection": self._self_connection(state, prefix, wanted),
            "linear_before": _split(
                state[f"{prefix}self_interaction_1.linear.weight"],
                self.before,
                channels_of(self.before),
            ),
            "linear_after": self._linear_after(state, prefix, wanted),
        }
        for name, matrices in maps.items():
            for ir, matrix in matrices.items():
                found[f"{name}.weights.{ir}"] = matrix
        return found

    def _self_connection(
        self, state: Mapping[str, Tensor], prefix: str, wanted: Mapping[Irrep, int]
    ) -> dict[Irrep, Tensor]:
        key = f"{prefix}self_connection_intro"
        if self.parameters.self_connection == "linear":
            flat = state[f"{key}.linear.weight"]
            return self._gates_in_our_order(_split(flat, self.before, wanted))
        flat = state[f"{key}.fc_tensor_product.weight"]
        n_species = len(self.parameters.elements)
        blocks = [(channels * n_species, ir) for channels, ir in self.before]
        by_species = {
            ir: matrix.unflatten(0, (-1, n_species)).transpose(0, 1)
            for ir, matrix in _split(flat, blocks, wanted).items()
        }
        return self._gates_in_our_order(by_species)

    def _linear_after(
        self, state: Mapping[str, Tensor], prefix: str, wanted: Mapping[Irrep, int]
    ) -> dict[Irrep, Tensor]:
        paths = self._paths()
        channels = channels_of(self.before)
        sizes = channels_of((channels[p.sender], p.receiver) for p in paths)
        # e3nn sorts odd before even.
        blocks = [(size, ir) for ir, size in sorted(sizes.items())]
        flat = state[f"{prefix}self_interaction_2.linear.weight"]
        matrices = _split(flat, blocks, wanted)
        for ir, matrix in matrices.items():
            theirs = [path for path in paths if path.receiver == ir]
            rows = matrix.split([channels[path.sender] for path in theirs])
            by_path = dict(zip(theirs, rows, strict=True))
            ours = [path for path in self._our_paths() if path.receiver == ir]
            matrices[ir] = torch.cat([by_path[path] for path in ours])
        return self._gates_in_our_order(matrices)

    def _radial(self, state: Mapping[str, Tensor], convolution: str) -> Tensor:
        """The last radial layer, in our order of paths and e3nn's signs."""
        last = len(self.parameters.radial_hidden)
        weight = state[f"{convolution}.weight_nn.layer{last}.weight"]
        paths = self._paths()
        if not self.is_old:
            # Stable, so that paths with the same receiver keep their order.
            paths = sorted(paths, key=lambda path: path.receiver)
        channels = channels_of(self.before)
        columns = weight.split([channels[path.sender] for path in paths], dim=1)
        by_path = dict(zip(paths, columns, strict=True))
        stored = f"{convolution}.convolution._compiled_main_left_right._w3j"
        return torch.cat(
            [_sign(state, stored, path) * by_path[path] for path in self._our_paths()],
            1,
        )

    def _paths(self) -> list[Path]:
        """As the package enumerates them; some may lead to irreps that nobody uses."""
        largest = max(ir.l for _, ir in self.after)
        return [
            Path(sender, harmonic, receiver)
            for _, sender in self.before
            for harmonic in self.parameters.harmonics
            for receiver in sender * harmonic
            if receiver.l <= largest and (receiver.p == 1 or not self.is_last)
        ]

    def _our_paths(self) -> list[Path]:
        before, wanted = channels_of(self.before), Gate(channels_of(self.after)).before
        return coupling_paths(before, self.parameters.harmonics, wanted)

    def _gates_in_our_order(self, matrices: dict[Irrep, Tensor]) -> dict[Irrep, Tensor]:
        """Columns that make gates, sorted as the irreps they act on."""
        n_scalars = channels_of(self.after)[SCALAR]
        theirs = [(mul, ir) for mul, ir in self.after if ir.l > 0]
        parts = matrices[SCALAR].split([n_scalars, *(mul for mul, _ in theirs)], -1)
        by_irrep = {ir: p for (_, ir), p in zip(theirs, parts[1:], strict=True)}
        gates = [by_irrep[ir] for ir in channels_of(theirs)]
        return {**matrices, SCALAR: torch.cat([parts[0], *gates], -1)}


def _split(
    flat: Tensor, before: Blocks, after: Mapping[Irrep, int]
) -> dict[Irrep, Tensor]:
    """Matrices (channels in, channels out) that e3nn stores one after the other."""
    shapes = {ir: (mul, after[ir]) for mul, ir in before if ir in after}
    pieces = flat.split([rows * columns for rows, columns in shapes.values()])
    return {
        ir: piece.reshape(shape)
        for (ir, shape), piece in zip(shapes.items(), pieces, strict=True)
    }


def _sign(state: Mapping[str, Tensor], stored: str, path: Path) -> float:
    """-1 where the checkpoint's Wigner 3j tensor is minus e3nn's."""
    orders = path.sender.l, path.harmonic.l, path.receiver.l
    tensor = state.get("_".join([stored, *map(str, orders)]))
    if tensor is None:
        # Couplings with a scalar are not stored; they have no sign to differ in.
        return 1.0
    ours = torch.tensor(wigner_3j(*orders), dtype=tensor.dtype)
    for sign in (1.0, -1.0):
        if torch.allclose(tensor, sign * ours, rtol=0.0, atol=1e-5):
            return sign
    raise ValueError(f"its Wigner 3j tensor {orders} is not e3nn's")
