import importlib.util
from pathlib import Path

import pytest

from gnndesign.search.space import PrototypeSpace

TOY_PATH = Path(__file__).with_name("toy_potential.py")


def _load_toy():
    spec = importlib.util.spec_from_file_location("toy_potential", TOY_PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ToyPotential = _load_toy().ToyPotential


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
