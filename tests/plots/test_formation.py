"""Figures of formation and cohesive energies show the numbers they are given."""

from dataclasses import replace

import pytest
from ase.build import bulk

from gnndesign.plots.properties import draw
from gnndesign.properties.formation import CohesionResult, FormationResult

MGO = bulk("MgO", "rocksalt", a=4.2)
FORMED = FormationResult(
    atoms=MGO,
    formation_energy_per_atom=-2.75,
    energy_per_atom=-5.9,
    reference_energies={"Mg": -1.5, "O": -4.8},
    dft_formation_energy_per_atom=-3.05,
    checksum="one",
)


def test_a_formation_energy_stands_beside_that_of_dft():
    figure = draw(FORMED)
    (bars,) = figure.data
    assert list(bars.x) == ["This potential", "DFT (Materials Project)"]
    assert list(bars.y) == [-2.75, -3.05]
    assert list(bars.text) == ["-2.750", "-3.050"]
    assert figure.layout.xaxis.title.text == "Difference: +300 meV/atom"
    low, high = figure.layout.yaxis.range
    assert low < -3.05 < 0 == high


def test_a_formation_energy_that_dft_does_not_know_stands_alone():
    figure = draw(
        replace(
            FORMED, dft_formation_energy_per_atom=None, formation_energy_per_atom=0.2
        )
    )
    (bars,) = figure.data
    assert (list(bars.x), list(bars.y)) == (["This potential"], [0.2])
    assert figure.layout.xaxis.title.text is None
    assert figure.layout.yaxis.range[0] == 0
    assert figure.layout.yaxis.range[1] > 0.2


def test_an_element_forms_from_itself_and_is_drawn():
    figure = draw(
        replace(
            FORMED, dft_formation_energy_per_atom=None, formation_energy_per_atom=0.0
        )
    )
    low, high = figure.layout.yaxis.range
    assert low == 0 < high


def test_a_cohesive_energy_is_the_difference_of_the_two_columns():
    crystal = bulk("MgO", "rocksalt", a=4.2) * (1, 1, 2)
    result = CohesionResult(
        atoms=crystal,
        cohesive_energy_per_atom=5.0,
        energy_per_atom=-6.0,
        atom_energies={"Mg": 0.5, "O": -2.5},
    )
    *atoms, together = draw(result).data
    assert {bar.name: bar.y[0] for bar in atoms} == {"2 Mg": 0.25, "2 O": -1.25}
    assert sum(bar.y[0] for bar in atoms) - together.y[0] == pytest.approx(5.0)
    assert together.text[0] == "bound by 5.000"
