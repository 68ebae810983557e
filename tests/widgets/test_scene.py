"""What would be drawn, and what of it is sent."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from gnndesign_widgets.scene import Layer, Style, build_scene, cell_layers
from gnndesign_widgets.scene_message import LayerPacker


def layers_of(atoms: Atoms, **style: object) -> dict[str, Layer]:
    return {layer.name: layer for layer in build_scene(atoms, Style(**style)).layers}


def salt() -> Atoms:
    return bulk("NaCl", "rocksalt", 5.64, cubic=True)


def test_a_bond_through_a_face_is_two_halves_that_fit_together() -> None:
    pair = Atoms("Si2", positions=[[0.6, 3, 3], [5.4, 3, 3]], cell=[6] * 3, pbc=True)
    stick = layers_of(pair)["bonds"].attributes
    start, stop = stick["position1"], stick["position2"]
    assert start.tolist() == pair.positions.tolist()
    assert stop[0] == pytest.approx([0, 3, 3])
    assert stop[1] == pytest.approx([6, 3, 3])


def test_atoms_are_where_the_structure_says_in_any_cell() -> None:
    atoms = bulk("Cu") * (2, 2, 2)
    atoms.rotate(50, (3, 1, 2), rotate_cell=True)
    drawn = layers_of(atoms)
    assert (drawn["atoms"].attributes["position"] == atoms.positions).all()
    axes = drawn["axes"].attributes
    assert axes["position2"] - axes["position1"] == pytest.approx(atoms.cell.array)


def test_the_cell_has_as_many_edges_as_its_lattice_vectors_span() -> None:
    edges = [
        sum(layer.count for layer in cell_layers(Atoms(cell=cell)))
        for cell in ([0, 0, 0], [3, 0, 0], [3, 0, 4], [3, 4, 5])
    ]
    assert edges == [0, 1, 4, 12]
    axes, others = cell_layers(Atoms(cell=[[3, 0, 0], [1, 4, 0], [1, 1, 5]]))
    corners = np.concatenate(
        [axes.attributes["position2"], others.attributes["position2"]]
    )
    assert len(np.unique(corners.round(6), axis=0)) == 7
    assert [5, 5, 5] in corners.round(6).tolist()


def test_atoms_without_a_finite_position_are_hidden_and_reported() -> None:
    atoms = salt()
    atoms.positions[2] = np.nan
    atoms.positions[5] = 1e12
    scene = build_scene(atoms, Style(forces=True))
    everything = [
        values for layer in scene.layers for values in layer.attributes.values()
    ]
    assert all(np.isfinite(values).all() for values in everything)
    assert np.flatnonzero(scene.layers[0].attributes["radius"] == 0).tolist() == [2, 5]
    assert "2 of 8 atoms" in scene.notice
    atoms.cell[:] = np.nan
    names = [layer.name for layer in build_scene(atoms, Style()).layers]
    assert names == ["atoms", "bonds"]


def test_forces_are_taken_from_the_structure_never_computed() -> None:
    atoms = molecule("H2O")
    forces = np.array([[0, 0, 3.0], [0, 0, 0], [0, 1.5, 0]])
    atoms.calc = SinglePointCalculator(atoms, forces=forces)
    arrows = layers_of(atoms, forces=True)["forces"].attributes
    direction = arrows["position2"] - arrows["position1"]
    assert len(direction) == 2
    assert direction[0][2] > direction[1][1] > 0
    assert "3 eV/Å" in build_scene(atoms, Style(forces=True)).notice
    atoms.rattle(0.1)
    assert "no forces" in build_scene(atoms, Style(forces=True)).notice


def test_atoms_are_colored_by_numbers_from_low_to_high() -> None:
    atoms = salt()
    colors = layers_of(atoms, color_by=np.arange(8.0))["atoms"].attributes["color"]
    assert colors[0] == pytest.approx([0.267, 0.005, 0.329])
    assert colors[7] == pytest.approx([0.993, 0.906, 0.144])
    assert "3" in build_scene(atoms, Style(color_by=np.arange(3.0))).notice
    assert "'charge'" in build_scene(atoms, Style(color_by="charge")).notice


def test_colors_and_radii_are_sent_only_when_they_change() -> None:
    packer, atoms = LayerPacker(), salt()

    def sent() -> list[str]:
        headers, buffers = packer.pack(build_scene(atoms, Style()).layers)
        count = sum(len(header["attributes"]) for header in headers)
        assert len(buffers) == count
        return headers[0]["attributes"]

    assert sent() == ["position", "color", "radius", "number"]
    atoms.rattle(0.1)
    assert sent() == ["position"]
    atoms.symbols[3] = "Br"
    assert sent() == ["position", "color", "radius", "number"]
    atoms = atoms[:5]
    assert sent() == ["position", "color", "radius", "number"]
