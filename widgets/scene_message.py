"""Scenes as bytes: a small header and one float32 buffer an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnndesign_widgets.scene import Layer


class LayerPacker:
    """Packs layers, leaving out lasting attributes that have already been sent."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[int, dict[str, np.ndarray]]] = {}

    def pack(
        self, layers: Sequence[Layer], *, complete: bool = False
    ) -> tuple[list[dict[str, Any]], list[bytes]]:
        """Headers and buffers of one scene.

        Args:
            layers: of the scene.
            complete: send everything, to a display that has seen nothing yet; what
                the other displays know does not change.

        Returns:
            A header a layer: in `first` it says where the layer's attributes begin in
            the buffers, and in `complete` whether all of them are there. A layer that
            is not named is gone.
        """
        headers: list[dict[str, Any]] = []
        buffers: list[bytes] = []
        for layer in layers:
            known = {} if complete else self._known(layer)
            sent = [name for name in layer.attributes if name not in known]
            headers.append(
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "count": layer.count,
                    "attributes": sent,
                    "first": len(buffers),
                    "complete": not known,
                    "parameters": layer.parameters,
                }
            )
            buffers += [
                np.ascontiguousarray(layer.attributes[name], dtype="<f4").tobytes()
                for name in sent
            ]
        if not complete:
            self._sent = {
                layer.name: (
                    layer.count,
                    {name: layer.attributes[name].copy() for name in layer.lasting},
                )
                for layer in layers
            }
        return headers, buffers

    def _known(self, layer: Layer) -> set[str]:
        """Attributes that every display holds already.

        All of them are sent when one has changed: a display that must make room for
        more items needs all anyhow, and this is rare.
        """
        count, values = self._sent.get(layer.name, (-1, {}))
        if count != layer.count or any(
            not np.array_equal(values[name], layer.attributes[name])
            for name in layer.lasting
        ):
            return set()
        return set(layer.lasting)
