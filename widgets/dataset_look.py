"""What a person should know of a data set before training on it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gnndesign.errors import ParameterError
from gnndesign.training.dataset import Dataset
from gnndesign.training.dataset_checks import (
    Duplicates,
    Outlier,
    duplicates,
    outliers,
)
from gnndesign.training.dataset_files import load_dataset
from gnndesign_widgets.controls import table

_MOST = 8
"""Lines of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLook:
    """A data set and what is wrong with it.

    Attributes:
        dataset: it.
        duplicates: structures that come twice.
        outliers: labels far from the others.
    """

    dataset: Dataset
    duplicates: Sequence[Duplicates]
    outliers: Sequence[Outlier]


def data_path(text: str) -> Path:
    """The file or folder that is meant by what was typed.

    Raises:
        ParameterError: nothing was typed, or nothing is there.
    """
    if not text.strip():
        raise ParameterError(
            "Wanted a file of labelled structures, such as data/silicon.xyz, got none."
        )
    path = Path(text.strip()).expanduser().resolve()
    if not path.exists():
        raise ParameterError(
            f"Wanted a file of labelled structures, {path} is not there."
        )
    return path


def look_at(path: Path) -> DatasetLook:
    """Load a data set and look for what is wrong with it.

    Raises:
        GNNDesignError: it cannot be read, or a label makes no sense.
    """
    dataset = load_dataset(path)
    return DatasetLook(
        dataset=dataset, duplicates=duplicates(dataset), outliers=outliers(dataset)
    )


def look_html(look: DatasetLook) -> str:
    """In a table, and what is wrong below."""
    parts = [_summary_table(look.dataset)]
    copies = sum(len(one.indices) - 1 for one in look.duplicates)
    said = f"{copies} structures are copies of others" if copies else "No duplicates"
    parts.append(f"<div><b>{said}.</b></div>")
    parts += [_line(_duplicate(one)) for one in look.duplicates[:_MOST]]
    parts += _more(len(look.duplicates))
    said = f"{len(look.outliers)} outliers" if look.outliers else "No outliers"
    parts.append(f"<div><b>{said}.</b></div>")
    parts += [_line(_outlier(one)) for one in look.outliers[:_MOST]]
    parts += _more(len(look.outliers))
    return "".join(parts)


def _summary_table(dataset: Dataset) -> str:
    found = dataset.summary()
    low, high = found.atoms_per_structure
    rows = [
        ("Structures", f"{found.n_structures:,}, {low} to {high} atoms each"),
        ("Elements", ", ".join(f"{e}: {n:,}" for e, n in found.elements.items())),
    ]
    if len(found.groups) > 1:
        groups = [f"{name or 'none'}: {n:,}" for name, n in found.groups.items()]
        rows.append(("Groups", ", ".join(groups[:12])))
    for name, values, unit, missing in (
        ("Energy", found.energy_per_atom, "eV/atom", found.n_without_energy),
        ("Force component", found.force_component, "eV/Å", found.n_without_forces),
        ("Pressure", found.pressure_GPa, "GPa", found.n_without_stress),
    ):
        said = "none"
        if values is not None:
            said = f"{values[0]:.4g} to {values[1]:.4g} {unit}"
            said += f", missing in {missing:,}" if missing else ""
        rows.append((name, said))
    rows.append(("Level of theory", found.level_of_theory))
    return table(["Data", found.source], rows)


def _duplicate(one: Duplicates) -> str:
    places = ", ".join(map(str, one.indices[:_MOST]))
    places += ", …" if len(one.indices) > _MOST else ""
    if one.agree:
        return f"structures {places}"
    return (
        f"structures {places}: energies differ by {1e3 * one.energy_spread:.3g} "
        "meV/atom; one of them is wrong"
    )


def _outlier(one: Outlier) -> str:
    return (
        f"structure {one.index}: {one.what} {one.value:.4g} {one.unit}, the median is "
        f"{one.median:.4g} {one.unit} (z = {one.z:.0f})"
    )


def _line(text: str) -> str:
    return f"<div style='line-height:1.4'>{html.escape(text)}</div>"


def _more(n: int) -> list[str]:
    return [_line(f"and {n - _MOST} more")] if n > _MOST else []
