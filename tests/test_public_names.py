import importlib
import subprocess
import sys

import pytest

import gnndesign

PUBLIC = [
    "ASEPotential",
    "AlloySpace",
    "AtomicBatch",
    "Checkpoints",
    "Committee",
    "Constraint",
    "Dataset",
    "DefectSpace",
    "EquationOfState",
    "FormationEnergy",
    "FormulaSpace",
    "GNNDesignError",
    "LatticeConstant",
    "Loss",
    "MoleculeSpace",
    "Observables",
    "PropertyMeasure",
    "PrototypeSpace",
    "Queue",
    "Ramp",
    "Relaxing",
    "Room",
    "SinglePoint",
    "Status",
    "TorchSimPotential",
    "Training",
    "audit",
    "build_crystal",
    "check_winners",
    "compute",
    "elemental_ground_state",
    "estimate",
    "evaluate",
    "export_trajectory",
    "from_smiles",
    "list_molecules",
    "list_potentials",
    "list_prototypes",
    "load_dataset",
    "load_potential",
    "load_search",
    "load_structure",
    "load_structures",
    "measure",
    "molecular_dynamics",
    "molecule",
    "new_potential",
    "observe",
    "potential_card",
    "prototype",
    "relax",
    "save_potential",
    "save_structure",
    "search_compositions",
    "train",
]


def imported_by(statement):
    """Top-level packages in `sys.modules` after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_public_names_are_these():
    assert gnndesign.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC
    assert dir(gnndesign) == PUBLIC


def test_every_public_name_has_a_home_and_none_else():
    assert list(gnndesign._HOMES) == gnndesign.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_the_object_of_its_home(name):
    home = importlib.import_module(f"gnndesign.{gnndesign._HOMES[name]}")
    assert getattr(gnndesign, name) is getattr(home, name)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'relaxx'"):
        gnndesign.relaxx  # noqa: B018


def test_importing_gnndesign_imports_nothing_slow():
    modules = imported_by("import gnndesign; gnndesign.__all__; dir(gnndesign)")
    assert "gnndesign" in modules
    assert modules.isdisjoint(
        {"torch", "ase", "numpy", "scipy", "pymatgen", "optuna", "plotly", "rdkit"}
    )


def test_the_command_line_imports_nothing_slow_before_it_must():
    modules = imported_by(
        "from gnndesign.cli import build_parser; build_parser().format_help()"
    )
    assert modules.isdisjoint(
        {"torch", "ase", "numpy", "pymatgen", "optuna", "plotly", "tqdm"}
    )


def test_structures_do_not_import_torch():
    assert "torch" not in imported_by("from gnndesign import load_structure")
