"""Files that are damaged, foreign or hostile: one sentence each, and nothing is run."""

import contextlib
import pickle
import zipfile

import numpy as np
import pytest
import torch

from gnndesign.errors import CheckpointError
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential


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
