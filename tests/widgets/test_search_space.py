"""The search panel's space: elements clicked or typed, filters, and their counts."""

import json

import pytest
from pymatgen.core import Element

from gnndesign.errors import ParameterError
from gnndesign.search.alloy_space import AlloySpace
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.space import space_class, space_from_dict, space_kinds
from gnndesign_widgets.periodic_table import HEAVIEST, PeriodicTable
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.search_space import SpaceModel
from gnndesign_widgets.space_kinds import JSON, space_fields
from gnndesign_widgets.space_panel import SpacePanel

PEROVSKITES = {"A": "Sr, Ba, Pb", "B": "Ti, Al", "X": "O"}


@pytest.fixture
def model():
    made = SpaceModel()
    made.sites = PEROVSKITES
    return made


@pytest.fixture
def panel(model):
    return SpacePanel(model, PotentialModel())


def test_every_element_is_where_a_chemist_looks_for_it():
    # pymatgen puts La and Ac in group 3 too, where Lu and Lr are here, and has no place
    # of its own for the rows below.
    cells = {symbol: place for symbol, _, *place in PeriodicTable().cells}
    assert len(cells) == HEAVIEST
    for number in range(1, HEAVIEST + 1):
        element = Element.from_Z(number)
        row, column, block = cells[element.symbol]
        if element.is_lanthanoid or element.is_actinoid:
            first, below = (57, 9) if element.is_lanthanoid else (89, 10)
            if element.symbol not in ("Lu", "Lr"):
                assert (row, column, block) == (below, 3 + number - first, "f")
                continue
        assert (row, column) == (element.row, element.group)
        # pymatgen has helium with the p block, above the other noble gases.
        own = {"Lu": "d", "Lr": "d", "He": "s"}
        assert block == own.get(element.symbol, element.block)


def test_elements_are_clicked_or_typed_and_both_agree(model, panel):
    form = panel.form_of("prototype")
    table = form.picker.table
    assert table.selected == ["Sr", "Ba", "Pb"]
    assert table.marked == {
        "Ti": "on site B",
        "Al": "on site B",
        "O": "on site X",
    }
    table.selected = ["Ca", "Sr"]
    assert model.sites["A"] == "Sr, Ca"
    assert form.rows["A"][0].value == "Sr, Ca"
    form.rows["A"][0].value = "Sr, Ba0.5Sr0.5"
    assert table.selected == ["Sr"]
    # What is shared is no button; it stays when others are clicked.
    table.selected = ["Ca", "Sr"]
    assert model.sites["A"] == "Sr, Ba0.5Sr0.5, Ca"
    form.site.value = "B"
    assert table.selected == ["Al", "Ti"]
    table.selected = ["Zr"]
    assert (model.sites["A"], model.sites["B"]) == ("Sr, Ba0.5Sr0.5, Ca", "Zr")


def test_what_the_potential_does_not_know_cannot_be_chosen(model):
    potential = PotentialModel()
    form = SpacePanel(model, potential).form_of("prototype")
    assert "Po" in form.picker.table.disabled
    assert "Sr" not in form.picker.table.disabled
    potential.name = "lennard-jones"
    assert form.picker.table.disabled == []


def test_candidates_are_counted_as_they_are_typed(model, panel, wait_for):
    wait_for(lambda: "3 candidates of 6 combinations" in panel.count.value)
    row = panel.filters.rows["charge_neutrality"]
    assert row.box.value
    assert row.count.value == "3 left out"  # of Al3+ with A2+
    panel.filters.rows["no_toxic"].box.value = True
    wait_for(lambda: "2 candidates of 6" in panel.count.value)
    assert panel.filters.rows["no_toxic"].count.value == "1 left out"  # PbTiO3
    row.box.value = False
    wait_for(lambda: "4 candidates of 6" in panel.count.value)
    assert row.count.value == ""
    assert panel.filters.rows["no_toxic"].count.value == "2 left out"
    assert "2 by filters" in panel.count.value
    contains = panel.filters.rows["contains"]
    contains.box.value = True
    assert contains.form.layout.display == ""
    wait_for(lambda: "Contains" in panel.count.value)  # wants elements
    contains.form.inputs["elements"].value = "Ti, Zr"
    wait_for(lambda: "2 candidates of 6" in panel.count.value)
    assert model.filter("contains").elements == ("Ti", "Zr")


@pytest.mark.parametrize(
    ("sites", "words"),
    [
        ({"A": "Sr", "B": "Xx", "X": "O"}, "Xx"),
        ({"A": "Sr", "B": "Al", "X": "O"}, "None of the 1 combinations"),
        ({"A": "", "B": "Al", "X": "O"}, "Site A has no elements"),
    ],
)
def test_an_empty_space_says_why(model, panel, wait_for, sites, words):
    model.sites = sites
    wait_for(lambda: words in panel.count.value)
    with pytest.raises(ParameterError, match=words):
        model.space()


def test_a_site_can_repeat_another(model, panel, wait_for):
    model.prototype = "spinel"
    model.sites = {"A": "Fe, Mn, Co", "B": "Al", "X": "O"}
    model.filters = {"prototype": ()}
    form = panel.form_of("prototype")
    wait_for(lambda: "3 candidates of 3" in panel.count.value)
    form.rows["B"][1].value = "A"
    assert form.rows["B"][0].disabled
    wait_for(lambda: model.tied == {"B": "A"} and model.look.space is not None)
    space = model.space()
    assert {space.candidate(k).formula for k in range(len(space))} == {
        *("Fe3O4", "Mn3O4", "Co3O4"),
    }
    model.prototype = "rocksalt"
    assert list(form.rows) == ["A", "X"]
    assert len(model.space()) == 3
    model.prototype = "nothing of the kind"
    assert form.rows == {}
    assert "nothing of the kind" in form.message.value


def test_every_kind_of_space_has_a_form(panel):
    for kind in space_kinds():
        panel._model.kind = kind
        assert panel.form.children == (panel.form_of(kind),)
        # Nothing is asked for that the filters ask for already.
        names = {each.name for each in space_fields(kind)}
        assert not names & {"filters", "charge_neutral"}


def test_an_alloy_is_chosen_from_the_table(model, panel, wait_for):
    model.kind = "alloy"
    form = panel.form_of("alloy")
    form.form.inputs["lattice"].value = "fcc"
    form.form.inputs["step"].value = "0.25"
    form.form.inputs["maximum"].value = '{"Ni": 0.5}'
    form.picker.table.selected = ["Ni", "Cu"]
    assert form.form.inputs["symbols"].value == "Ni, Cu"
    # 0, 1/4 or 1/2 of nickel
    wait_for(lambda: "3 candidates of 3" in panel.count.value)
    wanted = AlloySpace(
        lattice="fcc", symbols=["Ni", "Cu"], step=0.25, maximum={"Ni": 0.5}
    )
    assert model.space().to_dict() == wanted.to_dict()
    # An alloy is not asked to be charge neutral, though perovskites are.
    assert model.ticked == ()
    form.picker.table.selected = []
    wait_for(lambda: "symbols" in panel.count.value)


def test_any_space_can_be_written_as_json(model, panel, wait_for):
    model.kind = JSON
    wanted = PrototypeSpace(prototype="rocksalt", sites={"A": ["Mg"], "X": ["O", "S"]})
    panel.form_of(JSON).text.value = json.dumps(wanted.to_dict())
    wait_for(lambda: "2 candidates of 2" in panel.count.value)
    assert model.space() == wanted
    panel.form_of(JSON).text.value = "{"
    wait_for(lambda: "not JSON" in panel.count.value)
    assert panel.filters.layout.display == "none"


SPACES = [
    PrototypeSpace(
        prototype="spinel",
        sites={"A": ["Fe", "Mn"], "X": ["O"]},
        tied={"B": "A"},
        oxidation_states={"Fe": [2, 3]},
        filters=[
            {"kind": "charge_neutrality", "mixed_valence": True},
            {"kind": "price", "at_most": 80.0},
        ],
    ),
    PrototypeSpace(
        prototype="perovskite",
        sites={"A": ["Sr", "La"], "B": ["Ti", "Ni"], "X": ["O"]},
        oxidation_states={"Ni": [2, 3]},
    ),
    AlloySpace(
        lattice="bcc",
        symbols=("V", "Cr"),
        step=0.25,
        filters=[{"kind": "hume_rothery", "size_mismatch_at_most": 0.1}],
    ),
]


@pytest.mark.parametrize("space", SPACES, ids=["tied", "neutral", "alloy"])
def test_a_space_that_is_read_back_is_the_same(space):
    model = SpaceModel()
    data = json.loads(json.dumps(space.to_dict()))
    model.refill(data)
    again = model.space()
    assert type(again) is space_class(data["kind"])
    assert [again.candidate(k).formula for k in range(len(again))] == [
        space.candidate(k).formula for k in range(len(space))
    ]
    assert again.removed == space.removed
    # What is typed from there is another space.
    assert space_from_dict(again.to_dict()) == again
