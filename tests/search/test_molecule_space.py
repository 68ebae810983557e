import json

import numpy as np
import pytest

from gnndesign.errors import ParameterError, StructureError
from gnndesign.search.molecule_space import MoleculeSpace
from gnndesign.search.space import space_from_dict


def formulas(space):
    return [space.candidate(index).formula for index in range(len(space))]


def test_a_molecule_written_in_two_ways_is_one_candidate():
    space = MoleculeSpace(smiles=["CCO", "OCC", "c1ccccc1", "C1=CC=CC=C1", "CO"])
    assert formulas(space) == ["CCO", "c1ccccc1", "CO"]
    assert space.n_combinations == 5
    assert sum(space.removed.values()) == 2
    ethanol = space.candidate(0)
    assert ethanol.composition == {"C": 2, "H": 6, "O": 1}
    assert space.elements == ("C", "H", "O")


def test_fragments_are_put_together_at_their_attachment_points():
    space = MoleculeSpace(
        cores=["[*:1]c1ccc([*:2])cc1"],
        groups={"R1": ["*C", "*F", "*O"], "R2": ["*C", "*F", "*O"]},
    )
    # Para-substituted benzenes: three alike, three pairs that are there twice.
    assert space.n_combinations == 9
    assert len(space) == 6
    assert sum(space.removed.values()) == 3
    index = space.pool.index_of(
        {"core": "[*:1]c1ccc([*:2])cc1", "R1": "*C", "R2": "*F"}
    )
    assert space.candidate(index).composition == {"C": 7, "F": 1, "H": 7}


def test_a_molecule_is_built_with_all_its_atoms_the_same_every_time():
    space = MoleculeSpace(smiles=["CCO", "CO"], seed=3)
    candidate = space.candidate(0)
    one, other = space.build(candidate), space.build(candidate)
    assert sorted(one.symbols) == ["C"] * 2 + ["H"] * 6 + ["O"]
    assert not one.pbc.any()
    assert np.array_equal(one.positions, other.positions)


def test_features_are_standardized_and_json_brings_it_back():
    space = MoleculeSpace(smiles=["CCO", "CO", "CCCCCC", "c1ccccc1O", "CC(=O)C"])
    features = space.features()
    assert features.mean(0) == pytest.approx(0, abs=1e-6)
    assert features.std(0) == pytest.approx(1, abs=1e-6)
    again = space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert formulas(again) == formulas(space)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ParameterError, "either smiles, or cores"),
        ({"smiles": ["CC", "no molecule"]}, StructureError, "Cannot read the SMILES"),
        ({"smiles": ["*CC"]}, ParameterError, "open attachment point"),
        (
            {"cores": ["c1ccccc1"], "groups": {"R1": ["*C"]}},
            ParameterError,
            "wants one attachment point",
        ),
        (
            {"cores": ["[*:1]C"], "groups": {"R1": ["CC"]}},
            ParameterError,
            "such as",
        ),
    ],
)
def test_what_makes_no_molecules_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        MoleculeSpace(**given)
