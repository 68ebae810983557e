"""Make the shipped files of weights from the `sevenn` wheel, bit for bit.

    python -m gnndesign.potentials.weights.convert [FOLDER]

needs `sevenn` 0.13 and writes next to this file where no folder is given.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gnndesign.potentials.adapters.sevennet import packaged_checkpoint, read_network
from gnndesign.potentials.base import Card
from gnndesign.potentials.file_format import SUFFIX, sha256
from gnndesign.potentials.files import Origin, encode
from gnndesign.potentials.trainable import count_parameters

_LICENCE = "MIT"
_LEVEL_OF_THEORY = (
    "DFT, PBE and PBE+U (Materials Project settings), energies without corrections"
)
_TRAINING_DATA = "MPtrj: 1.58 million frames of Materials Project relaxations (2022)"
_CITATION = "Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one shipped file is made from.

    Attributes:
        file: in the folder `pretrained_potentials` of the `sevenn` package.
        title: the name its authors gave it.
    """

    file: str
    title: str


SOURCES: Mapping[str, Source] = {
    "sevennet-0": Source(
        file="SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        title="SevenNet-0 (11 July 2024)",
    ),
    "sevennet-l3i5": Source(
        file="SevenNet_l3i5/checkpoint_l3i5.pth", title="SevenNet-l3i5"
    ),
}
"""By the names of `load_potential`."""


def convert(name: str) -> bytes:
    """The content of a shipped file, made from the installed `sevenn` package.

    Raises:
        MissingDependencyError: `sevenn` is not installed.
        CheckpointError: this release of it does not carry the weights.
    """
    source = SOURCES[name]
    path = packaged_checkpoint(source.file)
    network, parameters = read_network(path)
    origin = Origin(file=source.file, checksum=sha256(path))
    card = Card(
        name=name,
        title=source.title,
        licence=_LICENCE,
        level_of_theory=_LEVEL_OF_THEORY,
        training_data=_TRAINING_DATA,
        n_parameters=count_parameters(network),
        elements=tuple(sorted(parameters.elements)),
        cutoff=parameters.cutoff,
        checksum=origin.checksum,
        citation=_CITATION,
    )
    return encode(network, parameters, card, origin)


def main(folder: Path) -> None:
    """Write every file, and say so."""
    for name in SOURCES:
        path = folder / f"{name}{SUFFIX}"
        path.write_bytes(convert(name))
        sys.stdout.write(f"{path} {sha256(path)}\n")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]) if sys.argv[1:] else Path(__file__).parent)
