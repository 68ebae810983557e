"""The shipped table of compositions that are stable in the Materials Project, or nearly.

Text, compressed: the chemical systems in alphabetical order, each with the number of
elements it shares with the one before and the ones it adds ("2Ti" after Ca, O, Sr is Ca,
O, Ti); the numbers of atoms of its compositions, in the order of the elements; and for
every composition the formation and the decomposition energy, meV/atom.
"""

from __future__ import annotations

import json
import lzma
import math
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

Composition = tuple[tuple[str, int], ...]
"""Chemical symbols with their numbers of atoms, by the symbols in alphabetical order."""

Energies = tuple[float, float]
"""Formation and decomposition energy, eV/atom."""

MOST_DECOMPOSITION_ENERGY = 0.05
"""eV/atom, of what is in the table."""

_FILE = "mp_near_hull.json.xz"


def encode(compositions: Mapping[Composition, Energies]) -> bytes:
    """The table of the compositions that are stable or nearly so.

    Energies are rounded to 1 meV/atom, a positive decomposition energy up, so that
    nothing unstable becomes stable.
    """
    kept = sorted(
        (
            (tuple(symbol for symbol, _ in key), key, energies)
            for key, energies in compositions.items()
            if energies[1] <= MOST_DECOMPOSITION_ENERGY
        ),
    )
    systems: dict[tuple[str, ...], list[str]] = {}
    for system, key, _ in kept:
        numbers = ",".join(str(count) for _, count in key)
        systems.setdefault(system, []).append(numbers)
    content = {
        "systems": "\n".join(_front_coded(systems)),
        "numbers": "\n".join(map(" ".join, systems.values())),
        "formation_meV": "\n".join(str(round(1000 * e[0])) for _, _, e in kept),
        "decomposition_meV": "\n".join(str(_meV(e[1])) for _, _, e in kept),
    }
    text = json.dumps(content, indent=0)
    return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)


def read_shipped() -> dict[Composition, Energies]:
    """The shipped table."""
    path = files("gnndesign.properties").joinpath("data").joinpath(_FILE)
    return decode(path.read_bytes())


def decode(data: bytes) -> dict[Composition, Energies]:
    """What `encode` wrote."""
    content: dict[str, str] = json.loads(lzma.decompress(data))
    keys: list[Composition] = []
    lines = content["numbers"].splitlines()
    for system, line in zip(_systems(content["systems"]), lines, strict=True):
        for numbers in line.split():
            counts = map(int, numbers.split(","))
            keys.append(tuple(zip(system, counts, strict=True)))
    columns = (
        [int(x) / 1000 for x in content[name].split()]
        for name in ("formation_meV", "decomposition_meV")
    )
    return dict(zip(keys, zip(*columns, strict=True), strict=True))


def _front_coded(systems: Mapping[tuple[str, ...], object]) -> Iterator[str]:
    before: tuple[str, ...] = ()
    for system in systems:
        shared = 0
        while shared < min(len(before), len(system)) and (
            before[shared] == system[shared]
        ):
            shared += 1
        yield f"{shared}{''.join(system[shared:])}"
        before = system


def _systems(text: str) -> Iterator[tuple[str, ...]]:
    before: tuple[str, ...] = ()
    for line in text.splitlines():
        before = (*before[: int(line[0])], *re.findall("[A-Z][a-z]?", line))
        yield before


def _meV(energy: float) -> int:
    # Nine decimals: 0.012 eV is 12.000000000000002 meV and not to become 13.
    return math.ceil(round(1000 * energy, 9)) if energy > 0 else round(1000 * energy)
