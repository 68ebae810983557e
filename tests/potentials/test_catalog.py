"""What is on offer is what the cards say, and bad files and names are refused."""

import hashlib
import subprocess
import sys

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
from gnndesign.potentials.files import read_origin
from gnndesign.potentials.weights import shipped
from gnndesign.potentials.weights.convert import SOURCES, convert

SEVENNETS = tuple(SOURCES)


def test_the_recommended_potential_comes_first():
    assert list_potentials() == (
        "sevennet-0",
        "sevennet-l3i5",
        "chgnet",
        "lennard-jones",
    )


@pytest.mark.parametrize("name", SEVENNETS)
def test_card_of_a_sevennet_states_what_is_in_its_file(name):
    content = sevennet.read_checkpoint(sevennet.packaged_checkpoint(SOURCES[name].file))
    card = potential_card(name)
    assert card.name == name
    assert card.checksum == hashlib.sha256(shipped(name).read_bytes()).hexdigest()
    assert card.elements == MPTRJ_ELEMENTS
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
def test_shipped_weights_are_made_from_the_wheel_bit_for_bit(name):
    assert convert(name) == shipped(name).read_bytes()


@pytest.mark.parametrize("name", SEVENNETS)
def test_shipped_weights_name_their_origin(name):
    origin = read_origin(shipped(name))
    path = sevennet.packaged_checkpoint(origin.file)
    assert origin.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    notice = shipped(name).parent
    assert origin.checksum in (notice / "README.md").read_text("utf-8")
    assert "2024 Yutack Park" in (notice / "LICENSE-sevennet.txt").read_text("utf-8")


def test_a_default_installation_needs_no_other_graph_network_package():
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['sevenn', 'torch_geometric', 'e3nn'])\n"
        "import ase, gnndesign\n"
        "potential = gnndesign.load_potential('sevennet-0', 'cpu')\n"
        "atoms = ase.Atoms('Si2', [[0, 0, 0], [2.3, 0, 0]])\n"
        "print(float(potential.compute(atoms).energy))\n"
    )
    done = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 0


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
