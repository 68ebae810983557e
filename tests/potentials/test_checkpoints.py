"""A user's own files: SevenNet checkpoints and ours are read exactly, others refused."""

import contextlib
import copy
import json
import pickle
import struct
import warnings
import zipfile

import ase
import numpy as np
import pytest
import torch
from ase.stress import voigt_6_to_full_3x3_stress
from safetensors.torch import load_file, save_file

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.adapters import sevennet
from gnndesign.potentials.base import Card
from gnndesign.potentials.catalog import load_potential, potential_card
from gnndesign.potentials.equivariant import (
    EquivariantNetwork,
    EquivariantParameters,
    EquivariantPotential,
)
from gnndesign.potentials.files import Origin, encode, read_origin, save_potential
from gnndesign.potentials.radial import PolynomialEnvelope
from gnndesign.potentials.weights import shipped
from gnndesign.potentials.weights.convert import SOURCES

CPU = torch.device("cpu")


def perovskite():
    atoms = ase.Atoms(
        "SrTiO3",
        scaled_positions=[
            [0, 0, 0],
            [0.5] * 3,
            [0.5, 0.5, 0],
            [0.5, 0, 0.5],
            [0, 0.5, 0.5],
        ],
        cell=[3.95] * 3,
        pbc=True,
    )
    atoms.rattle(0.1, seed=5)
    return atoms


def load_plain(name):
    """Load a potential that keeps to the network in torch."""
    potential = load_potential(name, "cpu")
    potential.kernel = "plain"
    return potential


def small_config(**changes):
    """The configuration of a small SevenNet, as the package would save it."""
    import sevenn
    from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG as DEFAULT

    return {
        **copy.deepcopy(DEFAULT),
        "version": sevenn.__version__,
        "_model_type": "E3_equivariant_model",
        "_type_map": {8: 0, 22: 1, 38: 2},
        "_number_of_species": 3,
        "chemical_species": ["O", "Ti", "Sr"],
        "cutoff": 4.0,
        "channel": 4,
        "lmax": 1,
        "is_parity": False,
        "num_convolution_layer": 2,
        "self_connection_type": "linear",
        "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 6},
        "cutoff_function": {
            "cutoff_function_name": "poly_cut",
            "poly_cut_p_value": 6,
        },
        "weight_nn_hidden_neurons": [8, 8],
        "conv_denominator": [3.0, 3.5, 2.0],
        "shift": -1.5,
        "scale": 1.7,
        "use_modality": False,
        **changes,
    }


def save_small_sevennet(path, **changes):
    """Save a SevenNet with random weights, made by the package itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.model_build import build_E3_equivariant_model

        torch.manual_seed(1)
        config = small_config(**changes)
        model = build_E3_equivariant_model(copy.deepcopy(config))
    content = {"config": config, "model_state_dict": model.state_dict(), "epoch": 1}
    torch.save(content, path)


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


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The path of a small SevenNet checkpoint."""
    path = tmp_path_factory.mktemp("small") / "mine.pth"
    save_small_sevennet(path)
    return path


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


# Which networks are refused, and why.


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


# Files that are damaged, foreign or hostile.


class Malicious:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("how", ["torch", "torch, old", "pickle"])
def test_code_in_a_file_is_not_run(how, suffix, tmp_path):
    target, path = tmp_path / "proof", tmp_path / f"bad{suffix}"
    content = {"config": Malicious(target), "model_state_dict": {}}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    reason = "no readable" if suffix == ".safetensors" else "could run code"
    with pytest.raises(CheckpointError, match=reason):
        load_potential(path, "cpu")
    assert not target.exists()


def test_the_malicious_file_of_these_tests_is_malicious(tmp_path):
    target = tmp_path / "proof"
    pickle.loads(pickle.dumps(Malicious(target))).close()  # noqa: S301 - our own
    assert target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint\n", b"PK\x03\x04broken", b"\x80\x04.", bytes(99)],
)
def test_what_is_no_checkpoint_is_refused(content, suffix, tmp_path):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.") as caught:
        load_potential(path, "cpu")
    assert "\n" not in str(caught.value)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "photos.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.txt", "a cat")
    with pytest.raises(CheckpointError, match=r"photos\.pth is no readable"):
        load_potential(path, "cpu")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_folder_and_a_missing_file_are_refused(suffix, tmp_path):
    path = tmp_path / f"folder{suffix}"
    with pytest.raises(CheckpointError, match="is not there"):
        load_potential(path)
    path.mkdir()
    with pytest.raises(CheckpointError, match="is a folder"):
        load_potential(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "structure.cif"
    path.write_text("data_x")
    with pytest.raises(CheckpointError, match=r"Wanted a potential in a file with"):
        load_potential(path)


def test_a_file_of_tensors_that_is_no_sevennet_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weights": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="found \\['weights'\\]"):
        load_potential(path)
    torch.save(torch.ones(3), path)
    with pytest.raises(CheckpointError, match=r"other\.pth.*a lone Tensor"):
        load_potential(path)
    torch.save({"config": 3, "model_state_dict": [1]}, path)
    with pytest.raises(CheckpointError, match=r"other\.pth.*found int and list"):
        load_potential(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_cut_or_changed_file_is_refused_or_read_as_it_was(suffix, small, tmp_path):
    whole = small.read_bytes()
    if suffix == ".safetensors":
        save_potential(load_potential(small, "cpu"), tmp_path / "whole.safetensors")
        whole = (tmp_path / "whole.safetensors").read_bytes()
    rng = np.random.default_rng(3)
    path = tmp_path / f"changed{suffix}"
    refused = 0
    for round_ in range(60):
        content = bytearray(whole)
        if round_ % 2:
            content = content[: rng.integers(len(whole))]
        else:
            # Where the descriptions are: the first bytes of either format.
            place = rng.integers(min(len(whole), 3000))
            content[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(content))
        with contextlib.suppress(CheckpointError):
            load_potential(path, "cpu")
            refused -= 1
        refused += 1
    assert refused >= 30


# Our own format.


@pytest.mark.parametrize("name", list(SOURCES))
def test_a_saved_potential_predicts_the_same_to_the_last_bit(name, tmp_path):
    potential = load_plain(name)
    path = tmp_path / "copy.safetensors"
    save_potential(potential, path)
    again = load_plain(path)
    before, after = potential.compute(perovskite()), again.compute(perovskite())
    assert torch.equal(before.energy, after.energy)
    assert torch.equal(before.forces, after.forces)
    assert torch.equal(before.stress, after.stress)
    assert again.card.notes == potential.card.notes
    assert again.card.licence == potential.card.licence
    assert again.card.title == potential.card.title
    assert again.card == potential_card(path)
    assert read_origin(path) == Origin(file=name, checksum=potential.card.checksum)


PARAMETERS = EquivariantParameters(
    elements=(8, 22, 38),
    cutoff=4.0,
    hidden=("4x0e", "4x0e+3x1o", "5x0e"),
    lmax=1,
    parity=True,
    n_radial=5,
    radial_hidden=(7,),
    readout_hidden=3,
    envelope=PolynomialEnvelope(p=5),
    self_connection="species",
)


def own_potential(**changes):
    torch.manual_seed(2)
    fields = {name: getattr(PARAMETERS, name) for name in PARAMETERS.__slots__}
    parameters = EquivariantParameters(**(fields | changes))
    card = Card(
        name="own",
        title="Own",
        licence="MIT",
        level_of_theory="none",
        training_data="none",
        n_parameters=None,
        elements=parameters.elements,
        cutoff=parameters.cutoff,
        checksum="0",
        citation="none",
        notes=("Random.", "Zufällig."),
    )
    network = EquivariantNetwork(parameters)
    potential = EquivariantPotential(network, parameters, card, "cpu")
    potential.kernel = "plain"
    return potential


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parity", [True, False])
def test_a_network_of_ones_own_comes_back_the_same(dtype, parity, tmp_path):
    hidden = PARAMETERS.hidden if parity else ("4x0e", "4x0e+3x1e", "5x0e")
    potential = own_potential(parity=parity, hidden=hidden)
    potential.network.to(dtype)
    path = tmp_path / "own.safetensors"
    save_potential(potential, path)
    again = load_plain(path)
    assert again.dtype == dtype
    assert again.parameters == potential.parameters
    before, after = potential.compute(perovskite()), again.compute(perovskite())
    assert torch.equal(before.forces, after.forces)
    assert again.card.notes == ("Random.", "Zufällig.")


def test_equal_potentials_have_equal_files(tmp_path):
    contents = set()
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        save_potential(own_potential(), path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_irreps_that_no_message_reaches_are_refused():
    with pytest.raises(ParameterError, match=r"interaction 1 can make.*not 0o"):
        own_potential(hidden=("4x0e", "4x0e+3x1o+2x0o", "5x0e"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"elements": (8, 8)}, "different atomic numbers"),
        ({"elements": (8, 300)}, "from 1 to 118"),
        ({"cutoff": float("nan")}, "a cutoff in Å"),
        ({"hidden": ("4x0e",)}, "1 to 99 interactions, got 0"),
        ({"hidden": ("9999999x0e", "4x0e")}, "Wanted irreps such as"),
        ({"hidden": ("4x0e+2x1o", "4x0e")}, "even scalars at both ends"),
        ({"hidden": ("4x0e", "4x1o")}, "even scalars at both ends"),
        ({"n_radial": 0}, "at least one channel"),
        ({"lmax": 12}, "lmax of 0 to 11"),
        ({"envelope": PolynomialEnvelope(p=1)}, "an envelope"),
    ],
)
def test_parameters_of_no_network_are_refused(changes, reason):
    with pytest.raises(ParameterError, match=reason):
        own_potential(**changes)


def test_only_our_own_networks_are_saved(lennard_jones, sevennet_0, tmp_path):
    with pytest.raises(ParameterError, match="Wanted an equivariant potential"):
        save_potential(lennard_jones, tmp_path / "lj.safetensors")
    with pytest.raises(ParameterError, match=r"with \.safetensors, got 'x\.pth'"):
        save_potential(sevennet_0, tmp_path / "x.pth")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def own_file(tmp_path_factory):
    """Our own format: (path, tensors, description)."""
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    save_potential(own_potential(), path)
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    return load_file(path), json.loads(header["__metadata__"]["gnndesign"])


def write(path, tensors, description):
    save_file(tensors, path, {"gnndesign": json.dumps(description)})


def test_the_parts_of_our_own_format_make_a_whole(own_file, tmp_path):
    path = tmp_path / "whole.safetensors"
    write(path, *own_file)
    assert load_potential(path, "cpu").card.title == "Own"


@pytest.mark.parametrize(
    ("section", "key", "value", "reason"),
    [
        (None, "format_version", 2, r"version 1 of the format, it is 2"),
        (None, "format", "mace", "a safetensors file of something else"),
        (None, "network", [], "'network' as dict"),
        (None, "card", None, "'card' as dict"),
        ("network", "cutoff", "4", "'cutoff' as float"),
        ("network", "cutoff", -4.0, "a cutoff in Å"),
        ("network", "lmax", True, "'lmax' as int"),
        ("network", "elements", ["O"], "a list of int"),
        ("network", "hidden", ["4x0e", "4x0e+3x1o", "9x0e"], "of shape"),
        ("network", "hidden", ["4x0e", "9" * 6000 + "x0e", "5x0e"], "such as"),
        ("network", "hidden", ["4x0e", "4x0e+3x1o+2x2e", "5x0e"], "not 2e"),
        ("network", "hidden", ["4x0e"] * 4, "lacks tensor"),
        ("network", "hidden", ["4x0e", "5x0e"], "has an unknown tensor"),
        ("network", "envelope", {"kind": "cosine"}, "wanted an envelope of polyn"),
        ("network", "envelope", {"kind": "xplor", "onset": 9.0}, "an envelope"),
        ("network", "self_connection", "none", "a self-connection 'linear'"),
        ("card", "licence", 3, "'licence' as str"),
        ("card", "notes", "none", "'notes' as list"),
    ],
)
def test_a_wrong_description_is_refused(
    section, key, value, reason, own_file, tmp_path
):
    tensors, description = own_file[0], copy.deepcopy(own_file[1])
    (description if section is None else description[section])[key] = value
    path = tmp_path / "wrong.safetensors"
    write(path, tensors, description)
    with pytest.raises(CheckpointError) as caught:
        load_potential(path, "cpu")
    assert "wrong.safetensors" in str(caught.value)
    assert reason in str(caught.value)


def broken(tensors, how):
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    match how:
        case "lacks tensor 'shift'":
            del tensors["shift"]
        case "has an unknown tensor 'extra'":
            tensors["extra"] = torch.ones(2)
        case "'scale' of shape (3,), it is (4,)":
            tensors["scale"] = torch.ones(4)
        case "'embedding' holds numbers that are not finite":
            tensors["embedding"][1, 2] = torch.nan
        case "'scale' is torch.float16":
            tensors["scale"] = tensors["scale"].half()
        case "is torch.int64":
            tensors = {key: tensor.long() for key, tensor in tensors.items()}
    return tensors


@pytest.mark.parametrize(
    "how",
    [
        "lacks tensor 'shift'",
        "has an unknown tensor 'extra'",
        "'scale' of shape (3,), it is (4,)",
        "'embedding' holds numbers that are not finite",
        "'scale' is torch.float16",
        "is torch.int64",
    ],
)
def test_wrong_tensors_are_refused(how, own_file, tmp_path):
    path = tmp_path / "wrong.safetensors"
    write(path, broken(own_file[0], how), own_file[1])
    with pytest.raises(CheckpointError) as caught:
        load_potential(path, "cpu")
    assert how in str(caught.value)


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "language.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match="of something else"):
        load_potential(path, "cpu")
    save_file({"weight": torch.ones(2)}, path, {"gnndesign": "{" * 9999})
    with pytest.raises(CheckpointError, match="no readable safetensors"):
        load_potential(path, "cpu")


def test_a_failed_save_leaves_the_old_file(monkeypatch, tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr(type(path), "replace", refuse_to_replace)
    with pytest.raises(OSError, match="disk"):
        save_potential(own_potential(), path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["own.safetensors"]


def refuse_to_replace(_path, _target):
    raise OSError("disk")


def test_the_content_of_a_file_depends_on_the_network_alone(sevennet_0):
    origin = read_origin(shipped("sevennet-0"))
    first, second = (
        encode(sevennet_0.network, sevennet_0.parameters, sevennet_0.card, origin)
        for _ in range(2)
    )
    assert first == second
