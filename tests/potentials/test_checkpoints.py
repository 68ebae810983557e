"""A user's own SevenNet is read exactly; what we do not reproduce is refused."""

import warnings

import numpy as np
import pytest
import torch
from ase.stress import voigt_6_to_full_3x3_stress
from small_networks import load_plain, perovskite, save_small_sevennet

from gnndesign.errors import CheckpointError
from gnndesign.potentials.adapters import sevennet
from gnndesign.potentials.catalog import load_potential, potential_card

SMALL = {
    "lmax 1": {},
    "lmax 2, 8 channels": {"lmax": 2, "channel": 8},
    "lmax 3, 3 layers": {"lmax": 3, "num_convolution_layer": 3},
    "harmonics beyond the features": {"lmax_edge": 2},
    "XPLOR, energies by element": {
        "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.5},
        "shift": [-1.0, 2.0, 3.0],
        "scale": [1.0, 2.0, 1.5],
    },
    "irreps by hand": {
        "lmax": 3,
        "num_convolution_layer": 3,
        "irreps_manual": ["8x0e", "8x0e+4x1e", "8x0e+4x1e+2x3e", "8x0e"],
    },
    "parity": {"is_parity": True, "lmax": 2, "num_convolution_layer": 3},
    "parity, irreps in an order of its own": {
        "is_parity": True,
        "lmax": 2,
        "num_convolution_layer": 3,
        "irreps_manual": ["8x0e", "6x0e+4x2e+5x1o", "6x0e+3x2e+4x1o", "8x0e"],
    },
    "a self-connection for each element": {"self_connection_type": "nequip"},
    "the same with parity": {
        "self_connection_type": ["nequip"] * 3,
        "is_parity": True,
        "lmax": 2,
        "num_convolution_layer": 3,
    },
}


@pytest.mark.parametrize("changes", SMALL.values(), ids=SMALL)
def test_a_small_sevennet_agrees_with_the_package(changes, tmp_path):
    path = tmp_path / "mine.pth"
    save_small_sevennet(path, **changes)
    potential = load_plain(path)
    atoms = perovskite()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.calculator import SevenNetCalculator

        calculator = SevenNetCalculator(str(path), device="cpu")
        calculator.calculate(atoms.copy(), ["energy", "forces", "stress"])
    theirs, ours = calculator.results, potential.compute(atoms)
    assert float(ours.energy) == pytest.approx(theirs["energy"], abs=3e-6)
    assert np.abs(theirs["forces"]).max() > 1e-3
    np.testing.assert_allclose(ours.forces, theirs["forces"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(
        ours.stress[0],
        voigt_6_to_full_3x3_stress(theirs["stress"]),
        rtol=0,
        atol=1e-7,
    )


def test_the_card_of_a_checkpoint_says_what_the_file_does_not(small):
    card = load_potential(str(small)).card
    assert card == potential_card(small)
    assert (card.title, card.name) == ("mine", str(small))
    assert card.elements == (8, 22, 38)
    assert card.cutoff == 4.0
    n_weights = sum(
        tensor.numel()
        for key, tensor in torch.load(small)["model_state_dict"].items()
        if not any(part in key for part in ("w3j", "denominator", "rescale", "mask"))
    )
    assert card.n_parameters == n_weights
    for unknown in (card.licence, card.level_of_theory, card.training_data):
        assert unknown.startswith("unknown")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"act_radial": "ssp"}, r"act_radial = 'silu'.*'ssp'"),
        ({"use_bias_in_linear": True}, "use_bias_in_linear = False"),
        ({"readout_as_fcn": True}, "readout_as_fcn = False"),
        ({"_normalize_sph": False}, "_normalize_sph = True"),
        ({"self_connection_type": "none"}, "'linear' or 'nequip'"),
        ({"self_connection_type": ["linear", "nequip"]}, "'linear' or 'nequip'"),
        ({"cutoff_function": {"cutoff_function_name": "cosine"}}, "'cosine'"),
        ({"irreps_manual": ["4x0e", "4x1e+4x0e", "4x0e"]}, "the package mixes up"),
        ({"irreps_manual": ["4x0e", "4x0e+2x0e", "4x0e"]}, "twice in one layer"),
        ({"irreps_manual": ["4x0e", "4x0e", "4x0e+2x0o"]}, "odd irreps in the last"),
        ({"irreps_manual": ["4x0e", "many", "4x0e"]}, "Wanted irreps such as"),
        ({"cutoff": "far"}, "could not convert"),
        ({"channel": 5}, "does not hold the network"),
        ({"lmax": 99}, "lmax of 0 to 11"),
        ({"version": "new"}, "does not hold the network"),
    ],
)
def test_another_architecture_is_refused_with_the_reason(
    changes, reason, small, tmp_path
):
    content = torch.load(small)
    content["config"] |= changes
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_potential(path, "cpu")
    assert "other.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["_type_map", "cutoff", "version", "is_parity"])
def test_a_configuration_without_what_is_needed_is_refused(key, small, tmp_path):
    content = torch.load(small)
    del content["config"][key]
    path = tmp_path / "bare.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"has '{key}', this one does not"):
        load_potential(path, "cpu")


def test_a_checkpoint_that_lacks_a_weight_is_refused(small, tmp_path):
    content = torch.load(small)
    path = tmp_path / "less.pth"
    del content["model_state_dict"]["1_self_interaction_2.linear.weight"]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="has '1_self_interaction_2"):
        load_potential(path, "cpu")


def test_a_checkpoint_with_a_weight_of_nan_is_refused(small, tmp_path):
    content = torch.load(small)
    path = tmp_path / "nan.pth"
    content["model_state_dict"]["1_self_interaction_2.linear.weight"][3] = torch.nan
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not finite"):
        load_potential(path, "cpu")


def test_a_checkpoint_with_other_couplings_is_refused(tmp_path):
    path = tmp_path / "w3j.pth"
    save_small_sevennet(path, num_convolution_layer=3)
    content = torch.load(path)
    state = content["model_state_dict"]
    key = next(key for key in state if "_w3j_1_1_1" in key)
    state[key] *= 2
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="is not e3nn's"):
        load_potential(path, "cpu")


def test_a_sevennet_of_several_levels_of_theory_is_refused():
    path = sevennet.packaged_checkpoint("SevenNet_MF_0/checkpoint_sevennet_mf_0.pth")
    with pytest.raises(CheckpointError, match=r"one level of theory.*PBE, R2SCAN"):
        load_potential(path, "cpu")


def test_the_checkpoint_of_another_package_is_refused():
    from gnndesign.potentials.adapters.chgnet import packaged_checkpoint

    content = packaged_checkpoint()
    with pytest.raises(CheckpointError, match="wanted a SevenNet checkpoint with"):
        sevennet.read_checkpoint(content)
