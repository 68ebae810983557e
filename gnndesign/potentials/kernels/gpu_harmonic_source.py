"""Writes spherical harmonics and their gradients.

With D_l[m, b] = Σ_n T_l[m, b, n] Y_{l-1, n} it is Y_lm = Σ_b D_l[m, b] u_b for a unit
vector u, and ∂Y_lm/∂u_b = l D_l[m, b] for the polynomial that continues Y_lm away from
the unit sphere: the gradient of a solid harmonic of order l consists of solid harmonics
of order l - 1.
"""

from __future__ import annotations

from math import sqrt

from numpy import ndarray

from gnndesign.potentials.algebra import wigner_3j
from gnndesign.potentials.kernels.gpu_text import component_sum, total


def harmonic_step(l: int) -> ndarray:
    """(2 l + 1, 3, 2 l - 1) T_l, from Y_{l-1} to D_l (see above)."""
    tensor = wigner_3j(l - 1, 1, l)
    # Along the polar axis, y, only the middle component is there: sqrt(2 l + 1).
    middle = sqrt(2 * l - 1) * tensor[l - 1, 1, l]
    return (tensor * sqrt(2 * l + 1) / middle).transpose(2, 1, 0)


def harmonic_lines(lmax: int) -> list[str]:
    """Y_lm as y{l}_{m} and D_l[m, b] as d{l}_{m}_{b}, from u_0, u_1 and u_2."""
    lines: list[str] = []
    for l in range(1, lmax + 1):
        step = harmonic_step(l)
        for m in range(2 * l + 1):
            parts: list[str] = []
            for b in range(3):
                if not step[m, b].any():
                    continue
                if l == 1:  # Y_0 is 1.
                    lines.append(f"d1_{m}_{b} = {float(step[m, b, 0])!r}")
                else:
                    lines.append(
                        f"d{l}_{m}_{b} = {component_sum(f'y{l - 1}', step[m, b])}"
                    )
                parts.append(f"d{l}_{m}_{b} * u_{b}")
            lines.append(f"y{l}_{m} = {total(parts)}")
    return lines
