"""gnndesign: design materials with graph neural network potentials.

The public names are imported on first use, so that `import gnndesign` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnndesign.batch import AtomicBatch
    from gnndesign.errors import GNNDesignError
    from gnndesign.potentials.adapters.ase import ASEPotential
    from gnndesign.potentials.adapters.torch_sim import TorchSimPotential
    from gnndesign.potentials.architectures import new_potential
    from gnndesign.potentials.catalog import (
        list_potentials,
        load_potential,
        potential_card,
    )
    from gnndesign.potentials.committee import Committee
    from gnndesign.potentials.files import save_potential
    from gnndesign.properties.compute import compute
    from gnndesign.properties.equation_of_state import EquationOfState
    from gnndesign.properties.work import Relaxing
    from gnndesign.search.alloy_space import AlloySpace
    from gnndesign.search.defect_space import DefectSpace
    from gnndesign.search.formula_space import FormulaSpace
    from gnndesign.search.measures import (
        FormationEnergy,
        LatticeConstant,
        PropertyMeasure,
    )
    from gnndesign.search.molecule_space import MoleculeSpace
    from gnndesign.search.notation import measure
    from gnndesign.search.objectives import Constraint
    from gnndesign.search.prototype_space import PrototypeSpace
    from gnndesign.search.reality import check_winners
    from gnndesign.search.study import load_search, search_compositions
    from gnndesign.simulation.base import Status
    from gnndesign.simulation.checkpoint import Checkpoints
    from gnndesign.simulation.dynamics import molecular_dynamics
    from gnndesign.simulation.estimate import estimate
    from gnndesign.simulation.observables import Observables, observe
    from gnndesign.simulation.packing import Queue
    from gnndesign.simulation.relaxation import relax
    from gnndesign.simulation.room import Room
    from gnndesign.simulation.schedule import Ramp
    from gnndesign.simulation.single_point import SinglePoint
    from gnndesign.structures.build import build_crystal
    from gnndesign.structures.export import export_trajectory
    from gnndesign.structures.files import (
        load_structure,
        load_structures,
        save_structure,
    )
    from gnndesign.structures.library import (
        elemental_ground_state,
        list_molecules,
        list_prototypes,
        molecule,
        prototype,
    )
    from gnndesign.structures.molecules import from_smiles
    from gnndesign.training.dataset import Dataset
    from gnndesign.training.dataset_files import load_dataset
    from gnndesign.training.evaluation import evaluate
    from gnndesign.training.loss import Loss
    from gnndesign.training.options import Training
    from gnndesign.training.results import train
    from gnndesign.training.symmetry import audit

_HOMES = {
    "ASEPotential": "potentials.adapters.ase",
    "AlloySpace": "search.alloy_space",
    "AtomicBatch": "batch",
    "Checkpoints": "simulation.checkpoint",
    "Committee": "potentials.committee",
    "Constraint": "search.objectives",
    "Dataset": "training.dataset",
    "DefectSpace": "search.defect_space",
    "EquationOfState": "properties.equation_of_state",
    "FormationEnergy": "search.measures",
    "FormulaSpace": "search.formula_space",
    "GNNDesignError": "errors",
    "LatticeConstant": "search.measures",
    "Loss": "training.loss",
    "MoleculeSpace": "search.molecule_space",
    "Observables": "simulation.observables",
    "PropertyMeasure": "search.measures",
    "PrototypeSpace": "search.prototype_space",
    "Queue": "simulation.packing",
    "Ramp": "simulation.schedule",
    "Relaxing": "properties.work",
    "Room": "simulation.room",
    "SinglePoint": "simulation.single_point",
    "Status": "simulation.base",
    "TorchSimPotential": "potentials.adapters.torch_sim",
    "Training": "training.options",
    "audit": "training.symmetry",
    "build_crystal": "structures.build",
    "check_winners": "search.reality",
    "compute": "properties.compute",
    "elemental_ground_state": "structures.library",
    "estimate": "simulation.estimate",
    "evaluate": "training.evaluation",
    "export_trajectory": "structures.export",
    "from_smiles": "structures.molecules",
    "list_molecules": "structures.library",
    "list_potentials": "potentials.catalog",
    "list_prototypes": "structures.library",
    "load_dataset": "training.dataset_files",
    "load_potential": "potentials.catalog",
    "load_search": "search.study",
    "load_structure": "structures.files",
    "load_structures": "structures.files",
    "measure": "search.notation",
    "molecular_dynamics": "simulation.dynamics",
    "molecule": "structures.library",
    "new_potential": "potentials.architectures",
    "observe": "simulation.observables",
    "potential_card": "potentials.catalog",
    "prototype": "structures.library",
    "relax": "simulation.relaxation",
    "save_potential": "potentials.files",
    "save_structure": "structures.files",
    "search_compositions": "search.study",
    "train": "training.results",
}

__all__ = [
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


def __getattr__(name: str) -> object:
    """Import a public name's module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gnndesign' has no attribute {name!r}")
    value = getattr(import_module(f"gnndesign.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
