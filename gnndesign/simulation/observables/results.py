"""`ObservableResults`: what observables know of a structure, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from gnndesign.errors import CheckpointError
from gnndesign.simulation.observables.averages import Average, Averages
from gnndesign.simulation.observables.diffusion import Diffusion
from gnndesign.simulation.observables.mean_squared_displacement import (
    MeanSquaredDisplacement,
)
from gnndesign.simulation.observables.radial_distribution import RadialDistribution
from gnndesign.simulation.observables.storage import load_tree, save_tree
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelation,
)

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservableResults:
    """What is known of one structure; None for what was not asked for.

    Attributes:
        averages: running averages of temperature, pressure, stress, energies, cell.
        rdf: radial distribution functions.
        msd: mean squared displacements and diffusion coefficients.
        vacf: velocity autocorrelation and vibrational density of states.
    """

    averages: Averages | None = None
    rdf: RadialDistribution | None = None
    msd: MeanSquaredDisplacement | None = None
    vacf: VelocityAutocorrelation | None = None


def save_results(path: Path, results: Mapping[int, ObservableResults]) -> None:
    """Write the results of structures, atomically."""
    packed = [[system, _packed(result)] for system, result in results.items()]
    save_tree(path, {"format": FORMAT, "results": packed})


def load_results(path: Path) -> dict[int, ObservableResults]:
    """What `Observables.save_results` wrote, by structure.

    Raises:
        CheckpointError: the file is missing, damaged, or of another version.
    """
    tree = load_tree(path)
    require_format(tree)
    try:
        return {system: _unpacked(results) for system, results in tree["results"]}
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} lacks something that its format {FORMAT} wants: {error!r}."
        ) from error


def require_format(tree: Any) -> None:
    """Raise CheckpointError unless a file or state is of this format."""
    found = tree.get("format") if isinstance(tree, dict) else None
    if found != FORMAT:
        raise CheckpointError(
            f"Wanted observables of format {FORMAT}, found {found}. Use the version of "
            "gnndesign that wrote them."
        )


_RESULTS = {
    kind.__name__: kind
    for kind in (
        Average,
        Averages,
        Diffusion,
        MeanSquaredDisplacement,
        ObservableResults,
        RadialDistribution,
        VelocityAutocorrelation,
    )
}


def _packed(value: Any) -> Any:
    if is_dataclass(value):
        content = {f.name: _packed(getattr(value, f.name)) for f in fields(value)}
        return {"type": type(value).__name__, "content": content}
    if isinstance(value, tuple):
        return {"tuple": [_packed(item) for item in value]}
    return {"value": value}


def _unpacked(node: Any) -> Any:
    if "type" in node:
        content = {name: _unpacked(item) for name, item in node["content"].items()}
        return _RESULTS[node["type"]](**content)
    if "tuple" in node:
        return tuple(_unpacked(item) for item in node["tuple"])
    return node["value"]
