"""Gaussians times polynomials of a distance, differentiable as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RadialFunctions:
    """Functions φ_n(r) = exp(-η_n (r - s_n)²) Σ_k a_kn (r / cutoff)^k, and mixtures.

    Their derivatives are formulas, evaluated when asked for, instead of a record of
    every operation: half of the time and memory of automatic differentiation.

    Attributes:
        eta: (n,) 1/Å².
        centers: (n,) Å, s.
        polynomials: (degree + 1, n) a, or (degree + 1, 1), the same for all.
        cutoff: Å; they are meant for distances below.
        mixture: (n, n_mixed), φ @ mixture are the functions; None for φ themselves.
    """

    eta: Float[Tensor, " n"]
    centers: Float[Tensor, " n"]
    polynomials: Float[Tensor, "_degree _n"]
    cutoff: float
    mixture: Float[Tensor, "n _n_mixed"] | None = None

    @classmethod
    def of(
        cls,
        eta: Float[np.ndarray, " n"],
        centers: Float[np.ndarray, " n"],
        polynomials: Float[np.ndarray, "_degree _n"],
        cutoff: float,
        mixture: Float[np.ndarray, "n _n_mixed"] | None,
        like: Tensor,
    ) -> RadialFunctions:
        """From arrays, on the device and in the floating type of a tensor."""
        # A tensor that is made in inference mode could not be used outside of it.
        with torch.inference_mode(mode=False):
            arrays = (eta, centers, polynomials, mixture)
            tensors = [
                None
                if array is None
                else torch.tensor(array, dtype=like.dtype, device=like.device)
                for array in arrays
            ]
        assert tensors[0] is not None
        assert tensors[1] is not None
        assert tensors[2] is not None
        return cls(
            eta=tensors[0],
            centers=tensors[1],
            polynomials=tensors[2],
            cutoff=cutoff,
            mixture=tensors[3],
        )

    def __call__(
        self, distances: Float[Tensor, " n_edges"], dtype: torch.dtype
    ) -> Float[Tensor, "n_edges _n_functions"]:
        """(n_edges, n) values; computed in the floating type of the distances."""
        return _Evaluation.apply(distances, self, 0, dtype)  # pyright: ignore[reportReturnType]

    def derivative(
        self, distances: Float[Tensor, " n_edges"], order: int
    ) -> Float[Tensor, "n_edges _n_functions"]:
        """(n_edges, n) 1/Å^order, by Leibniz' rule; not differentiable itself."""
        r = distances.detach().unsqueeze(1)
        away = r - self.centers
        gaussians = [(away * away).mul_(-self.eta).exp_()]
        for k in range(order):
            # As of Hermite polynomials: G_(k+1) = -2 η ((r - s) G_k + k G_(k-1)).
            following = away * gaussians[k]
            if k:
                following.add_(gaussians[k - 1], alpha=k)
            gaussians.append(following.mul_(-2.0 * self.eta))
        x, coefficients = r / self.cutoff, self.polynomials
        powers = x.expand(-1, len(coefficients) - 1).cumprod(1)
        powers = torch.cat([torch.ones_like(x), powers], 1)
        total = gaussians[order] * (powers @ coefficients)
        for k in range(1, order + 1):
            degrees = torch.arange(1, len(coefficients), device=x.device)
            coefficients = coefficients[1:] * degrees.unsqueeze(1) / self.cutoff
            polynomial = powers[:, : len(coefficients)] @ coefficients
            total += gaussians[order - k].mul_(comb(order, k)) * polynomial
        return total if self.mixture is None else total @ self.mixture


class _Evaluation(torch.autograd.Function):
    """A derivative of `RadialFunctions`, whose own derivative is that of next order."""

    @staticmethod
    def forward(
        ctx: Any,
        distances: Tensor,
        functions: RadialFunctions,
        order: int,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(distances)
        ctx.rest = functions, order, dtype
        return functions.derivative(distances, order).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (distances,) = ctx.saved_tensors
        functions, order, dtype = ctx.rest
        slopes = _Evaluation.apply(distances, functions, order + 1, dtype)
        assert isinstance(slopes, Tensor)
        summed = (gradients[0] * slopes).sum(1)
        return summed.to(distances.dtype), None, None, None
