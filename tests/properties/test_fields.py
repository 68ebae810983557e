from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import ase
import ase.io
import pytest
from ase.build import bulk

from gnndesign.errors import ParameterError
from gnndesign.properties.catalog import PROPERTIES, property_class
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.fields import (
    FieldKind,
    fields_of,
    flat_fields,
)
from gnndesign.properties.from_text import property_from_text
from gnndesign.properties.plain import to_plain
from gnndesign.properties.work import Relaxing


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """All that a property may have.

    Attributes:
        end: where the path ends; a structure
            of the same atoms.
        first, second: places of atoms.
        mesh: points along each axis.
        sites: names of them.
        radiation: name, or wavelength in Å.
        supercell: three numbers, or nine.
        way: how.

    After the section: nothing.
    """

    end: ase.Atoms
    first: int = 0
    second: int | None = None
    mesh: tuple[int, int, int] | None = (4, 4, 4)
    sites: tuple[str, ...] = ("top", "hollow")
    radiation: str | float = "CuKa"
    supercell: Sequence[int] | Sequence[Sequence[int]] | None = None
    way: Literal["short", "long"] = "short"
    energies: Mapping[str, float] = field(default_factory=dict)
    others: tuple[ase.Atoms, ...] = ()
    relaxing: Relaxing | None = None


@pytest.mark.parametrize("kind", PROPERTIES)
def test_every_parameter_of_every_property_has_a_form_and_a_meaning(kind):
    for name, each in flat_fields(property_class(kind)).items():
        assert each.doc, f"{kind}: the docstring does not say what {name} is"
        assert each.label[0].isupper()


def is_complete(kind):
    """Whether nobody must say anything."""
    return not any(each.required for each in fields_of(property_class(kind)))


@pytest.mark.parametrize("kind", [k for k in PROPERTIES if is_complete(k)])
def test_the_defaults_as_text_give_the_defaults(kind):
    known = flat_fields(property_class(kind))
    texts = {name: each.default_text for name, each in known.items()}
    # A group that is not there has fields all the same.
    absent = [
        name for name, each in known.items() if each.group and texts[name] == "none"
    ]
    texts = {
        name: text
        for name, text in texts.items()
        if not any(name.startswith(f"{group}.") for group in absent)
    }
    made = property_from_text(kind, texts)
    assert to_plain(made) == to_plain(property_from_text(kind, {}))


def test_types_become_kinds_of_fields():
    by_name = {each.name: each for each in fields_of(Parameters)}
    kinds = {name: (each.kind, each.optional) for name, each in by_name.items()}
    assert kinds == {
        "end": (FieldKind.STRUCTURE, False),
        "first": (FieldKind.INTEGER, False),
        "second": (FieldKind.INTEGER, True),
        "mesh": (FieldKind.LIST, True),
        "sites": (FieldKind.LIST, False),
        "radiation": (FieldKind.JSON, False),
        "supercell": (FieldKind.JSON, True),
        "way": (FieldKind.CHOICE, False),
        "energies": (FieldKind.JSON, False),
        "others": (FieldKind.STRUCTURES, False),
        "relaxing": (FieldKind.GROUP, True),
    }
    assert by_name["end"].required
    assert by_name["end"].doc == "where the path ends; a structure of the same atoms."
    assert by_name["first"].doc == by_name["second"].doc == "places of atoms."
    assert by_name["way"].choices == ("short", "long")
    assert by_name["way"].doc == "how."
    assert by_name["mesh"].default_text == "4, 4, 4"
    assert by_name["radiation"].default_text == "CuKa"
    assert by_name["second"].default_text == "none"
    relaxing = {each.name: each for each in by_name["relaxing"].fields}
    assert relaxing["relaxing.cell"].choices == ("isotropic", "constant_volume", "full")
    assert relaxing["relaxing.cell"].optional
    assert relaxing["relaxing.fix_symmetry"].default_text == "no"
    assert relaxing["relaxing.fix_symmetry"].label == "Fix symmetry"
    assert relaxing["relaxing.pressure_GPa"].label == "Pressure (GPa)"


def test_text_becomes_values(tmp_path):
    known = flat_fields(Parameters)
    assert known["first"].parse(" 3 ") == 3
    assert known["second"].parse("none") is None
    assert known["mesh"].parse("[2, 2, 1]") == known["mesh"].parse("2,2,1") == (2, 2, 1)
    assert known["mesh"].parse("none") is None
    assert known["sites"].parse("top, bridge") == ("top", "bridge")
    assert known["sites"].parse("") == ()
    assert known["radiation"].parse("MoKa") == "MoKa"
    assert known["radiation"].parse("1.54") == 1.54
    assert known["supercell"].parse("2, 2, 1") == (2, 2, 1)
    assert known["supercell"].parse("[[2, 0], [0, 2]]") == ((2, 0), (0, 2))
    assert known["energies"].parse('{"Cu": -3.7}') == {"Cu": -3.7}
    assert known["relaxing.fix_symmetry"].parse("Yes") is True
    ase.io.write(tmp_path / "two.xyz", [bulk("Cu"), bulk("Ar")])
    (copper, argon) = known["others"].parse(str(tmp_path / "two.xyz"))
    assert (copper.symbols[0], argon.symbols[0]) == ("Cu", "Ar")
    ase.io.write(tmp_path / "one.cif", bulk("Cu"))
    assert len(known["end"].parse(str(tmp_path / "one.cif"))) == 1
    for name, text, words in (
        ("first", "1.5", "whole number"),
        ("way", "lang", "short, long"),
        ("mesh", "4 4 4", "list, .*, or 'none'"),
        ("energies", '{"Cu"', "JSON"),
        ("end", "", "Wanted end: where the path ends"),
        ("relaxing.fix_symmetry", "perhaps", "yes or no"),
    ):
        with pytest.raises(ParameterError, match=words):
            known[name].parse(text)


def test_a_property_is_made_of_text():
    made = property_from_text(
        "equation_of_state",
        {"n_points": "7", "relaxing": "none", "at_each.max_force": "0.002"},
    )
    # What is not said of a group is as in its default, not as in its class.
    at_each = Relaxing(cell="constant_volume", max_force=0.002)
    assert made == EquationOfState(n_points=7, relaxing=None, at_each=at_each)
    assert (
        property_from_text("equation_of_state", {"at_each": "yes"}) == EquationOfState()
    )
    off = {"at_each": "none", "at_each.max_force": "0.002"}
    assert property_from_text("equation_of_state", off).at_each is None


def test_text_that_makes_no_property_is_refused_with_the_reason():
    for texts, words in (
        ({"points": "7"}, "n_points, strain.*Did you mean 'n_points'"),
        ({"n_points": "3"}, "n_points from 5"),
        ({"relaxing.cell": "half"}, "isotropic, constant_volume, full, or 'none'"),
        ({"relaxing.max_force": "-1"}, "relaxing.max_force above 0"),
    ):
        with pytest.raises(ParameterError, match=words):
            property_from_text("equation_of_state", texts)
    with pytest.raises(ParameterError, match="Wanted a property"):
        property_from_text("equation", {})
