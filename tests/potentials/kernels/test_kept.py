"""What the cache keeps is whole, or made anew."""

import pytest

from gnndesign.potentials.kernels.kept import is_kept, kept, package_text

CONTENT = bytes(range(256)) * 5


class Maker:
    """Makes a content and counts."""

    def __init__(self, content=CONTENT):
        self.content, self.calls = content, 0

    def __call__(self):
        self.calls += 1
        return self.content


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GNNDESIGN_CACHE", str(folder))
    return folder


def files(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_what_was_made_once_is_read(cache):
    make = Maker()
    assert not is_kept(["a"], ".bin")
    assert kept(["a"], ".bin", make) == CONTENT
    assert is_kept(["a"], ".bin")
    assert kept(["a"], ".bin", make) == CONTENT
    assert make.calls == 1
    assert [path.suffix for path in files(cache)] == [".bin"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda whole: whole[:0],
        lambda whole: whole[:16],
        lambda whole: whole[:-1],
        lambda whole: whole[:32],
        lambda whole: whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        lambda whole: bytes([whole[0] ^ 1]) + whole[1:],
        lambda whole: whole + b"more",
    ],
    ids=["empty", "half a hash", "cut", "hash alone", "flipped", "hash", "longer"],
)
def test_a_damaged_file_is_made_anew(cache, harm):
    make = Maker()
    kept(["a"], ".bin", make)
    (path,) = files(cache)
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    assert not is_kept(["a"], ".bin")
    assert kept(["a"], ".bin", make) == CONTENT
    assert make.calls == 2
    assert path.read_bytes() == whole
    assert is_kept(["a"], ".bin")


def test_different_keys_have_different_files(cache):
    keys = [["a"], ["b"], ["a", "b"], ["ab"], ["a", ""], ["", "a"], []]
    for number, key in enumerate(keys):
        kept(key, ".bin", Maker(str(number).encode()))
    kept(["a"], ".npz", Maker(b"other"))
    assert len(files(cache)) == len(keys) + 1
    for number, key in enumerate(keys):
        assert kept(key, ".bin", Maker(b"")) == str(number).encode()
    assert kept(["a"], ".npz", Maker(b"")) == b"other"


def test_a_cache_that_is_no_folder_costs_time_alone(cache):
    cache.write_text("a file where the folder should be")
    make = Maker()
    for _ in range(2):
        assert kept(["a"], ".bin", make) == CONTENT
    assert make.calls == 2
    assert not is_kept(["a"], ".bin")


def test_a_file_that_cannot_be_replaced_costs_time_alone(cache):
    make = Maker()
    kept(["a"], ".bin", make)
    (path,) = files(cache)
    path.unlink()
    # A folder of its name can neither be read nor replaced, whoever the user is.
    (path / "in the way").mkdir(parents=True)
    assert kept(["a"], ".bin", make) == CONTENT
    assert not is_kept(["a"], ".bin")
    # No half-written file is left.
    assert files(cache) == []


def test_a_failure_to_make_leaves_nothing(cache):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        kept(["a"], ".bin", fail)
    assert files(cache) == []
    assert kept(["a"], ".bin", Maker()) == CONTENT


def test_an_empty_content_is_a_content():
    make = Maker(b"")
    assert [kept(["a"], ".bin", make) for _ in range(2)] == [b"", b""]
    assert make.calls == 1


def test_the_text_of_the_kernels_is_hashed_once():
    assert package_text() == package_text()
    assert len(package_text()) == 64
