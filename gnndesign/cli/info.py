"""`gnndesign info`."""

from __future__ import annotations

import os
import platform
import sys
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gnndesign.cli.output import (
    DONE,
    Commands,
    add_command,
    note,
    write_fields,
    write_table,
)
from gnndesign.errors import MissingDependencyError, ParameterError, StructureError
from gnndesign.units import ATOMIC_MASS_KG

_PACKAGES = ("gnndesign", "torch", "ase", "pymatgen", "optuna", "sevenn", "chgnet")
_WEIGHTS = (".safetensors", ".pth", ".pt")
"""Ends of the names of files that hold a potential."""


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "info",
        "What is installed, what a file holds, or the card of a potential.",
        example="gnndesign info silicon.cif sevennet-0",
    )
    parser.add_argument("names", nargs="*", metavar="FILE|POTENTIAL")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print all of what was asked for."""
    if not options.names:
        _write_installation()
    for index, name in enumerate(options.names):
        if index:
            sys.stdout.write("\n")
        if Path(name).suffix in _WEIGHTS:
            _write_potential(name)
        elif Path(name).exists() or "/" in name or Path(name).suffix:
            _write_file(Path(name))
        else:
            _write_potential(name)
    return DONE


def _write_installation() -> None:
    import torch

    fields = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            fields.append((package, version(package)))
        except PackageNotFoundError:
            fields.append((package, "not installed"))
    fields.append(("cpu", f"{torch.get_num_threads()} of {os.cpu_count()} cores"))
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        memory = found.total_memory / 2**30
        fields.append((f"cuda:{index}", f"{found.name}, {memory:.0f} GiB"))
    if not torch.cuda.is_available():
        fields.append(("cuda", "none"))
    write_fields(fields)
    sys.stdout.write("\n")

    from gnndesign.potentials.catalog import list_potentials, potential_card

    rows: list[list[str]] = []
    for name in list_potentials():
        try:
            card = potential_card(name)
        except MissingDependencyError as error:
            note(str(error))
            continue
        rows.append(
            [
                name,
                card.licence,
                "-" if card.n_parameters is None else str(card.n_parameters),
                str(len(card.elements)),
                "-" if card.cutoff is None else f"{card.cutoff:g}",
                card.level_of_theory,
            ]
        )
    header = ("potential", "licence", "parameters", "elements", "cutoff (Å)")
    write_table([*header, "level of theory"], rows)


def _write_file(path: Path) -> None:
    from gnndesign.structures.files import load_structures
    from gnndesign.structures.symmetry import space_group

    structures = load_structures(path)
    atoms = structures[-1]
    fields = [
        ("file", str(path)),
        ("formula", atoms.get_chemical_formula("metal")),
        ("atoms", str(len(atoms))),
    ]
    if len(structures) > 1:
        fields.insert(
            1, ("structures", f"{len(structures)}, of which this is the last")
        )
    if atoms.cell.rank == 3:
        a, b, c, alpha, beta, gamma = atoms.cell.cellpar()
        fields += [
            ("a, b, c", f"{a:.4f}, {b:.4f}, {c:.4f} Å"),
            ("α, β, γ", f"{alpha:.3f}, {beta:.3f}, {gamma:.3f}°"),
        ]
    if atoms.pbc.all():
        volume = atoms.cell.volume
        density = atoms.get_masses().sum() * ATOMIC_MASS_KG * 1e27 / volume
        fields += [("volume", f"{volume:.3f} Å³"), ("density", f"{density:.3f} g/cm³")]
        try:
            group = space_group(atoms)
            fields.append(("space group", f"{group.symbol} ({group.number})"))
        except StructureError as error:
            fields.append(("space group", f"none: {error}"))
    else:
        fields.append(("periodic along", _axes(atoms.pbc.tolist())))
    write_fields(fields)


def _axes(periodic: list[bool]) -> str:
    named = [axis for axis, is_so in zip("abc", periodic, strict=True) if is_so]
    return ", ".join(named) or "no axis"


def _write_potential(name: str) -> None:
    from ase.data import chemical_symbols

    from gnndesign.potentials.catalog import list_potentials, potential_card
    from gnndesign.properties.measured_errors import measured

    if name not in list_potentials() and Path(name).suffix not in _WEIGHTS:
        raise ParameterError(
            f"'{name}' is neither a file here nor a potential; potentials are "
            f"{', '.join(list_potentials())}."
        )
    card = potential_card(name)
    symbols = " ".join(chemical_symbols[number] for number in card.elements)
    fields = [
        ("potential", card.name),
        ("title", card.title),
        ("licence", card.licence),
        ("level of theory", card.level_of_theory),
        ("training data", card.training_data),
        ("parameters", "-" if card.n_parameters is None else f"{card.n_parameters:,}"),
        ("cutoff", "-" if card.cutoff is None else f"{card.cutoff:g} Å"),
        ("elements", f"{len(card.elements)}: {symbols}"),
        ("checksum", f"SHA-256 {card.checksum}"),
        ("cite", card.citation),
    ]
    lines = measured(card.name, card.checksum)
    fields += [("measured" if not i else "", text) for i, text in enumerate(lines)]
    fields += [("beware" if not i else "", text) for i, text in enumerate(card.notes)]
    write_fields(fields)
