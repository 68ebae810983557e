"""What the docstrings of a class say of its attributes, for forms."""

from __future__ import annotations

import inspect
import re


def attribute_docs(parameters: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each of its attributes.

    Reads the section "Attributes:", one "name: text" a line, whose text may go on in
    lines indented further; "one, other: text" is of both.
    """
    found: dict[str, str] = {}
    for each in reversed(parameters.__mro__):
        found |= _of_docstring(vars(each).get("__doc__") or "")
    return found


def _of_docstring(docstring: str) -> dict[str, str]:
    lines = inspect.cleandoc(docstring).splitlines()
    if "Attributes:" not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index("Attributes:") + 1 :]:
        if line and not line.startswith(" "):
            break
        begins = re.match(r"^ {4}(\w+(?:, \w+)*): (.*)$", line)
        if begins:
            names = begins[1].split(", ")
            found |= dict.fromkeys(names, begins[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
