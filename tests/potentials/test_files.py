"""Our own format: what is saved comes back to the last bit, what is wrong is refused."""

import copy
import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import PARAMETERS, load_plain, own_potential, perovskite

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.catalog import load_potential, potential_card
from gnndesign.potentials.files import Origin, encode, read_origin, save_potential
from gnndesign.potentials.radial import PolynomialEnvelope
from gnndesign.potentials.weights import shipped
from gnndesign.potentials.weights.convert import SOURCES


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
    with pytest.raises(ParameterError, match="Wanted a trainable potential"):
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
        ("network", "cutoff", "4", "'cutoff': Input should be a valid number"),
        ("network", "cutoff", -4.0, "a cutoff in Å"),
        ("network", "lmax", True, "'lmax': Input should be a valid integer"),
        ("network", "elements", ["O"], "'elements.0': Input should be a valid integer"),
        ("network", "hidden", ["4x0e", "4x0e+3x1o", "9x0e"], "of shape"),
        ("network", "hidden", ["4x0e", "9" * 6000 + "x0e", "5x0e"], "such as"),
        ("network", "hidden", ["4x0e", "4x0e+3x1o+2x2e", "5x0e"], "not 2e"),
        ("network", "hidden", ["4x0e"] * 4, "lacks tensor"),
        ("network", "hidden", ["4x0e", "5x0e"], "has an unknown tensor"),
        ("network", "envelope", {"kind": "cosine"}, "wanted an envelope of polyn"),
        ("network", "envelope", {"kind": "xplor", "onset": 9.0}, "an envelope"),
        (
            "network",
            "self_connection",
            "none",
            "'self_connection': Input should be 'linear'",
        ),
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
