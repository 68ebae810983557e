"""`gnndesign md`."""

from __future__ import annotations

import csv
import io
import json
import math
from argparse import Namespace
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from gnndesign.simulation.observables import ObservableResults
    from gnndesign.simulation.results import History

_COLUMNS = {
    "energy": "energy_eV",
    "kinetic_energy": "kinetic_energy_eV",
    "max_force": "max_force_eV_per_A",
    "volume": "volume_A3",
}
ENSEMBLES = (
    "nve",
    "langevin",
    "nose_hoover",
    "bussi",
    "npt_mtk",
    "npt_cell_rescaling",
)
OBSERVABLES = ("averages", "rdf", "msd", "vacf")
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
        "Molecular dynamics at constant energy, temperature or pressure.",
        example="gnndesign md silicon.cif --temperature 600 --timestep 2 --steps 5000",
        not_reached="the run diverged",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    add_potential(parser)
    parser.add_argument(
        "--ensemble",
        default="langevin",
        choices=ENSEMBLES,
        help="what is kept: energy (nve), temperature, or pressure as well (npt_...) "
        "(default: %(default)s)",
    )
    for name, default, unit in (
        ("--temperature", 300.0, "K"),
        ("--timestep", 1.0, "fs"),
        ("--friction", 10.0, "of the Langevin thermostat, 1/ps"),
        ("--pressure", 0.0, "GPa, of a barostat"),
    ):
        parser.add_argument(
            name, type=float, default=default, help=f"{unit} (default: %(default)s)"
        )
    parser.add_argument(
        "--ramp-to",
        type=float,
        metavar="KELVIN",
        help="the temperature goes there, evenly until the last step",
    )
    parser.add_argument(
        "--pressure-ramp-to",
        type=float,
        metavar="GPA",
        help="the pressure goes there, evenly until the last step",
    )
    parser.add_argument(
        "--cell",
        choices=("isotropic", "full"),
        default="isotropic",
        help="what of the cell a barostat changes (default: %(default)s)",
    )
    parser.add_argument(
        "--observe",
        default="",
        metavar="NAMES",
        help=f"what to average on the way, of {','.join(OBSERVABLES)}; "
        "written to observables.json",
    )
    parser.add_argument(
        "--contents",
        choices=("full", "compact"),
        default="full",
        help="of a frame; compact: no forces, single precision (default: %(default)s)",
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
    from gnndesign.simulation.dynamics import molecular_dynamics
    from gnndesign.simulation.observables import Observables
    from gnndesign.structures.files import save_structure

    names = [name for name in options.observe.split(",") if name]
    observables = Observables.create(names, spacing=options.every) if names else None
    potential = load_potential(options.potential, options.device)
    with (
        Interrupt() as interrupt,
        Bar(options.steps, "steps", show=options.progress) as bar,
    ):

        def show(snapshot: Snapshot) -> None:
            if observables is not None:
                observables.add(snapshot)
            bar.at(int(snapshot.step[0]), f"{snapshot.temperature_K[0]:.0f} K")

        result = molecular_dynamics(
            atoms,
            potential,
            steps=options.steps,
            record_every=options.every,
            trajectory=folder,
            contents=options.contents,
            on_snapshot=show,
            should_stop=interrupt,
            **_of_ensemble(options),
        )
        _write_history(result.history, folder / "history.csv")
        last = named_by(options.file, "last", ".extxyz").name
        save_structure(result.atoms, folder / last)
        if observables is not None and observables.systems:
            _write_observables(observables.results(0), folder / "observables.json")
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


def _of_ensemble(options: Namespace) -> Any:
    """The parameters that the ensemble has."""
    from gnndesign.simulation.schedule import Ramp

    def until(start: float, end: float | None) -> float | Ramp:
        whole_fs = options.steps * options.timestep
        return start if end is None else Ramp((0.0, whole_fs), (start, end))

    parameters: dict[str, Any] = {
        "ensemble": options.ensemble,
        "temperature_K": until(options.temperature, options.ramp_to),
        "timestep_fs": options.timestep,
        "seed": options.seed,
    }
    if options.ensemble == "langevin":
        parameters["friction_per_ps"] = options.friction
    if options.ensemble.startswith("npt"):
        parameters["pressure_GPa"] = until(options.pressure, options.pressure_ramp_to)
        parameters["cell"] = options.cell
    return parameters


def _write_observables(results: ObservableResults, path: Path) -> None:
    """Everything that is known, as JSON; what is not known is null."""
    from gnndesign.disk import write_atomically

    write_atomically(
        path, json.dumps(_plain(results), allow_nan=False, indent=1) + "\n"
    )


def _plain(node: Any) -> Any:
    """As JSON has it."""
    if is_dataclass(node):
        return {field.name: _plain(getattr(node, field.name)) for field in fields(node)}
    if hasattr(node, "tolist"):
        return _plain(node.tolist())
    if isinstance(node, list | tuple):
        return [_plain(entry) for entry in node]
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    return None if isinstance(node, float) and not math.isfinite(node) else node


def _write_history(history: History, path: Path) -> None:
    from gnndesign.disk import write_atomically

    names = [field.name for field in fields(history)]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([_COLUMNS.get(name, name) for name in names])
    columns = [getattr(history, name).tolist() for name in names]
    writer.writerows(zip(*columns, strict=True))
    write_atomically(path, stream.getvalue())
