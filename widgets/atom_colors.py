"""Colors of atoms: by element, or along a scale by any number an atom has."""

from __future__ import annotations

import ase
import numpy as np
from ase.data.colors import jmol_colors
from jaxtyping import Float

# Viridis at equal steps (matplotlib, CC0).
_VIRIDIS = np.array(
    [
        [0.267, 0.005, 0.329],
        [0.283, 0.141, 0.458],
        [0.254, 0.265, 0.530],
        [0.207, 0.372, 0.553],
        [0.164, 0.471, 0.558],
        [0.128, 0.567, 0.551],
        [0.135, 0.659, 0.518],
        [0.267, 0.749, 0.441],
        [0.478, 0.821, 0.318],
        [0.741, 0.873, 0.150],
        [0.993, 0.906, 0.144],
    ]
)


def atom_colors(
    atoms: ase.Atoms, color_by: str | np.ndarray
) -> tuple[Float[np.ndarray, "n_atoms 3"], list[str]]:
    """Colors of the atoms, and what stood in the way of the wanted ones."""
    by_element = jmol_colors[atoms.numbers]
    if isinstance(color_by, str):
        if color_by == "element":
            return by_element, []
        if color_by not in atoms.arrays:
            return by_element, [f"This frame has no values named {color_by!r}."]
        values = np.asarray(atoms.arrays[color_by], dtype=float)
        if values.ndim == 2:
            values = np.linalg.norm(values, axis=1)
    else:
        values = np.asarray(color_by, dtype=float)
    if values.shape != (len(atoms),):
        return by_element, [
            f"Colors for {values.shape} values do not fit {len(atoms)} atoms."
        ]
    finite = np.isfinite(values)
    if not finite.any():
        return by_element, ["No value to color by is finite."]
    low, high = values[finite].min(), values[finite].max()
    place = np.where(finite, values - low, 0.0) / max(high - low, 1e-12)
    steps = np.linspace(0, 1, len(_VIRIDIS))
    colors = np.stack([np.interp(place, steps, c) for c in _VIRIDIS.T], axis=1)
    colors[~finite] = 0.5
    return colors, [f"Colors from {low:.4g} to {high:.4g}."]
