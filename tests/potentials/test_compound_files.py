"""Sums and committees in one file: what is saved comes back, what is wrong is refused."""

import copy
import json
import struct

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from safetensors.torch import load_file, save_file
from small_networks import own_potential, perovskite

from gnndesign.errors import CheckpointError, MissingDependencyError, ParameterError
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential, potential_card
from gnndesign.potentials.combine import SumPotential
from gnndesign.potentials.committee import Committee
from gnndesign.potentials.dispersion import D3Dispersion
from gnndesign.potentials.files import read_origin, save_potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.potentials.zbl import ZBL
from gnndesign.simulation.relaxation import relax


def network(seed=0, name="invariant", elements=("O", "Ti", "Sr")):
    return new_potential(name, elements, seed=seed, cutoff=4.0)


def same(one, other, atoms):
    before, after = one.compute(atoms), other.compute(atoms)
    return all(
        torch.equal(getattr(before, name), getattr(after, name))
        for name in ("energy", "forces", "stress")
    )


def saved(potential, tmp_path):
    path = tmp_path / "compound.safetensors"
    save_potential(potential, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_with_repulsion_comes_back_the_same_to_the_last_bit(dtype, tmp_path):
    part = network()
    part.network.to(dtype)
    potential = part + ZBL(reach=0.9, elements=(8, 22, 38)) + ZBL(cutoff=1.5)
    path = saved(potential, tmp_path)
    again = load_potential(path, "cpu")
    assert type(again) is SumPotential
    assert again.dtype == dtype
    assert [term.card.title for term in again.terms] == [
        term.card.title for term in potential.terms
    ]
    assert same(potential, again, perovskite())
    assert again.terms[1].settings == potential.terms[1].settings
    assert again.terms[2].cutoff == 1.5


def test_a_network_with_dispersion_comes_back_the_same(tmp_path):
    pytest.importorskip("dftd3")
    potential = network() + D3Dispersion("PBEsol")
    again = load_potential(saved(potential, tmp_path), "cpu")
    assert same(potential, again, perovskite())
    assert again.terms[1].functional == "pbesol"


def test_a_committee_of_several_architectures_comes_back_with_its_spread(tmp_path):
    members = [network(1), network(2), own_potential(), network(3, "behler-parrinello")]
    committee = Committee(members)
    again = load_potential(saved(committee, tmp_path), "cpu")
    assert type(again) is Committee
    assert same(committee, again, perovskite())
    before, after = (one.disagreement(perovskite()) for one in (committee, again))
    np.testing.assert_array_equal(before.energy_spread, after.energy_spread)
    np.testing.assert_array_equal(before.max_force_spread, after.max_force_spread)


def test_committees_and_sums_are_nested_in_each_other(tmp_path):
    inner = Committee([network(1) + ZBL(), network(2) + ZBL()])
    outer = inner + LennardJones(epsilon=0.02, sigma=2.0, cutoff=5.0)
    again = load_potential(saved(outer, tmp_path), "cpu")
    assert [type(part) for part in again.terms] == [Committee, LennardJones]
    assert [type(part) for part in again.terms[0].members] == [SumPotential] * 2
    assert same(outer, again, perovskite())


def test_the_card_is_that_of_the_file_and_tells_all_parts(tmp_path):
    potential = network() + ZBL()
    path = saved(potential, tmp_path)
    card = load_potential(path, "cpu").card
    assert card == potential_card(path)
    assert card.name == str(path)
    assert card.title == potential.card.title
    assert card.elements == (8, 22, 38)
    assert card.licence == potential.card.licence
    assert set(card.notes) >= {note for note in potential.card.notes if "zbl" in note}
    other = tmp_path / "other.safetensors"
    save_potential(network(seed=5) + ZBL(), other)
    assert potential_card(other).checksum != card.checksum


def test_equal_compounds_have_equal_files(tmp_path):
    contents = set()
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        save_potential(Committee([network(1), network(2) + ZBL()]), path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_a_loaded_sum_is_saved_again_and_relaxes_a_crystal(tmp_path):
    potential = LennardJones() + ZBL(elements=(18,))
    again = load_potential(saved(potential, tmp_path), "cpu")
    second = tmp_path / "second.safetensors"
    save_potential(again, second)
    assert second.read_bytes() == (tmp_path / "compound.safetensors").read_bytes()
    atoms = bulk("Ar", "fcc", 5.2, cubic=True)
    atoms.rattle(0.1, seed=1)
    one, other = (relax(atoms, p, max_force=1e-3) for p in (potential, again))
    assert one.energy == other.energy


def test_of_a_packaged_potential_the_name_and_checksum_are_kept(tmp_path):
    pytest.importorskip("chgnet")
    chgnet = load_potential("chgnet", "cpu")
    path = saved(chgnet + ZBL(), tmp_path)
    assert path.stat().st_size < 10_000
    again = load_potential(path, "cpu")
    assert again.terms[0].card == chgnet.card
    tensors, description = parts_of(path)
    description["parts"][0]["checksum"] = "0" * 64
    write(path, tensors, description)
    with pytest.raises(CheckpointError, match="chgnet of checksum '000000000000'"):
        load_potential(path, "cpu")


def test_what_cannot_be_saved_is_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "a.safetensors"

    class Mine(LennardJones):
        """Computes something else."""

    mine = Mine()
    mine.card = LennardJones(epsilon=0.02).card
    for part in (ASEPotential(EMT()), mine):
        with pytest.raises(ParameterError, match="Wanted parts that can be saved"):
            save_potential(part + ZBL(), path)
    with pytest.raises(ParameterError, match=r"with \.safetensors"):
        save_potential(network() + ZBL(), tmp_path / "a.pth")
    with pytest.raises(ParameterError, match="from 1 to 118"):
        ZBL(elements=(0, 8))
    assert not list(tmp_path.iterdir())


def test_without_the_library_of_a_part_the_extra_is_named(tmp_path, monkeypatch):
    pytest.importorskip("dftd3")
    path = saved(network() + D3Dispersion("pbe"), tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "dftd3", None)
    with pytest.raises(MissingDependencyError, match=r"gnndesign\[dispersion\]"):
        load_potential(path, "cpu")


def parts_of(path):
    """(tensors, description) of a file."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    return load_file(path), json.loads(header["__metadata__"]["gnndesign"])


def write(path, tensors, description):
    save_file(tensors, path, {"gnndesign": json.dumps(description)})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A committee of a sum and a network: (tensors, description)."""
    path = tmp_path_factory.mktemp("whole") / "a.safetensors"
    sum_ = network(1) + ZBL() + LennardJones()
    save_potential(Committee([sum_, network(2)]), path)
    return parts_of(path)


def test_the_parts_of_a_file_make_a_whole(whole, tmp_path):
    path = tmp_path / "whole.safetensors"
    write(path, *whole)
    assert load_potential(path, "cpu").card.title.startswith("Committee of 2")
    with pytest.raises(CheckpointError, match="origin"):
        read_origin(path)


def deep(levels):
    part = {"kind": "zbl", "settings": {"reach": 1.0, "cutoff": None, "elements": [8]}}
    for _ in range(levels):
        part = {"kind": "sum", "parts": [part, part]}
    return part["parts"]


CHANGES = {
    "'parts' as list": lambda d: d.update(parts={}),
    "'parts' as a list of dict": lambda d: d.update(parts=["zbl"]),
    "Wanted two or more potentials": lambda d: d.update(parts=[]),
    "'kind' as str": lambda d: d["parts"][1].pop("kind"),
    "it has 'pickle'": lambda d: d["parts"][1].update(kind="pickle"),
    "version 1 of the format": lambda d: d.update(format_version=2),
    "deeper than 8": lambda d: d.update(parts=deep(9)),
    "more than 256 parts": lambda d: d["parts"].extend(
        {"kind": "sum", "parts": deep(7)} for _ in range(2)
    ),
    "'settings' as dict": lambda d: zbl_of(d).update(settings=[]),
    "'elements.0'": lambda d: zbl_of(d)["settings"].update(elements=[300]),
    "its zbl is wrong in 'reach'": lambda d: zbl_of(d)["settings"].update(reach="1"),
    "a reach above 0": lambda d: zbl_of(d)["settings"].update(reach=-1.0),
    "wrong in 'cutoff'": lambda d: zbl_of(d)["settings"].pop("cutoff"),
    "finite number": lambda d: d["parts"][0]["parts"][2]["settings"].update(
        epsilon=float("inf")
    ),
    "wrong in 'functional'": lambda d: zbl_of(d).update(
        kind="d3", settings={"functional": "pbe\0; rm"}
    ),
    "a potential '../mine.pth' that is not on offer": lambda d: zbl_of(d).update(
        kind="named", name="../mine.pth", checksum="0"
    ),
    "network 0: wanted 'embedding.weight' of shape (3, 9)": lambda d: d["parts"][0][
        "parts"
    ][0]["network"].update(n_channels=9),
    "wanted an architecture of": lambda d: d["parts"][1].update(
        format="gnndesign-transformer"
    ),
    "of a network '1' that it does not describe": lambda d: d["parts"].__setitem__(
        1, zbl_of(d)
    ),
    "'origin' as dict": lambda d: d["parts"][1].pop("origin"),
    "Wanted potentials with a common element": lambda d: zbl_of(d)["settings"].update(
        elements=[1]
    ),
}


def zbl_of(description):
    return description["parts"][0]["parts"][1]


@pytest.mark.parametrize("reason", list(CHANGES))
def test_a_wrong_description_is_refused(reason, whole, tmp_path):
    tensors, description = whole[0], copy.deepcopy(whole[1])
    CHANGES[reason](description)
    path = tmp_path / "wrong.safetensors"
    write(path, tensors, description)
    for read in (potential_card, lambda p: load_potential(p, "cpu")):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        assert "wrong.safetensors" in str(caught.value)
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("1/scale"), "network 1 does not hold the network"),
        (lambda t: t.update({"1/extra": torch.ones(1)}), "an unknown tensor 'extra'"),
        (lambda t: t.update({"7/scale": torch.ones(1)}), "of a network '7'"),
        (lambda t: t.update({"scale": torch.ones(1)}), "of a network 'scale'"),
        (lambda t: t.update({"0/scale": torch.full((3,), torch.nan)}), "not finite"),
        (lambda t: t.update({"0/scale": torch.ones(9)}), "of shape (3,)"),
    ],
)
def test_wrong_tensors_are_refused(change, reason, whole, tmp_path):
    tensors = dict(whole[0])
    change(tensors)
    path = tmp_path / "wrong.safetensors"
    write(path, tensors, whole[1])
    with pytest.raises(CheckpointError) as caught:
        load_potential(path, "cpu")
    assert reason in str(caught.value)


def test_a_cut_or_changed_file_is_refused_or_read_as_a_potential(tmp_path, whole):
    path = tmp_path / "whole.safetensors"
    write(path, *whole)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for round_ in range(60):
        changed = bytearray(content)
        if round_ % 2:
            changed = changed[: rng.integers(len(content))]
        else:
            changed[rng.integers(min(len(content), 4000))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(changed))
        try:
            load_potential(path, "cpu")
        except CheckpointError:
            refused += 1
    assert refused >= 30
