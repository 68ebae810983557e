"""Pareto fronts and the volume they dominate; every objective is a cost here."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from gnndesign.studies import undominated


def pareto_front(
    costs: Float[ndarray, "n_points n_objectives"],
) -> Int[ndarray, " n_front"]:
    """Places of the points that no other is as good as everywhere and better once.

    Args:
        costs: (n_points, n_objectives), less is better; finite.

    Returns:
        Ascending by the first objective. Of equal points all are there.
    """
    places = np.flatnonzero(undominated(costs))
    return places[np.lexsort(costs[places].T[::-1])]


def hypervolume(
    costs: Float[ndarray, "n_points n_objectives"],
    reference: Float[ndarray, " n_objectives"],
) -> float:
    """Volume between the points and a reference point that is worse than they are.

    By inclusion of one point after the other: each adds its own box, less what the
    points after it dominate of that (L. While, L. Bradstreet and L. Barone, IEEE Trans.
    Evol. Comput. 16, 86 (2012)).

    Args:
        costs: (n_points, n_objectives), less is better. Points that are not better than
            the reference in every objective add nothing.
        reference: (n_objectives,).
    """
    inside = costs[(costs < reference).all(axis=1)]
    front = np.unique(inside[pareto_front(inside)], axis=0)
    if not len(front):
        return 0.0
    if costs.shape[1] == 2:
        # Stairs: ascending in the first, descending in the second.
        heights = np.diff(front[:, 1], prepend=reference[1])
        return float(-(heights * (reference[0] - front[:, 0])).sum())
    return float(
        sum(
            np.prod(reference - point)
            - hypervolume(np.maximum(point, front[place + 1 :]), reference)
            for place, point in enumerate(front)
        )
    )


def hypervolumes(
    costs: Float[ndarray, "n_points n_objectives"],
    reference: Float[ndarray, " n_objectives"],
) -> Float[ndarray, " n_points"]:
    """Hypervolume of the first point, of the first two, and so on.

    Args:
        costs: (n_points, n_objectives), less is better; rows of NaN add nothing.
        reference: (n_objectives,).
    """
    found = np.zeros(len(costs))
    front = np.empty((0, costs.shape[1]))
    volume = 0.0
    for place, point in enumerate(costs):
        # Comparisons with NaN are false.
        if (point < reference).all() and not (front <= point).all(axis=1).any():
            box = float(np.prod(reference - point))
            volume += box - hypervolume(np.maximum(point, front), reference)
            worse = (front >= point).all(axis=1)
            front = np.vstack([front[~worse], point])
        found[place] = volume
    return found
