"""A home folder, a desk with argon, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ase.build
import pytest

from gnndesign.disk import HOME_VARIABLE
from gnndesign.jobs.local import stop_worker
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure import StructureModel


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    yield folder
    stop_worker(folder, timeout_s=30.0)


@pytest.fixture
def desk() -> StructureModel:
    model = StructureModel()
    argon = ase.build.bulk("Ar", cubic=True, a=5.4)
    argon.rattle(0.1, seed=1)
    model.add([("argon", argon)])
    return model


@pytest.fixture
def argon_potential() -> PotentialModel:
    model = PotentialModel()
    model.name = "lennard-jones"
    return model


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Waits until something is true."""

    def wait(condition: Callable[[], bool], within_s: float = 60) -> None:
        end = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="session")
def wait_for_job(wait_for: Callable[..., None]) -> Callable[..., None]:
    """Waits until a job is in a state, and all who follow it have been told."""

    def wait(job: JobModel, state: str = "finished", within_s: float = 60) -> None:
        wait_for(lambda: job.state in (state, "failed"), within_s)
        # A trait has its value before its observers hear of it. A poll waits for the
        # one before, which ends when they have.
        job.poll()
        assert job.state == state, job.message

    return wait
