"""The forms of the structure panel: each makes or changes a structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ase
import ipywidgets as ipw

from gnndesign.errors import ParameterError
from gnndesign.structures import cells, edit, library
from gnndesign.structures.build import build_crystal
from gnndesign.structures.molecules import from_smiles
from gnndesign_widgets.controls import FIELD, Form, labeled


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildForm:
    """Fields, and the structure that they describe.

    Attributes:
        title: in the list of forms.
        widget: the fields.
        make: the name and the structure; raises a `GNNDesignError` to say why not.
    """

    title: str
    widget: ipw.Widget
    make: Callable[[], tuple[str, ase.Atoms]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditForm:
    """Fields, and the change that they describe.

    Attributes:
        title: in the list of forms.
        widget: the fields.
        change: makes the changed structure; raises a `GNNDesignError` to say why not.
        describe: the change in a few words.
    """

    title: str
    widget: ipw.Widget
    change: Callable[[ase.Atoms], ase.Atoms]
    describe: Callable[[], str]


def build_forms() -> list[BuildForm]:
    """From the library, from a formula and a prototype, and from SMILES."""
    return [_crystal_form(), _element_form(), _molecule_form(), _smiles_form()]


def edit_forms() -> list[EditForm]:
    """Cells, atoms, and small disturbances."""
    return [
        _supercell_form(),
        _substitute_form(),
        _vacancy_form(),
        _strain_form(),
        _rattle_form(),
        _slab_form(),
        _vacuum_form(),
    ]


def _full(form: Form) -> Form:
    # Inside a stack, "auto" would be the width of the words.
    return labeled(form, width="98%")


def prototype_names() -> list[str]:
    """Common names first, then minerals and AFLOW labels."""
    common = ["rocksalt", "perovskite", "zincblende", "wurtzite", "fluorite", "diamond"]
    common += ["fcc", "bcc", "hcp", "CsCl", "rutile", "spinel"]
    rest = [p.mineral or p.aflow for p in library.list_prototypes()]
    return list(dict.fromkeys([*common, *rest]))


def _crystal_form() -> BuildForm:
    formula = _full(ipw.Text(value="SrTiO3", description="Formula"))
    name = _full(
        ipw.Combobox(
            value="perovskite",
            options=prototype_names(),
            description="Prototype",
            placeholder="mineral, AFLOW label or Strukturbericht",
        )
    )
    lattice = _full(
        ipw.FloatText(value=0.0, description="a (Å)", tooltip="0 for an estimate")
    )
    note = ipw.HTML("<small>a = 0 estimates the volume from the elements.</small>")

    def make() -> tuple[str, ase.Atoms]:
        if lattice.value < 0:
            raise ParameterError(f"Wanted a >= 0 Å (0: estimate), got {lattice.value}.")
        atoms = build_crystal(formula.value, name.value, lattice=lattice.value or None)
        return f"{formula.value} {name.value}", atoms

    return BuildForm(
        title="Crystal from formula and prototype",
        widget=ipw.VBox([formula, name, lattice, note]),
        make=make,
    )


def _element_form() -> BuildForm:
    symbol = _full(ipw.Text(value="Si", description="Element"))
    note = ipw.HTML("<small>Lowest-energy polymorph of the Materials Project.</small>")

    def make() -> tuple[str, ase.Atoms]:
        return f"{symbol.value} ground state", library.elemental_ground_state(
            symbol.value.strip()
        )

    return BuildForm(
        title="Element in its ground state",
        widget=ipw.VBox([symbol, note]),
        make=make,
    )


def _molecule_form() -> BuildForm:
    name = _full(
        ipw.Combobox(
            value="H2O",
            options=list(library.list_molecules()),
            description="Molecule",
        )
    )
    return BuildForm(
        title="Molecule of the G2 set",
        widget=name,
        make=lambda: (name.value, library.molecule(name.value)),
    )


def _smiles_form() -> BuildForm:
    smiles = _full(ipw.Text(value="CCO", description="SMILES"))
    return BuildForm(
        title="Molecule from SMILES",
        widget=smiles,
        make=lambda: (smiles.value, from_smiles(smiles.value)),
    )


def _numbers(
    values: Sequence[int], description: str
) -> tuple[ipw.HBox, Callable[[], list[int]]]:
    fields = [ipw.IntText(value=value) for value in values]
    for each in fields:
        each.layout.width = "64px"
    label = ipw.Label(description)
    label.layout.width = FIELD["description_width"]
    return ipw.HBox([label, *fields]), lambda: [each.value for each in fields]


def _supercell_form() -> EditForm:
    widget, numbers = _numbers([2, 2, 2], "Repeat a, b, c")
    return EditForm(
        title="Supercell",
        widget=widget,
        change=lambda atoms: cells.supercell(atoms, numbers()),
        describe=lambda: "x".join(map(str, numbers())),
    )


def _substitute_form() -> EditForm:
    old = _full(ipw.Text(value="", description="Replace", placeholder="Ti, or 0, 3"))
    new = _full(ipw.Text(value="", description="by", placeholder="Zr"))
    count = _full(ipw.IntText(value=0, description="How many"))
    seed = _full(ipw.IntText(value=0, description="Seed"))
    note = ipw.HTML("<small>0 replaces all; else so many, chosen at random.</small>")

    def change(atoms: ase.Atoms) -> ase.Atoms:
        return edit.substitute(
            atoms,
            _target(old.value),
            new.value.strip(),
            count=count.value or None,
            seed=seed.value,
        )

    return EditForm(
        title="Substitute",
        widget=ipw.VBox([old, new, count, seed, note]),
        change=change,
        describe=lambda: f"{old.value} to {new.value}",
    )


def _vacancy_form() -> EditForm:
    where = _full(ipw.Text(value="0", description="Atoms", placeholder="0, 3"))

    def indices() -> list[int]:
        target = _target(where.value)
        if isinstance(target, str):
            raise ParameterError(
                f"Wanted indices of atoms such as 0, 3; got {target!r}."
            )
        return target

    return EditForm(
        title="Vacancy",
        widget=where,
        change=lambda atoms: edit.make_vacancy(atoms, indices()),
        describe=lambda: f"vacancy at {where.value}",
    )


def _strain_form() -> EditForm:
    names = ("xx", "yy", "zz", "yz", "xz", "xy")
    fields = [_full(ipw.FloatText(value=0.0, step=0.01, description=n)) for n in names]
    note = ipw.HTML("<small>Dimensionless; yz, xz, xy are engineering shears.</small>")
    return EditForm(
        title="Strain",
        widget=ipw.VBox([*fields, note]),
        change=lambda atoms: cells.strain(atoms, [each.value for each in fields]),
        describe=lambda: "strained",
    )


def _rattle_form() -> EditForm:
    width = _full(ipw.FloatText(value=0.05, step=0.01, description="σ (Å)"))
    seed = _full(ipw.IntText(value=0, description="Seed"))
    return EditForm(
        title="Rattle",
        widget=ipw.VBox([width, seed]),
        change=lambda atoms: edit.rattle(atoms, width.value, seed.value),
        describe=lambda: f"rattled {width.value:g} Å",
    )


def _slab_form() -> EditForm:
    widget, miller = _numbers([1, 0, 0], "h, k, l")
    layers = _full(ipw.IntText(value=4, description="Layers"))
    vacuum = _full(ipw.FloatText(value=12.0, description="Vacuum (Å)"))

    def change(atoms: ase.Atoms) -> ase.Atoms:
        h, k, l = miller()
        return cells.slab(atoms, (h, k, l), layers=layers.value, vacuum=vacuum.value)

    return EditForm(
        title="Slab",
        widget=ipw.VBox([widget, layers, vacuum]),
        change=change,
        describe=lambda: "slab " + "".join(map(str, miller())),
    )


def _vacuum_form() -> EditForm:
    thickness = _full(ipw.FloatText(value=12.0, description="Vacuum (Å)"))
    axis = _full(
        ipw.Dropdown(
            options=[("a", 0), ("b", 1), ("c", 2)], value=2, description="Axis"
        )
    )
    return EditForm(
        title="Vacuum",
        widget=ipw.VBox([thickness, axis]),
        change=lambda atoms: cells.add_vacuum(atoms, thickness.value, axis.index or 0),
        describe=lambda: f"{thickness.value:g} Å vacuum",
    )


def _target(text: str) -> Any:
    """An element symbol, or a list of indices."""
    parts = text.replace(",", " ").split()
    if parts and all(part.lstrip("-").isdigit() for part in parts):
        return [int(part) for part in parts]
    return text.strip()
