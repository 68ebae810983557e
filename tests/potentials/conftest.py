import pytest
from small_networks import save_small_sevennet


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The path of a small SevenNet checkpoint."""
    path = tmp_path_factory.mktemp("small") / "mine.pth"
    save_small_sevennet(path)
    return path
