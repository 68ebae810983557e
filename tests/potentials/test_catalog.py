"""What is on offer is what the cards say, and bad files and names are refused."""

import hashlib
import pickle

import ase
import pytest
import torch

from gnndesign.errors import (
    CheckpointError,
    MissingDependencyError,
    ParameterError,
    StructureError,
    UnsupportedElementError,
)
from gnndesign.potentials.adapters import chgnet as chgnet_adapter
from gnndesign.potentials.adapters import packaged, sevennet
from gnndesign.potentials.catalog import (
    MPTRJ_ELEMENTS,
    choose_device,
    list_potentials,
    load_potential,
    potential_card,
)

SEVENNETS = {
    "sevennet-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "sevennet-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
}


def test_the_recommended_potential_comes_first():
    assert list_potentials() == (
        "sevennet-0",
        "sevennet-l3i5",
        "chgnet",
        "lennard-jones",
    )


@pytest.mark.parametrize("name", SEVENNETS)
def test_card_of_a_sevennet_states_what_is_in_its_file(name):
    path = sevennet.packaged_checkpoint(SEVENNETS[name])
    content = sevennet.read_checkpoint(path)
    card = potential_card(name)
    assert card.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.elements == tuple(sorted(content["config"]["_type_map"]))
    assert card.cutoff == content["config"]["cutoff"]
    buffers = ("_w3j_", "denominator", "rescale_atomic_energy", "output_mask")
    n_weights = sum(
        tensor.numel()
        for key, tensor in content["model_state_dict"].items()
        if not any(part in key for part in buffers)
    )
    assert card.n_parameters == n_weights


@pytest.mark.parametrize("name", SEVENNETS)
def test_every_weight_of_a_sevennet_is_used(name, request):
    potential = request.getfixturevalue(name.replace("-", "_"))
    network = potential.network
    fixed = {"scale", "shift"}
    loaded = sum(
        weight.numel()
        for key, weight in network.named_parameters()
        if key not in fixed and not key.endswith("denominator")
    )
    assert loaded == potential.card.n_parameters


def test_card_of_chgnet_states_what_is_in_its_file(chgnet):
    path = chgnet_adapter.packaged_checkpoint()
    assert chgnet.card.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    n_weights = sum(weight.numel() for weight in chgnet._model.parameters())
    assert chgnet.card.n_parameters == n_weights


def test_mptrj_has_89_elements_without_the_five_between_bismuth_and_actinium():
    assert len(MPTRJ_ELEMENTS) == 89
    assert set(range(1, 95)) - set(MPTRJ_ELEMENTS) == {84, 85, 86, 87, 88}


@pytest.mark.parametrize("name", ["sevennet_0", "chgnet"])
def test_an_unknown_element_is_named_with_its_atoms(name, request):
    potential = request.getfixturevalue(name)
    atoms = ase.Atoms("Si3PoSi3Po", positions=[[3.0 * k, 0, 0] for k in range(8)])
    with pytest.raises(UnsupportedElementError) as caught:
        potential.compute(atoms)
    assert str(caught.value) == (
        f"Potential '{potential.card.name}' knows 89 elements but not Po (atoms 3, 7). "
        "Remove these atoms or choose a potential trained on Po."
    )


def test_only_the_first_atoms_of_many_are_listed(sevennet_0):
    atoms = ase.Atoms("Po9", positions=[[4.0 * k, 0, 0] for k in range(9)])
    with pytest.raises(UnsupportedElementError, match=r"\(atoms 0, .*, 7, \.\.\.\)"):
        sevennet_0.compute(atoms)


def test_a_misspelt_name_gets_a_hint():
    with pytest.raises(ParameterError, match="Did you mean 'sevennet-0'"):
        load_potential("SevenNet0")
    with pytest.raises(ParameterError, match=r"Wanted one of sevennet-0, .*, got 'x'"):
        load_potential("x")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ParameterError, match="Wanted 'cpu', 'cuda' or 'cuda:N'"):
        choose_device("toaster")
    count = torch.cuda.device_count()
    with pytest.raises(ParameterError, match=f"sees {count} CUDA devices"):
        choose_device(f"cuda:{count}")


def test_the_default_device_is_the_gpu_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device().type == choose_device("auto").type == expected


class Malicious:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_not_run(how, tmp_path):
    target, path = tmp_path / "proof", tmp_path / "bad.pth"
    content = {"config": Malicious(target), "model_state_dict": {}}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="could run code"):
        sevennet.read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_damaged_checkpoint_is_refused(content, tmp_path):
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.pth"):
        sevennet.read_checkpoint(path)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    whole = sevennet.packaged_checkpoint(SEVENNETS["sevennet-0"]).read_bytes()
    path = tmp_path / "half.pth"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"half\.pth"):
        sevennet.read_checkpoint(path)


def test_a_file_of_tensors_that_is_no_sevennet_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weights": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="found \\['weights'\\]"):
        sevennet.read_checkpoint(path)
    torch.save(torch.ones(3), path)
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        sevennet.read_checkpoint(path)


def test_another_family_of_sevennet_is_refused():
    path = sevennet.packaged_checkpoint("SevenNet_MF_0/checkpoint_sevennet_mf_0.pth")
    with pytest.raises(CheckpointError, match=r"one level of theory.*PBE, R2SCAN"):
        sevennet.load_sevennet(path, potential_card("sevennet-0"), torch.device("cpu"))


def test_a_changed_architecture_is_refused(tmp_path):
    content = sevennet.read_checkpoint(
        sevennet.packaged_checkpoint(SEVENNETS["sevennet-0"])
    )
    config = {key: content["config"][key] for key in sevennet._REQUIRED}
    path = tmp_path / "tanh.pth"
    torch.save(
        {"config": config | {"act_radial": "tanh"}, "model_state_dict": {}}, path
    )
    with pytest.raises(CheckpointError, match=r"act_radial = 'silu'.*'tanh'"):
        sevennet.load_sevennet(path, potential_card("sevennet-0"), torch.device("cpu"))


def test_a_checkpoint_that_the_package_lacks_is_named():
    with pytest.raises(CheckpointError, match=r"no file nothing\.pth"):
        sevennet.packaged_checkpoint("nothing.pth")


def test_a_missing_package_is_named_with_what_to_type(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'chgnet>=0.4.2"):
        chgnet_adapter.packaged_checkpoint()


def test_chgnet_refuses_an_isolated_atom_with_a_way_out(chgnet):
    atoms = ase.Atoms("NaCl", positions=[[0, 0, 0], [9.0, 0, 0]])
    with pytest.raises(
        StructureError, match=r"Structure 0 \(ClNa\).*choose a SevenNet"
    ):
        chgnet.compute(atoms)


@pytest.mark.parametrize("name", list_potentials())
def test_loading_and_predicting_print_nothing(name, capfd):
    potential = load_potential(name, "cpu")
    potential.compute(ase.Atoms("Si2", positions=[[0, 0, 0], [2.3, 0, 0]]))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
