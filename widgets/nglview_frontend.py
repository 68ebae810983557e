"""nglview, told the version of the JupyterLab extension that it really ships.

nglview 4.0.1 announces version 4.0 of its JavaScript to the browser, but installs
3.1.5: nothing is drawn, and only the browser's console says why (nglview issues 1172
and 1181). The announcement is read from a module that is put in place here, before
nglview is imported. Import `NGLWidget` from here, never from nglview.

Raises at import:
    MissingDependencyError: the extension is not installed, or is not the version that
        gnndesign's own JavaScript was written for.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import types
import warnings
from pathlib import Path

from jupyter_core.paths import jupyter_path

from gnndesign.errors import MissingDependencyError

EXTENSION = "nglview-js-widgets"
TESTED_VERSION = "3.1.5"
_REMEDY = (
    "Install nglview==4.0.1 into the environment that runs this kernel and JupyterLab."
)


def extension_manifests() -> list[Path]:
    """Every package.json of nglview's extension, the one JupyterLab serves first."""
    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    found = [folder / EXTENSION / "package.json" for folder in folders]
    try:
        # An install with another prefix is not on Jupyter's path, yet pip knows it.
        files = importlib.metadata.files("nglview") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found += [
        Path(str(file.locate()))
        for file in files
        if file.parts[-2:] == (EXTENSION, "package.json")
    ]
    return [path for path in found if path.is_file()]


def shipped_version(manifests: list[Path]) -> str:
    """The version of the extension that a browser will load.

    Raises:
        MissingDependencyError: no extension, or not the tested version.
    """
    if not manifests:
        raise MissingDependencyError(
            f"nglview's JupyterLab extension {EXTENSION} was not found. {_REMEDY}"
        )
    version = str(json.loads(manifests[0].read_text(encoding="utf-8"))["version"])
    if version != TESTED_VERSION:
        raise MissingDependencyError(
            f"The viewer needs version {TESTED_VERSION} of nglview's JupyterLab "
            f"extension, but {manifests[0]} has version {version}. {_REMEDY}"
        )
    return version


FRONTEND_VERSION = shipped_version(extension_manifests())

if "nglview" not in sys.modules:
    _announcement = types.ModuleType("nglview._frontend")
    _announcement.__dict__["__frontend_version__"] = FRONTEND_VERSION
    sys.modules["nglview._frontend"] = _announcement

with warnings.catch_warnings():
    # nglview's own deprecations are not ours to mend.
    warnings.simplefilter("ignore", DeprecationWarning)
    from nglview import NGLWidget

__all__ = ["FRONTEND_VERSION", "NGLWidget", "extension_manifests", "shipped_version"]
