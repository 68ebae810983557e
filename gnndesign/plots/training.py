"""Figures of data sets, of symmetry audits and of the error bars of committees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.potentials.calibration import Calibration
from gnndesign.training.baseline import energy_above_baseline
from gnndesign.training.dataset import Dataset
from gnndesign.training.symmetry import Audit, AuditRow
from gnndesign.units import EV_PER_A3_TO_GPA

_N_BINS = 60
_LEAST = 1e-18
"""A logarithmic axis has no zero; smaller numbers are drawn here."""


def label_distributions(dataset: Dataset, *, max_groups: int = 6) -> go.Figure:
    """How energies, force components and pressures are distributed, by group.

    Each line is a density, with an area of one. Energies are per atom after the
    baseline of `fit_baseline`; pressure is minus a third of the trace of the stress.
    What the data set has no labels of has no panel.

    Args:
        dataset: any.
        max_groups: the largest groups with a line of their own.

    Raises:
        ParameterError: no groups.
    """
    if max_groups < 1:
        raise ParameterError(f"Wanted max_groups >= 1, got {max_groups}.")
    values = {
        "Energy per atom after the baseline (eV)": (
            energy_above_baseline(dataset) / dataset.atoms_per_structure
        )[:, None],
        "Force component (eV/Å)": None,
        "Pressure (GPa)": -np.trace(dataset.stress, axis1=1, axis2=2)[:, None]
        / 3.0
        * EV_PER_A3_TO_GPA,
    }
    members = _members(dataset.groups, max_groups)
    panels: dict[str, dict[str, np.ndarray]] = {}
    for title, rows in values.items():
        found: dict[str, np.ndarray] = {}
        for name, places in members.items():
            if rows is None:
                parts = [dataset.forces[k] for k in places]
                column = [part.ravel() for part in parts if part is not None]
                numbers = np.concatenate([np.zeros(0), *column])
            else:
                numbers = rows[places].ravel()
            found[name] = numbers[~np.isnan(numbers)]
        if any(numbers.size for numbers in found.values()):
            panels[title] = found
    figure = make_subplots(rows=1, cols=len(panels) or 1, horizontal_spacing=0.08)
    for place, (title, found) in enumerate(panels.items()):
        _add_densities(figure, found, members, place)
        figure.update_xaxes(title_text=title, row=1, col=place + 1)
        if title.startswith("Force"):  # Few are large, and these matter.
            figure.update_yaxes(type="log", row=1, col=place + 1)
    figure.update_yaxes(title_text="density", row=1, col=1)
    return dressed(figure, height=340, name="label distributions")


def symmetry_audit(audits: Audit | Sequence[Audit]) -> go.Figure:
    """The numbers of one or several audits side by side, on logarithmic axes.

    A panel a unit. A disk passed, a cross failed, at the upper end without a number;
    the line of its color is the bound. What is not applicable is not drawn.
    """
    several = [audits] if isinstance(audits, Audit) else list(audits)
    if not several:
        raise ParameterError("Wanted at least one audit, got none.")
    units = list(dict.fromkeys(row.unit for one in several for row in one.rows))
    widths = [
        len({row.name for one in several for row in one.rows if row.unit == unit})
        for unit in units
    ]
    figure = make_subplots(
        rows=1,
        cols=len(units),
        column_widths=[width + 1 for width in widths],
        horizontal_spacing=0.09,
    )
    for place, unit in enumerate(units):
        _add_unit(figure, several, unit, place)
        figure.update_yaxes(
            title_text=unit, type="log", title_standoff=2, row=1, col=place + 1
        )
    figure.update_xaxes(tickangle=-40)
    return dressed(figure, height=440, name="symmetry audit")


def calibration_curve(
    calibrations: Calibration | Mapping[str, Calibration],
) -> go.Figure:
    """Whether error bars hold as often as they say, and whether large ones are right.

    Left, the share of errors within the error bar against the probability that it
    claims, with its 95 % interval; dotted without the factor. Right, in bins of equal
    spread, the error against the error bar. Both should lie on the diagonal.

    Args:
        calibrations: one, or several by name.
    """
    several = calibrations
    if isinstance(several, Calibration):
        several = {several.quantity: several}
    if not several:
        raise ParameterError("Wanted at least one calibration, got none.")
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.14)
    _add_diagonal(figure, np.array([0.0, 1.0]), 1)
    for place, (name, one) in enumerate(several.items()):
        _add_coverage(figure, name, one, COLORS[place % len(COLORS)])
        predicted = one.factor * one.bin_spread
        figure.add_scatter(
            x=predicted,
            y=one.bin_error,
            mode="markers",
            marker={"color": COLORS[place % len(COLORS)], "size": 8},
            legendgroup=name,
            showlegend=False,
            hovertemplate=f"error bar %{{x:.3g}} {one.unit}<br>error %{{y:.3g}} "
            f"{one.unit}<extra>{name}</extra>",
            row=1,
            col=2,
        )
        _add_diagonal(figure, np.array([predicted.min(), predicted.max()]), 2)
    units = ", ".join({one.unit: "" for one in several.values()})
    axes = {
        1: ("probability claimed", "share of errors within the error bar", "linear"),
        2: (f"error bar ({units})", f"root mean square error ({units})", "log"),
    }
    for column, (x, y, kind) in axes.items():
        figure.update_xaxes(title_text=x, type=kind, row=1, col=column)
        figure.update_yaxes(title_text=y, type=kind, row=1, col=column)
    return dressed(figure, height=380, name="calibration")


def _members(groups: Sequence[str], most: int) -> dict[str, list[int]]:
    """Places by the name of the group: the largest groups, and the others as one."""
    largest = [name for name, _ in Counter(groups).most_common()]
    if len(largest) > most:
        largest = largest[: most - 1]
    found: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        name = group if group in largest else "others"
        found.setdefault(name or "all", []).append(place)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _add_densities(
    figure: go.Figure,
    found: Mapping[str, np.ndarray],
    members: Mapping[str, Sequence[int]],
    place: int,
) -> None:
    everything = np.concatenate(list(found.values()))
    low, high = np.quantile(everything, [0.0005, 0.9995]).tolist()
    margin = 0.02 * (high - low) or 1e-3
    edges = np.linspace(low - margin, high + margin, _N_BINS + 1)
    for number, (name, values) in enumerate(found.items()):
        if not values.size:
            continue
        # The few outside are counted in the bins at the ends.
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        density = counts / values.size / (edges[1] - edges[0])
        figure.add_scatter(
            x=edges,
            y=np.append(density, density[-1]),
            mode="lines",
            line={"color": COLORS[number % len(COLORS)], "shape": "hv", "width": 2},
            name=f"{name} ({len(members[name])})",
            legendgroup=name,
            showlegend=place == 0,
            hovertemplate="%{x:.4g}: %{y:.3g}<extra>" + name + "</extra>",
            row=1,
            col=place + 1,
        )


def _add_unit(
    figure: go.Figure, audits: Sequence[Audit], unit: str, place: int
) -> None:
    known = [
        row.value
        for one in audits
        for row in one.rows
        if row.unit == unit and row.value is not None and np.isfinite(row.value)
    ]
    top = 10.0 * max([*known, 1e-3])
    names = list(
        dict.fromkeys(r.name for one in audits for r in one.rows if r.unit == unit)
    )
    for number, one in enumerate(audits):
        rows = [row for row in one.rows if row.unit == unit and row.passed is not None]
        color = COLORS[number % len(COLORS)]
        shared = {"legendgroup": str(number), "row": 1, "col": place + 1}
        # Side by side within the width of a name.
        aside = 0.6 * ((number + 0.5) / len(audits) - 0.5)
        places = [names.index(row.name) + aside for row in rows]
        figure.add_scatter(
            x=places,
            y=[
                top
                if row.value is None or not np.isfinite(row.value)
                else max(row.value, _LEAST)
                for row in rows
            ],
            mode="markers",
            marker={
                "color": color,
                "size": 10,
                "symbol": ["circle" if row.passed else "x" for row in rows],
            },
            name=f"{one.potential} ({one.dtype})",
            showlegend=place == 0,
            text=[_hover(row) for row in rows],
            hovertemplate="%{text}<extra>" + one.potential + "</extra>",
            **shared,
        )
        figure.add_scatter(
            x=places,
            y=[row.bound for row in rows],
            mode="markers",
            marker={
                "symbol": "line-ew",
                "size": 22 if len(audits) == 1 else 12,
                "line": {"color": color, "width": 2},
            },
            showlegend=False,
            hovertemplate="passes up to %{y:.1e} " + unit + "<extra></extra>",
            **shared,
        )
    figure.update_xaxes(
        tickvals=list(range(len(names))),
        # The unit of the panel says energy or forces.
        ticktext=[n.removesuffix(": energy").removesuffix(": forces") for n in names],
        row=1,
        col=place + 1,
    )


def _hover(row: AuditRow) -> str:
    value = "no number" if row.value is None else f"{row.value:.3g} {row.unit}"
    verdict = "passed" if row.passed else "failed"
    note = f"<br>{row.note}" if row.note else ""
    return f"{row.measures}<br>{value}, {verdict} (up to {row.bound:.1g}){note}"


def _add_coverage(figure: go.Figure, name: str, one: Calibration, color: str) -> None:
    low, high = one.coverage_interval.T
    shared = {"legendgroup": name, "row": 1, "col": 1}
    figure.add_scatter(
        x=np.concatenate([one.levels, one.levels[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=color,
        line={"width": 0},
        opacity=0.25,
        hoverinfo="skip",
        showlegend=False,
        **shared,
    )
    lines = (
        (one.coverage, "solid", f"{name}: spread × {one.factor:.3g}"),
        (one.raw_coverage, "dot", f"{name}: spread alone"),
    )
    for values, dash, title in lines:
        figure.add_scatter(
            x=one.levels,
            y=values,
            mode="lines",
            line={"color": color, "width": 2, "dash": dash},
            name=title,
            hovertemplate="claimed %{x:.0%}<br>holds %{y:.1%}<extra></extra>",
            **shared,
        )


def _add_diagonal(figure: go.Figure, ends: np.ndarray, column: int) -> None:
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": "#7f7f7f", "dash": "dash", "width": 1},
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=column,
    )
