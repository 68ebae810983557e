"""What a person types as JSON."""

from __future__ import annotations

import json
from typing import Any

from gnndesign.errors import ParameterError


def json_object(what: str, text: str) -> dict[str, Any]:
    """What was typed; nothing is an empty object.

    Raises:
        ParameterError: it is not a JSON object.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise ParameterError(
            f'Wanted the {what} as JSON, such as {{"n_channels": 32}}: {error}.'
        ) from error
    if not isinstance(found, dict):
        raise ParameterError(f"Wanted the {what} as a JSON object, got {text!r}.")
    return found
