"""`gnndesign relax`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
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
from gnndesign.errors import ParameterError, StructureError

if TYPE_CHECKING:
    import ase

    from gnndesign.simulation.base import Snapshot
    from gnndesign.simulation.relaxation import Relaxation

_HEADER = (
    "file",
    "formula",
    "steps",
    "energy (eV)",
    "max force (eV/Å)",
    "volume (Å³)",
    "status",
    "written",
)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "relax",
        "Move atoms, and the cell if asked to, to the nearest minimum of the energy.",
        example="gnndesign relax silicon.cif --cell full --max-force 0.01",
        not_reached="a structure did not converge or diverged",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_potential(parser)
    parser.add_argument(
        "--method",
        default="lbfgs",
        choices=("fire", "lbfgs"),
        help="how the minimum is sought (default: %(default)s)",
    )
    parser.add_argument(
        "--cell",
        default="none",
        choices=("none", "isotropic", "constant_volume", "full"),
        help="what of the cell may change (default: %(default)s)",
    )
    parser.add_argument(
        "--max-force", type=float, default=0.01, help="eV/Å (default: %(default)s)"
    )
    parser.add_argument("--max-steps", type=int, default=500, help="default: 500")
    parser.add_argument(
        "--pressure", type=float, default=0.0, help="GPa (default: %(default)s)"
    )
    parser.add_argument(
        "--fixed-axes",
        default="",
        metavar="AXES",
        help="lattice vectors that stay, such as c or ab",
    )
    parser.add_argument(
        "--fix-symmetry",
        action="store_true",
        help="the space group at the end is the one at the start",
    )
    parser.add_argument(
        "--fix-center", action="store_true", help="the center of mass stays"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="a file, or a folder (default: NAME_relaxed beside each file)",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Relax all files in one batch and write what came out."""
    from gnndesign.structures.files import load_structure

    structures = [load_structure(path) for path in options.files]
    targets = _targets(options.files, structures, options.output)

    from gnndesign.potentials.catalog import load_potential
    from gnndesign.simulation.relaxation import relax

    potential = load_potential(options.potential, options.device)
    with (
        Interrupt() as interrupt,
        Bar(options.max_steps, "steps", show=options.progress) as bar,
    ):

        def show(snapshot: Snapshot) -> None:
            bar.at(int(snapshot.step.max()), f"{snapshot.max_force.max():.4f} eV/Å")

        results = relax(
            structures,
            potential,
            cell=None if options.cell == "none" else options.cell,
            max_force=options.max_force,
            max_steps=options.max_steps,
            pressure_GPa=options.pressure,
            method=options.method,
            fixed_axes=options.fixed_axes,
            fix_symmetry=options.fix_symmetry,
            fix_center=options.fix_center,
            on_snapshot=show,
            should_stop=interrupt,
        )
        return _report(options.files, results, targets, interrupted=interrupt())


def _report(
    files: Sequence[Path],
    results: Sequence[Relaxation],
    targets: Sequence[Path],
    *,
    interrupted: bool,
) -> int:
    from gnndesign.simulation.base import Status
    from gnndesign.structures.files import save_structure

    rows: list[list[str]] = []
    for path, result, target in zip(files, results, targets, strict=True):
        diverged = result.status in (Status.DIVERGED, Status.REFUSED)
        if diverged:
            note(f"'{path}': {result.message}")
        else:
            save_structure(result.atoms, target)
        atoms = result.atoms
        rows.append(
            [
                path.name,
                atoms.get_chemical_formula("metal"),
                str(result.steps),
                f"{result.energy:.6f}",
                f"{result.max_force:.5f}",
                f"{atoms.cell.volume:.3f}" if atoms.pbc.all() else "-",
                result.status.name.lower().replace("_", " "),
                "-" if diverged else str(target),
            ]
        )
    write_table(_HEADER, rows)
    if interrupted:
        return INTERRUPTED
    return DONE if all(result.converged for result in results) else NOT_REACHED


def _targets(
    files: Sequence[Path], structures: Sequence[ase.Atoms], output: str | None
) -> list[Path]:
    """Where each result goes, checked before anything is computed."""
    from gnndesign.structures.files import check_can_save

    targets = [
        _default_target(path, atoms)
        for path, atoms in zip(files, structures, strict=True)
    ]
    if output is not None:
        folder = Path(output)
        if len(files) > 1 or folder.is_dir() or output.endswith("/"):
            folder.mkdir(parents=True, exist_ok=True)
            targets = [folder / target.name for target in targets]
        else:
            targets = [folder]
    inputs = {path.resolve() for path in files}
    for target, atoms in zip(targets, structures, strict=True):
        check_can_save(atoms, target)
        if target.resolve() in inputs:
            raise ParameterError(
                f"'{target}' is an input and is not overwritten; give another -o."
            )
    if len({target.resolve() for target in targets}) < len(targets):
        raise ParameterError(
            "Two results would have the same name; relax these files one by one, each "
            "with its -o."
        )
    return targets


def _default_target(path: Path, atoms: ase.Atoms) -> Path:
    from gnndesign.structures.files import check_can_save

    target = named_by(path, "relaxed")
    try:
        check_can_save(atoms, target)
    except StructureError:
        # Read from a format that is not written, such as an output of VASP.
        suffix = ".cif" if atoms.pbc.all() else ".xyz"
        return named_by(path, "relaxed", suffix)
    return target
