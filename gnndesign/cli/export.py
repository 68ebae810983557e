"""`gnndesign export`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from gnndesign.cli.output import (
    DONE,
    INTERRUPTED,
    Bar,
    Commands,
    Interrupt,
    add_command,
    note,
)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "export",
        "Write the frames of a run for other programs: extended XYZ, XDATCAR, CIF, PDB "
        "or a LAMMPS dump (units metal).",
        example="gnndesign export silicon_md -o silicon.xyz --start 1000 --every 10",
    )
    # Half an export would be taken for a whole one.
    parser.epilog = (parser.epilog or "").replace(
        "what there was by then has been written", "nothing has been written"
    )
    parser.add_argument(
        "source",
        metavar="FOLDER|TRAJ",
        help="the folder of a run or of a job, or a .traj file",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="OUT",
        help="a name ending in .xyz .extxyz .xdatcar .cif .pdb .lammpstrj .dump, or "
        "XDATCAR; a file of that name is replaced",
    )
    parser.add_argument(
        "--format",
        choices=("extxyz", "xdatcar", "cif", "pdb", "lammps-dump"),
        help="(default: told by the name)",
    )
    parser.add_argument(
        "--start", type=int, help="first frame, from 0; -1 is the last (default: 0)"
    )
    parser.add_argument("--stop", type=int, help="frame to end before (default: none)")
    parser.add_argument(
        "--every", type=int, default=1, help="of these, every so many (default: 1)"
    )
    parser.add_argument(
        "--structure", type=int, help="number of one, where the run had several"
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Export; Ctrl-C leaves what was there before."""
    from gnndesign.structures.export import export_trajectory

    with Interrupt() as interrupt, Bar(0, "frames", show=None) as bar:
        n_frames = export_trajectory(
            options.source,
            options.output,
            options.format,
            start=options.start,
            stop=options.stop,
            every=options.every,
            structure=options.structure,
            on_progress=lambda done, total: bar.at(done, f"of {total}"),
            should_stop=interrupt,
        )
    if not n_frames:
        note(f"interrupted; '{options.output}' was not written.")
        return INTERRUPTED
    note(f"wrote {n_frames} frames to '{options.output}'.")
    return DONE
