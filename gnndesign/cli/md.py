"""`gnndesign md`."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from gnndesign.cli.output import (
    DONE,
    INTERRUPTED,
    NOT_REACHED,
    Bar,
    Commands,
    Interrupt,
    add_command,
    add_potential,
    named_by,
    note,
    write_table,
)
from gnndesign.errors import ParameterError

if TYPE_CHECKING:
    from gnndesign.simulation.base import Snapshot
    from gnndesign.simulation.results import History

_COLUMNS = {
    "energy": "energy_eV",
    "kinetic_energy": "kinetic_energy_eV",
    "max_force": "max_force_eV_per_A",
    "volume": "volume_A3",
}
_HEADER = (
    "file",
    "formula",
    "steps",
    "time (ps)",
    "energy (eV)",
    "mean temperature (K)",
    "status",
    "written",
)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "md",
        "Molecular dynamics at constant energy or constant temperature.",
        example="gnndesign md silicon.cif --temperature 600 --timestep 2 --steps 5000",
        not_reached="the run diverged",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    add_potential(parser)
    parser.add_argument(
        "--ensemble",
        default="langevin",
        choices=("nve", "langevin", "nose_hoover", "bussi"),
        help="constant energy or temperature (default: %(default)s)",
    )
    for name, default, unit in (
        ("--temperature", 300.0, "K"),
        ("--timestep", 1.0, "fs"),
        ("--friction", 10.0, "of the Langevin thermostat, 1/ps"),
    ):
        parser.add_argument(
            name, type=float, default=default, help=f"{unit} (default: %(default)s)"
        )
    parser.add_argument("--steps", type=int, default=1000, help="default: 1000")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--every",
        type=int,
        default=10,
        help="steps between recorded frames (default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="new folder for frames, history.csv and the last structure "
        "(default: NAME_md beside the file)",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the dynamics; frames are on disk as they come."""
    from gnndesign.structures.files import load_structure

    atoms = load_structure(options.file)
    folder: Path = options.output or named_by(options.file, "md", "")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParameterError(
            f"'{folder}' is there already; wanted a new or empty folder for the "
            "frames. Give another -o."
        )

    from gnndesign.potentials.catalog import load_potential
    from gnndesign.simulation.base import Status
    from gnndesign.simulation.dynamics import DynamicsOptions, molecular_dynamics
    from gnndesign.structures.files import save_structure

    potential = load_potential(options.potential, options.device)
    with (
        Interrupt() as interrupt,
        Bar(options.steps, "steps", show=options.progress) as bar,
    ):

        def show(snapshot: Snapshot) -> None:
            bar.at(int(snapshot.step[0]), f"{snapshot.temperature_K[0]:.0f} K")

        parameters: DynamicsOptions = {
            "ensemble": options.ensemble,
            "temperature_K": options.temperature,
            "timestep_fs": options.timestep,
            "steps": options.steps,
            "seed": options.seed,
            "record_every": options.every,
            "trajectory": folder,
            "on_snapshot": show,
            "should_stop": interrupt,
        }
        if options.ensemble == "langevin":
            parameters["friction_per_ps"] = options.friction
        result = molecular_dynamics(atoms, potential, **parameters)
        _write_history(result.history, folder / "history.csv")
        last = named_by(options.file, "last", ".extxyz").name
        save_structure(result.atoms, folder / last)
    if result.message:
        note(f"'{options.file}': {result.message}")
    write_table(
        _HEADER,
        [
            [
                options.file.name,
                atoms.get_chemical_formula("metal"),
                str(result.steps),
                f"{result.time_fs / 1000:.4f}",
                f"{result.energy:.6f}",
                f"{result.temperature_K:.1f}",
                result.status.name.lower(),
                str(folder),
            ]
        ],
    )
    if interrupt():
        return INTERRUPTED
    return DONE if result.status is Status.FINISHED else NOT_REACHED


def _write_history(history: History, path: Path) -> None:
    from gnndesign.disk import write_atomically

    names = [field.name for field in fields(history)]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([_COLUMNS.get(name, name) for name in names])
    columns = [getattr(history, name).tolist() for name in names]
    writer.writerows(zip(*columns, strict=True))
    write_atomically(path, stream.getvalue())
