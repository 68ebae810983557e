"""Generated source as an imported module, kept in the user's cache folder.

Triton reads the source of a function from its file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from types import ModuleType

from gnndesign.disk import cache_folder, write_atomically


def load_source(text: str) -> ModuleType:
    """The module with this source.

    Its file is named after a hash of the text, so that a changed network, generator or
    version has another file; a file that does not hold the text is written anew.

    Raises:
        OSError: the cache folder cannot be written.
    """
    name = f"gnndesign_kernels_{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    if name in sys.modules:
        return sys.modules[name]
    path = cache_folder() / "kernels" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != text.encode():
        write_atomically(path, text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module
