"""Figures of energies: hulls, defects, surfaces, adsorption, adhesion."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.properties.adhesion import AdhesionResult
from gnndesign.properties.adsorption import AdsorptionResult
from gnndesign.properties.defects import PointDefectsResult
from gnndesign.properties.hull import HullResult
from gnndesign.properties.surfaces import SurfacesResult
from gnndesign.units import EV_PER_A2_TO_J_PER_M2

_STABLE, _UNSTABLE, _OWN = "#009E73", "#D55E00", "#0072B2"
_LINE = "#7f7f7f"
_ON_HULL = 1e-4
"""eV/atom."""


def hull(result: HullResult) -> go.Figure:
    """The hull: energy against composition of two elements, a triangle of three.

    Raises:
        ParameterError: more than three elements have no such diagram.
    """
    n = len(result.elements)
    if n > 3:
        raise ParameterError(
            f"A hull of {n} elements ({', '.join(result.elements)}) has no diagram; "
            "wanted at most three."
        )
    figure = _triangle(result) if n == 3 else _binary(result)
    return dressed(figure, height=440, name="hull")


def _fractions(result: HullResult) -> Float[np.ndarray, "n_phases n_elements"]:
    """(n_phases, n_elements) atomic fractions."""
    counts = np.array(
        [
            [phase.amounts.get(symbol, 0) for symbol in result.elements]
            for phase in result.phases
        ],
        dtype=float,
    )
    return counts / counts.sum(1, keepdims=True)


def _hover(result: HullResult) -> list[str]:
    return [
        f"{phase.formula} {phase.label or phase.origin}<br>formation {formation:.3f} "
        f"eV/atom<br>above hull {above:.3f} eV/atom"
        for phase, formation, above in zip(
            result.phases,
            result.formation_energies_per_atom,
            result.above_hull_per_atom,
            strict=True,
        )
    ]


def _add_phases(
    figure: go.Figure, result: HullResult, points: Float[np.ndarray, "n_phases 2"]
) -> None:
    """Stable, unstable, and the one asked for around its own point."""
    stable = np.array(result.above_hull_per_atom) <= _ON_HULL
    hover = np.array(_hover(result))
    formulas = np.array([phase.formula for phase in result.phases])
    for where, name, color, symbol in (
        (stable, "On the hull", _STABLE, "circle"),
        (~stable, "Above the hull", _UNSTABLE, "diamond"),
    ):
        figure.add_scatter(
            x=points[where, 0],
            y=points[where, 1],
            mode="markers+text" if name == "On the hull" else "markers",
            marker={"color": color, "size": 9, "symbol": symbol},
            text=formulas[where],
            textposition="bottom center",
            name=name,
            customdata=hover[where],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.add_scatter(
        x=points[:1, 0],
        y=points[:1, 1],
        mode="markers",
        marker={"color": _OWN, "size": 18, "symbol": "circle-open", "line_width": 3},
        name=f"{result.formula}: {1e3 * result.energy_above_hull_per_atom:.0f} "
        "meV/atom above",
        hoverinfo="skip",
    )


def _binary(result: HullResult) -> go.Figure:
    energies = np.array(result.formation_energies_per_atom)
    fractions = _fractions(result)[:, -1]
    on_hull = np.array(result.above_hull_per_atom) <= _ON_HULL
    order = np.flatnonzero(on_hull)[np.argsort(fractions[on_hull], kind="stable")]
    figure = go.Figure()
    figure.add_scatter(
        x=fractions[order],
        y=energies[order],
        mode="lines",
        line={"color": _LINE, "width": 2},
        showlegend=False,
        hoverinfo="skip",
    )
    _add_phases(figure, result, np.stack([fractions, energies], 1))
    figure.update_xaxes(title_text=f"Fraction of {result.elements[-1]}")
    figure.update_yaxes(title_text="Formation energy (eV/atom)")
    return figure


def _triangle(result: HullResult) -> go.Figure:
    from scipy.spatial import ConvexHull

    fractions = _fractions(result)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    points = fractions @ corners
    energies = np.array(result.formation_energies_per_atom)
    figure = go.Figure()
    stable = np.flatnonzero(np.array(result.above_hull_per_atom) <= _ON_HULL)
    # The lids of the hull: a point far above makes every lower face look down.
    above = np.array([[0.5, 0.3, 1.0 + 2 * np.abs(energies).max()]])
    space = np.column_stack([points[stable], energies[stable]])
    faces = ConvexHull(np.vstack([space, above]), qhull_options="QJ")
    edges = {
        tuple(sorted(pair))
        for face, plane in zip(faces.simplices, faces.equations, strict=True)
        if plane[2] < -1e-9 and len(space) not in face
        for pair in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0]))
    }
    rim = [np.flatnonzero(fractions[stable, k] > 1 - 1e-9)[0] for k in range(3)]
    edges |= {tuple(sorted((rim[k], rim[k - 1]))) for k in range(3)}
    lines = np.array(
        [[*points[stable[i]], *points[stable[j]]] for i, j in sorted(edges)]
    )
    gap = np.full(len(lines), np.nan)
    figure.add_scatter(
        x=np.stack([lines[:, 0], lines[:, 2], gap], 1).ravel(),
        y=np.stack([lines[:, 1], lines[:, 3], gap], 1).ravel(),
        mode="lines",
        line={"color": _LINE, "width": 1},
        showlegend=False,
        hoverinfo="skip",
    )
    _add_phases(figure, result, points)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def point_defects(result: PointDefectsResult) -> go.Figure:
    """Formation energies of defects as bars, of the larger supercell beside."""
    figure = go.Figure()
    names = [defect.name for defect in result.defects]
    figure.add_bar(
        x=names,
        y=[defect.formation_energy for defect in result.defects],
        marker_color=COLORS[0],
        customdata=[f"{d.kind}, {d.site}" for d in result.defects],
        name=f"{result.n_atoms} atoms",
        hovertemplate="%{x}: %{y:.3f} eV<br>%{customdata}<extra></extra>",
    )
    if result.larger_n_atoms is not None:
        figure.add_bar(
            x=names,
            y=[defect.larger_cell_energy for defect in result.defects],
            marker_color=COLORS[1],
            name=f"{result.larger_n_atoms} atoms",
            hovertemplate="%{x}: %{y:.3f} eV<extra></extra>",
        )
    figure.update_yaxes(title_text="Formation energy (eV)")
    figure.update_xaxes(type="category")
    return dressed(figure, height=380, name="point defects")


def surfaces(result: SurfacesResult) -> go.Figure:
    """Surface energies as bars, and the Wulff shape in space."""
    figure = make_subplots(
        cols=2, specs=[[{"type": "xy"}, {"type": "scene"}]], column_widths=[0.5, 0.5]
    )
    indices = list(result.wulff.area_fractions) if result.wulff is not None else []
    color = {index: COLORS[k % len(COLORS)] for k, index in enumerate(indices)}
    figure.add_bar(
        x=[surface.name for surface in result.surfaces],
        y=[surface.energy_J_per_m2 for surface in result.surfaces],
        marker_color=[color.get(s.miller_index, _LINE) for s in result.surfaces],
        hovertemplate="%{x}: %{y:.3f} J/m²<extra></extra>",
        showlegend=False,
        row=1,
        col=1,
    )
    if result.wulff is not None:
        shape = result.wulff
        x, y, z = (shape.vertices * EV_PER_A2_TO_J_PER_M2).T
        for family, (index, fraction) in enumerate(shape.area_fractions.items()):
            i, j, k = shape.triangles[shape.families == family].T
            if len(i) == 0:
                continue
            figure.add_mesh3d(
                x=x,
                y=y,
                z=z,
                i=i,
                j=j,
                k=k,
                color=color[index],
                flatshading=True,
                name=f"({' '.join(map(str, index))}) {100 * fraction:.0f} %",
                showlegend=True,
                hoverinfo="name",
                row=1,
                col=2,
            )
        hidden = {"visible": False}
        figure.update_scenes(
            xaxis=hidden, yaxis=hidden, zaxis=hidden, aspectmode="data"
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text="Surface energy (J/m²)")
    return dressed(figure, height=420, name="surfaces")


def adsorption(result: AdsorptionResult) -> go.Figure:
    """Adsorption energies by site as bars; down is bound."""
    figure = go.Figure()
    figure.add_bar(
        x=[site.name for site in result.sites],
        y=[site.energy for site in result.sites],
        marker_color=[
            COLORS[0] if site.is_intact else COLORS[1] for site in result.sites
        ],
        customdata=[
            f"height {site.height:.2f} Å" + ("" if site.is_intact else ", broken")
            for site in result.sites
        ],
        hovertemplate="%{x}: %{y:.3f} eV<br>%{customdata}<extra></extra>",
    )
    figure.update_yaxes(title_text="Adsorption energy (eV)", zeroline=True)
    figure.update_xaxes(type="category")
    return dressed(figure, height=380, name="adsorption", legend=False)


def adhesion(result: AdhesionResult) -> go.Figure:
    """Work of adhesion of rigid slabs against separation, and the relaxed one."""
    figure = go.Figure()
    order = np.argsort(result.separations)
    for place, (shift, work) in enumerate(
        zip(result.shifts, result.rigid_work, strict=True)
    ):
        figure.add_scatter(
            x=result.separations[order],
            y=work[order] * EV_PER_A2_TO_J_PER_M2,
            mode="lines+markers",
            line={"color": COLORS[place % len(COLORS)]},
            name=f"Rigid, shift ({shift[0]:.2f}, {shift[1]:.2f})",
            hovertemplate="%{x:.2f} Å: %{y:.3f} J/m²<extra></extra>",
        )
    figure.add_hline(
        y=result.work_of_adhesion_J_per_m2,
        line={"dash": "dot", "width": 1},
        annotation_text=f"Relaxed: {result.work_of_adhesion_J_per_m2:.2f} J/m²",
    )
    figure.update_xaxes(title_text="Separation (Å)")
    figure.update_yaxes(title_text="Work of adhesion (J/m²)")
    return dressed(figure, height=380, name="adhesion")
