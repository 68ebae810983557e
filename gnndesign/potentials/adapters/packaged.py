"""Finding the weights that other packages carry, without importing them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gnndesign.errors import CheckpointError, MissingDependencyError


def packaged_file(package: str, relative: str, *, release: str) -> Path:
    """Where a file lies inside an installed package.

    Args:
        package: name to import it by.
        relative: path of the file inside the package.
        release: of the package that has the file, as pip takes it.

    Raises:
        MissingDependencyError: the package is not installed.
        CheckpointError: this release of it does not carry the file.
    """
    remedy = f"Type: pip install '{release}'."
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"These weights come with the package '{package}', which is not installed. "
            f"{remedy}"
        )
    path = Path(spec.submodule_search_locations[0]) / relative
    if not path.is_file():
        raise CheckpointError(
            f"The installed '{package}' has no file {path.name}. {remedy}"
        )
    return path
