from pathlib import Path

import pytest
import toy_potential
from toy_potential import ToyPotential

from gnndesign.search.prototype_space import PrototypeSpace

TOY_PATH = Path(toy_potential.__file__)


@pytest.fixture
def toy():
    """Makes toy potentials."""
    return ToyPotential


@pytest.fixture
def toy_path():
    """Where another process finds the toy potential."""
    return TOY_PATH


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or leaves energies of elements outside its own folder."""
    monkeypatch.setenv("GNNDESIGN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def space():
    """23 perovskite oxides and fluorides."""
    return PrototypeSpace(
        prototype="perovskite",
        sites={
            "A": ("Na", "K", "Rb", "Ca", "Sr", "Ba", "La"),
            "B": ("Ti", "Zr", "Hf", "Nb", "Ta", "Al", "Ga", "Mg", "Zn"),
            "X": ("O", "F"),
        },
    )


@pytest.fixture
def small_space():
    """Six titanates, zirconates and hafnates."""
    return PrototypeSpace(
        prototype="perovskite",
        sites={"A": ("Sr", "Ba"), "B": ("Ti", "Zr", "Hf"), "X": ("O",)},
    )
