"""What a structure looks like: spheres, cylinders, lines and arrows as plain arrays.

No widget here: a structure and a `Style` go in, `Layer`s come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import ase
import numpy as np
from ase.data import covalent_radii
from jaxtyping import Bool, Float

from gnndesign_widgets.atom_colors import atom_colors
from gnndesign_widgets.bonds import find_bonds

BOND_RADIUS = 0.1
ARROW_RADIUS = 0.1
LONGEST_ARROW = 2.0
AXIS_COLORS = np.array([[0.84, 0.15, 0.16], [0.17, 0.63, 0.17], [0.12, 0.37, 0.80]])
FORCE_COLOR = np.array([0.90, 0.20, 0.55])
# Positions beyond this come from an integration that has exploded.
FARTHEST = 1e5


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How structures are drawn.

    Attributes:
        bonds: draw bonds.
        cell: draw the cell.
        forces: draw an arrow for every known force.
        radius_scale: dimensionless factor on the radii of the atoms.
        color_by: "element", the name of an entry of `atoms.arrays`, or (n_atoms,)
            numbers, which are spread over a color scale from lowest to highest.
    """

    bonds: bool = True
    cell: bool = True
    forces: bool = False
    radius_scale: float = 1.0
    color_by: str | np.ndarray = "element"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Many items of one kind.

    Attributes:
        name: the same from frame to frame.
        kind: "spheres", "cylinders", "lines" or "arrows".
        attributes: by name, (n_items, 3) Å or red-green-blue from 0 to 1, or (n_items,).
        lasting: names of those attributes that rarely change from frame to frame.
        parameters: of the NGL buffer.
    """

    name: str
    kind: str
    attributes: dict[str, np.ndarray]
    lasting: tuple[str, ...] = ()
    parameters: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def count(self) -> int:
        """Number of items."""
        return len(next(iter(self.attributes.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One frame, ready to be drawn.

    Attributes:
        layers: in drawing order.
        notice: what the user must know about the picture, or nothing.
    """

    layers: tuple[Layer, ...]
    notice: str = ""


def build_scene(atoms: ase.Atoms, style: Style) -> Scene:
    """Everything to draw for one structure.

    Atoms whose position is not finite are not drawn; the others keep their index.
    """
    atoms, drawn = _with_finite_geometry(atoms)
    notices: list[str] = []
    if not drawn.all():
        lost = int((~drawn).sum())
        notices.append(f"{lost} of {len(atoms)} atoms have no usable position.")
    colors, trouble = atom_colors(atoms, style.color_by)
    notices += trouble
    layers = [_atom_layer(atoms, colors, drawn, style.radius_scale)]
    if style.bonds:
        layers.append(bond_layer(atoms, colors, drawn))
    if style.cell:
        layers += cell_layers(atoms)
    if style.forces:
        forces = stored_forces(atoms)
        if forces is None:
            notices.append("This frame carries no forces.")
        else:
            arrows, longest = force_layer(atoms, forces, drawn, style.radius_scale)
            layers.append(arrows)
            notices.append(f"Longest arrow: {longest:.3g} eV/Å.")
    return Scene(
        layers=tuple(layer for layer in layers if layer.count), notice=" ".join(notices)
    )


def display_radii(atoms: ase.Atoms, radius_scale: float = 1.0) -> np.ndarray:
    """(n_atoms,) Å; large enough to click on hydrogen, small enough to see the bonds."""
    return radius_scale * (0.16 + 0.29 * covalent_radii[atoms.numbers])


def _with_finite_geometry(
    atoms: ase.Atoms,
) -> tuple[ase.Atoms, Bool[np.ndarray, " n_atoms"]]:
    with np.errstate(invalid="ignore"):
        near = np.abs(atoms.positions) < FARTHEST
    drawn = np.all(near, axis=1, keepdims=False)
    whole_cell = bool(np.isfinite(atoms.cell.array).all())
    if drawn.all() and whole_cell:
        return atoms, drawn
    calculator = atoms.calc
    atoms = atoms.copy()
    atoms.calc = calculator
    # A place among the others keeps the bounding box; the radius will be zero.
    middle = atoms.positions[drawn].mean(axis=0) if drawn.any() else np.zeros(3)
    atoms.positions[~drawn] = middle
    if not whole_cell:
        atoms.set_cell(np.zeros((3, 3)))
        atoms.pbc = False
    return atoms, drawn


def _atom_layer(
    atoms: ase.Atoms,
    colors: np.ndarray,
    drawn: Bool[np.ndarray, " n_atoms"],
    radius_scale: float,
) -> Layer:
    return Layer(
        name="atoms",
        kind="spheres",
        attributes={
            "position": atoms.positions,
            "color": colors,
            "radius": np.where(drawn, display_radii(atoms, radius_scale), 0.0),
            "number": atoms.numbers,
        },
        lasting=("color", "radius", "number"),
    )


def bond_layer(
    atoms: ase.Atoms, colors: np.ndarray, drawn: Bool[np.ndarray, " n_atoms"]
) -> Layer:
    """Bonds as two-colored sticks.

    A bond through a face of the cell is drawn as two halves, one at each atom.
    """
    kept = np.flatnonzero(drawn)
    bonds = find_bonds(atoms[kept] if len(kept) < len(atoms) else atoms)
    first, second = kept[bonds.first], kept[bonds.second]
    inside, outside = ~bonds.crosses_face, bonds.crosses_face
    half = bonds.vector[outside] / 2
    start, stop = atoms.positions[first], atoms.positions[second]
    position1 = [start[inside], start[outside], stop[outside]]
    position2 = [
        start[inside] + bonds.vector[inside],
        start[outside] + half,
        stop[outside] - half,
    ]
    color1 = [colors[first[inside]], colors[first[outside]], colors[second[outside]]]
    color2 = [colors[second[inside]], *color1[1:]]
    stacked = np.concatenate(position1)
    return Layer(
        name="bonds",
        kind="cylinders",
        attributes={
            "position1": stacked,
            "position2": np.concatenate(position2),
            "color": np.concatenate(color1),
            "color2": np.concatenate(color2),
            "radius": np.full(len(stacked), BOND_RADIUS),
        },
    )


def cell_layers(atoms: ase.Atoms) -> list[Layer]:
    """The edges of the cell; those that start at the origin are red, green and blue.

    A cell with only one or two lattice vectors is drawn as a line or a face.
    """
    vectors = np.asarray(atoms.cell.array)
    axes = [k for k in range(3) if np.linalg.norm(vectors[k]) > 1e-3]
    starts: list[np.ndarray] = []
    stops: list[np.ndarray] = []
    for k in axes:
        others = [m for m in axes if m != k]
        for corner in product((0, 1), repeat=len(others)):
            start = np.asarray(corner) @ vectors[others] if others else np.zeros(3)
            # The axes come first in their group: their corner is all zeros.
            starts.append(start)
            stops.append(start + vectors[k])
    start, stop = np.reshape(starts, (-1, 3)), np.reshape(stops, (-1, 3))
    from_origin = (start == 0).all(axis=1)
    gray = np.full((int((~from_origin).sum()), 3), 0.4)
    return [
        _line_layer("axes", start[from_origin], stop[from_origin], AXIS_COLORS[axes]),
        _line_layer("cell", start[~from_origin], stop[~from_origin], gray),
    ]


def _line_layer(
    name: str, start: np.ndarray, stop: np.ndarray, colors: np.ndarray
) -> Layer:
    return Layer(
        name=name,
        kind="lines",
        attributes={
            "position1": start,
            "position2": stop,
            "color": colors,
            "color2": colors,
        },
        parameters={"linewidth": 2},
    )


def stored_forces(atoms: ase.Atoms) -> Float[np.ndarray, "n_atoms 3"] | None:
    """Forces in eV/Å that the structure carries; none are computed for a picture."""
    candidates = [atoms.arrays.get("forces")]
    if atoms.calc is not None:
        # Results of a calculator may belong to an earlier geometry.
        fresh = not atoms.calc.calculation_required(atoms, ["forces"])
        candidates.append(atoms.calc.results.get("forces") if fresh else None)
    for forces in candidates:
        if forces is not None and np.shape(forces) == (len(atoms), 3):
            return np.asarray(forces, dtype=float)
    return None


def force_layer(
    atoms: ase.Atoms,
    forces: Float[np.ndarray, "n_atoms 3"],
    drawn: Bool[np.ndarray, " n_atoms"],
    radius_scale: float,
) -> tuple[Layer, float]:
    """Arrows along the forces, and the largest force in eV/Å.

    The longest arrow of a frame has a fixed length, so that a nearly relaxed
    structure shows its forces too.
    """
    size = np.linalg.norm(forces, axis=1)
    usable = drawn & np.isfinite(size)
    longest = float(size[usable].max(initial=0.0))
    shown = usable & (size > 0.02 * longest)
    start = atoms.positions[shown]
    direction = forces[shown] / size[shown, None]
    reach = display_radii(atoms, radius_scale)[shown]
    reach = reach + LONGEST_ARROW * size[shown] / max(longest, 1e-12)
    layer = Layer(
        name="forces",
        kind="arrows",
        attributes={
            "position1": start,
            "position2": start + reach[:, None] * direction,
            "color": np.tile(FORCE_COLOR, (len(start), 1)),
            "radius": np.full(len(start), ARROW_RADIUS),
        },
        parameters={"radialSegments": 8},
    )
    return layer, longest
