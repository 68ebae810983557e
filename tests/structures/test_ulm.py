"""No death of a writer and no full disk hurts the frames that are there."""

import resource
import signal
import subprocess
import sys
import threading
import time

import ase
import ase.io
import numpy as np
import pytest
from ase.io.trajectory import Trajectory

from gnndesign.errors import StructureError
from gnndesign.structures import ulm
from gnndesign.structures.trajectory import TrajectoryFile
from gnndesign.structures.ulm import FrameLog, read_index

N_FRAMES = 45
"""More than 42, so that there are three tables."""


def item(number):
    """A frame whose arrays and texts all tell its number."""
    positions = np.arange(15.0).reshape(5, 3) + number
    fields = {
        "positions": positions,
        "momenta": positions.astype(np.float32),
        "cell": (np.eye(3) * (9 + number)).tolist(),
        "calculator.": {"name": "unknown", "energy": -number / 7, "forces": -positions},
        "info": {"step": number, "padding": "x" * (number % 9)},
    }
    if number == 0:
        numbers = np.array([3, 4, 5, 6, 7])
        fields |= {"version": 1, "ase_version": "3", "pbc": [True] * 3}
        fields |= {"numbers": numbers}
    return fields


def number_of(atoms):
    """The number of a frame, if all of it agrees."""
    number = atoms.info["step"]
    expected = np.arange(15.0).reshape(5, 3) + number
    np.testing.assert_array_equal(atoms.positions, expected)
    np.testing.assert_array_equal(atoms.get_momenta(), expected)
    np.testing.assert_array_equal(atoms.get_forces(), -expected)
    assert atoms.get_potential_energy() == -number / 7
    assert atoms.cell[0, 0] == 9 + number
    assert atoms.numbers.tolist() == [3, 4, 5, 6, 7]
    return number


def numbers_in(path):
    """The numbers of all frames, as ASE and as we read them."""
    ours = TrajectoryFile(path)
    numbers = [number_of(atoms) for atoms in ours]
    ours.close()
    if numbers:
        assert [number_of(a) for a in ase.io.read(path, ":")] == numbers
    return numbers


def write(path, n_frames):
    log = FrameLog(path)
    for number in range(log.n_items, n_frames):
        log.append(item(number))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.traj"


@pytest.mark.parametrize("by_ase", [False, True])
def test_a_file_cut_anywhere_has_its_whole_frames_and_goes_on(path, by_ase):
    write(path, N_FRAMES)
    if by_ase:
        frames = ase.io.read(path, ":")
        path.unlink()
        ase.io.write(path, frames)
    content = path.read_bytes()
    with path.open("rb") as file:
        ends = [ulm._text_end(file, at) for at in read_index(file, "").offsets.tolist()]
    assert len(ends) == N_FRAMES
    # The first frames, and those behind which a longer table stands or begins.
    edges = [ends[n] + k for n in (0, 1, 2, 41, 42, 43, 44) for k in (-1, 0, 1, 9)]
    starts = [0, 1, 23, 24, 31, 39, 40, 47, 48, 55, 56, 57]
    for cut in sorted({*starts, *range(100, len(content), 877), *edges}):
        path.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        reader = TrajectoryFile(path)
        assert len(reader) == whole, cut
        if whole:
            assert number_of(reader[-1]) == number_of(reader[whole - 1]) == whole - 1
        reader.close()
        assert path.read_bytes() == content[:cut]
        log = FrameLog(path)
        assert log.n_items == whole
        log.append(item(whole))
        assert number_of(ase.io.read(path, -1)) == whole
        assert log.n_items == FrameLog(path).n_items == whole + 1
        if cut in edges:
            assert numbers_in(path) == list(range(whole + 1))


def test_a_death_between_any_two_writes_costs_the_frame_under_way_at_most(
    path, monkeypatch
):
    class Death(BaseException):
        pass

    for number in range(N_FRAMES):
        for survived in range(5):
            calls = iter(range(9))

            def dying(*arguments, survived=survived, calls=calls, do=ulm._write):
                if next(calls) == survived:
                    raise Death
                do(*arguments)

            log = FrameLog(path)
            before = log.n_items
            with monkeypatch.context() as patch:
                patch.setattr(ulm, "_write", dying)
                try:
                    log.append(item(before))
                except Death:
                    pass
                else:
                    continue
            # The first frame is there with its file, or neither is.
            assert path.exists() == (before > 0)
            if number in (1, 2, 42, 44):
                assert numbers_in(path) == list(range(before))
    assert numbers_in(path) == list(range(FrameLog(path).n_items))
    assert FrameLog(path).n_items >= N_FRAMES


def test_a_writer_that_is_killed_leaves_whole_frames(path):
    program = (
        "import itertools, pathlib, sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_ulm import FrameLog, item\n"
        "log = FrameLog(pathlib.Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "for number in itertools.count(log.n_items): log.append(item(number))"
    )
    here = __file__.rsplit("/", 1)[0]
    counts = [0]
    for pause in (0.0, 0.013, 0.05):
        command = [sys.executable, "-c", program, str(path), here]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:  # noqa: S603
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(pause)
            writer.send_signal(signal.SIGKILL)
        numbers = numbers_in(path) if path.exists() else []
        assert numbers == list(range(len(numbers)))
        counts.append(len(numbers))
    assert counts == sorted(counts)
    assert counts[-1] > N_FRAMES


@pytest.mark.parametrize("room", [0, 30, 56, 60, 300, 800, 1200])
def test_a_full_disk_is_said_and_leaves_the_frames_before(path, room):
    for number in (0, 1, 2, 42):
        write(path, number)
        size = path.stat().st_size if path.exists() else 0
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        log = FrameLog(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, limits[1]))
        try:
            log.append(item(number))
        except OSError as error:
            said = str(error)
        else:
            said = ""
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if said:
            assert f"frame {number} was not written" in said
            assert "Make room" in said
            assert str(path) in said
            assert (path.stat().st_size if path.exists() else 0) == size
            log.append(item(number))
        assert bool(said) == (path.stat().st_size > size + room)
        assert numbers_in(path) == list(range(number + 1))


def test_ase_and_we_append_to_the_same_file_in_turn(path):
    for number in range(44):
        if number % 3 == 1:
            frame = ase.io.read(path, 0)
            values = item(number)
            frame.positions[:] = values["positions"]
            frame.set_momenta(values["momenta"].astype(float))
            frame.set_cell(values["cell"])
            frame.info = values["info"]
            frame.calc.results = {
                key: values["calculator."][key] for key in ("energy", "forces")
            }
            # What was read is not taken for a calculation at new positions.
            frame.calc.atoms = frame.copy()
            with Trajectory(str(path), "a") as writer:
                writer.write(frame)
        else:
            FrameLog(path).append(item(number))
    assert numbers_in(path) == list(range(44))


def test_a_reader_never_sees_half_a_frame(path):
    write(path, 1)
    writer = threading.Thread(target=write, args=(path, 400))
    reader = TrajectoryFile(path)
    writer.start()
    seen = 0
    while writer.is_alive():
        assert number_of(ase.io.read(path, -1)) >= seen - 1
        seen = reader.refresh()
        assert number_of(reader[-1]) == seen - 1
    writer.join()
    reader.close()
    assert numbers_in(path) == list(range(400))


def test_a_file_that_is_something_else_is_refused_and_left_alone(path):
    path.write_text("data_silicon\n" * 9, encoding="utf-8")
    for use in (FrameLog, TrajectoryFile):
        with pytest.raises(StructureError, match=r"not an ASE trajectory"):
            use(path)
    assert path.read_text("utf-8") == "data_silicon\n" * 9
    write(path.with_name("damaged.traj"), 3)
    content = bytearray(path.with_name("damaged.traj").read_bytes())
    content[39] = 255
    path.write_bytes(content)
    with pytest.raises(StructureError, match="wanted version 3"):
        FrameLog(path)


def test_a_number_that_json_does_not_know_is_no_frame(path):
    write(path, 2)
    content = path.read_bytes()
    log = FrameLog(path)
    with pytest.raises(ValueError, match="JSON"):
        log.append(item(2) | {"info": {"step": float("nan")}})
    assert path.read_bytes() == content
