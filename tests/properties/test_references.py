from concurrent.futures import ThreadPoolExecutor

import ase
import pytest
from toy_potential import ToyPotential

from gnndesign.errors import CheckpointError, StructureError
from gnndesign.properties import references
from gnndesign.properties.references import reference_energies


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or leaves energies of elements outside its own folder."""
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def toy():
    return ToyPotential


def test_energies_of_elements_are_computed_once_a_potential(toy, tmp_path):
    first = toy()
    energies = reference_energies(["Cu", "O"], first, folder=tmp_path)
    assert first.calls > 0
    second = toy()
    assert reference_energies(["O", "Cu"], second, folder=tmp_path) == energies
    assert second.calls == 0
    other = toy(name="another")
    reference_energies(["Cu"], other, folder=tmp_path)
    assert other.calls > 0
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_energies_are_computed_again_when_the_library_changes(
    toy, tmp_path, monkeypatch
):
    before = reference_energies(["Cu"], toy(), folder=tmp_path)
    simple_cubic = ase.Atoms("Cu", cell=[2.4] * 3, pbc=True)
    monkeypatch.setattr(references, "elemental_ground_state", lambda _: simple_cubic)
    after = reference_energies(["Cu"], toy(), folder=tmp_path)
    assert after["Cu"] > before["Cu"] + 0.01


def test_an_element_that_diverges_is_named(toy):
    with pytest.raises(StructureError, match="Sr"):
        reference_energies(["Cu", "Sr"], toy(broken=["Sr"]))


def test_a_damaged_file_says_what_to_do(toy, tmp_path):
    reference_energies(["Cu"], toy(), folder=tmp_path)
    next(tmp_path.glob("*.json")).write_text("{")
    with pytest.raises(CheckpointError, match="Delete it"):
        reference_energies(["Cu"], toy(), folder=tmp_path)


def test_searches_at_the_same_time_do_not_lose_each_others_elements(toy, tmp_path):
    groups = [["Cu", "Ag"], ["Sr", "Ba"], ["Ti", "Zr"]]
    with ThreadPoolExecutor(3) as executor:
        work = [
            executor.submit(reference_energies, group, toy(), folder=tmp_path)
            for group in groups
        ]
    for future, group in zip(work, groups, strict=True):
        assert list(future.result()) == group
    unused = toy()
    reference_energies([s for group in groups for s in group], unused, folder=tmp_path)
    assert unused.calls == 0


def test_a_stop_gives_what_was_finished_before_it(toy, tmp_path):
    toy_potential = toy()
    reference_energies(["Cu"], toy_potential, folder=tmp_path)
    found = reference_energies(
        ["Sr", "Cu"], toy_potential, folder=tmp_path, should_stop=lambda: True
    )
    assert list(found) == ["Cu"]
