"""The workbench as a whole: its panels are made when somebody turns to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as ipw
import pytest

from gnndesign.properties.catalog import PROPERTIES, property_class
from gnndesign.search.space import space_kinds
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign_widgets.app import Workbench
from gnndesign_widgets.learning import DISTILL, FINE_TUNE, NEW
from gnndesign_widgets.relax import CELLS

# Layouts and styles not counted; with all panels there are nearly 600.
WIDGETS_AT_FIRST = 200

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def bench() -> Workbench:
    for kind in PROPERTIES:
        # Python 3.11 cannot compile what the type checker has rewritten in two threads
        # at once, and the workbench imports these in one of its own.
        property_class(kind)
    return Workbench()


def test_a_panel_is_made_when_its_tab_is_turned_to(bench):
    made = [bool(place.children) for place in bench.tabs.children]
    assert made == [True] + [False] * (len(made) - 1)
    assert len(set(parts(bench))) < WIDGETS_AT_FIRST
    for k, place in enumerate(bench.tabs.children):
        bench.tabs.selected_index = k
        (panel,) = place.children
        bench.tabs.selected_index = 0
        bench.tabs.selected_index = k
        assert place.children == (panel,)


def test_a_panel_made_late_shows_what_one_made_early_shows(bench, wait_for):
    for k in range(len(bench.tabs.children)):
        bench.tabs.selected_index = k
    early = {
        title: looks(place)
        for title, place in zip(bench.tabs.titles, bench.tabs.children, strict=True)
    }
    bench.structure.entries[0].atoms.rattle(0.1)
    bench.structure.revision += 1
    bench.potential.name = "lennard-jones"
    bench.relax.cell, bench.relax.max_force = list(CELLS.values())[-1], 0.07
    bench.dynamics.ensemble, bench.dynamics.steps = list(ENSEMBLES)[-1], 17
    bench.properties.chosen = ("elasticity", "phonons")
    bench.properties.settings = {"phonons": {"supercell": "2, 2, 2"}}
    bench.properties.source = "files"
    bench.search.relaxing = {"max_force": "0.3"}
    bench.search.space.kind = next(k for k in space_kinds() if k != "prototype")
    bench.search.n_trials = 5
    bench.training.architecture = "equivariant"
    bench.training.loss.set_text("loss.energy_weight", "3")
    bench.training.picked = "a point"
    bench.tuning.epochs = 3
    bench.distilling.rounds = 2
    bench.learning.way = DISTILL
    bench.symmetry.subject = "H2O"
    bench.symmetry.angle = 20.0
    for title, place in zip(bench.tabs.titles, bench.tabs.children, strict=True):
        assert looks(place) != early[title], title
        late = ipw.VBox([bench._panels[title]()])
        # What a run costs is estimated meanwhile.
        wait_for(lambda late=late, place=place: looks(late) == looks(place), 10)


def test_the_stage_follows_what_is_chosen_in_the_train_tab(bench):
    bench.tabs.selected_index = bench.tabs.titles.index("Train")
    for way, figures in (
        (DISTILL, bench.distilling.figures),
        (FINE_TUNE, bench.tuning.figures),
    ):
        bench.learning.way = way
        assert bench.stage._figures is figures
    bench.tabs.selected_index = 0
    bench.learning.way = NEW
    assert bench.stage._figures is None


def parts(widget: ipw.Widget, *, hidden: bool = True) -> Iterator[ipw.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        if hidden or child.layout.display != "none":
            yield from parts(child, hidden=hidden)


def looks(widget: ipw.Widget) -> list[dict[str, Any]]:
    """What a person sees of a widget and all its parts."""
    seen = ("value", "description", "options", "disabled", "rows", "titles", "selected")
    return [
        {name: getattr(part, name) for name in seen if part.has_trait(name)}
        | {"class": type(part).__name__}
        for part in parts(widget, hidden=False)
    ]
