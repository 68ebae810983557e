"""Many frames as text, one after the other: what `export_trajectory` writes.

Extended XYZ and CIF are written by ASE. Its XDATCAR repeats the cell of every frame,
its PDB takes all frames at once and places atoms wrongly in left-handed cells, and it
has no LAMMPS dump; these three are written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, groupby
from typing import Any, TextIO

import ase
import numpy as np
from ase.calculators.calculator import all_properties
from ase.calculators.lammps import Prism
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cell import Cell
from ase.data import chemical_symbols
from ase.io.cif import write_cif_image
from ase.io.extxyz import write_xyz
from jaxtyping import Float

from gnndesign.errors import StructureError
from gnndesign.units import FS


def write_extxyz(stream: TextIO, frames: Iterable[ase.Atoms]) -> None:
    """Extended XYZ with all a frame carries, to 1e-8."""
    for atoms in frames:
        results = _results(atoms)
        frame = atoms.copy()
        # ASE refuses to write a name twice; the calculator's word counts.
        frame.info = {k: v for k, v in atoms.info.items() if k not in results}
        frame.calc = SinglePointCalculator(frame, **results)
        write_xyz(stream, [frame])


def write_cif(stream: TextIO, frames: Iterable[ase.Atoms]) -> None:
    """A data block a frame, in P1, its coordinates not wrapped."""
    for number, atoms in enumerate(frames):
        _need_cell(atoms, number, "CIF")
        name = f"data_frame_{number}\n"
        write_cif_image(name, atoms, stream, wrap=False, labels=None, loop_keys={})


def write_xdatcar(stream: TextIO, frames: Iterable[ase.Atoms]) -> None:
    """VASP's XDATCAR; a head with the cell comes again whenever it has changed."""
    before = ""
    for number, atoms in enumerate(frames):
        _need_cell(atoms, number, "XDATCAR")
        runs = [(n, len(list(same))) for n, same in groupby(atoms.numbers.tolist())]
        cell = _rows(" %16.10f" * 3, atoms.cell.array)
        symbols = "".join(f" {chemical_symbols[number]:>4s}" for number, _ in runs)
        counts = "".join(f" {count:4d}" for _, count in runs)
        head = f"written by gnndesign\n1.0\n{cell}{symbols}\n{counts}\n"
        stream.write(head if head != before else "")
        before = head
        stream.write(f"Direct configuration={number + 1:6d}\n")
        stream.write(_rows(" %13.10f" * 3, atoms.get_scaled_positions(wrap=False)))


def write_pdb(stream: TextIO, frames: Iterable[ase.Atoms]) -> None:
    """A MODEL a frame, before it a CRYST1 with its cell; to 0.001 Å and 0.01°.

    The atoms are turned (in a left-handed cell: mirrored) with the cell, whose first
    vector lies along x and whose second in the xy plane.
    """
    for number, atoms in enumerate(frames):
        positions = atoms.positions
        if atoms.cell.rank == 3:
            lengths_and_angles = atoms.cell.cellpar()
            standard = Cell.new(lengths_and_angles).array
            positions = atoms.get_scaled_positions(wrap=False) @ standard
            a, b, c, alpha, beta, gamma = lengths_and_angles.tolist()
            sides, angles = f"{a:9.3f}{b:9.3f}{c:9.3f}", f"{alpha:7.2f}{beta:7.2f}"
            stream.write(f"CRYST1{sides}{angles}{gamma:7.2f} P 1           1\n")
        if positions.min() < -999.999 or positions.max() > 9999.999:
            raise StructureError(
                f"Frame {number} has an atom at {np.abs(positions).max():.0f} Å; PDB "
                "has room for -999.999 to 9999.999 Å. Export to extended XYZ."
            )
        stream.write(f"MODEL {number + 1:8d}\n")
        serials = [(k + 1) % 100_000 for k in range(len(atoms))]
        symbols = list(atoms.symbols)
        line = "HETATM%5d %2s   MOL A   1    %8.3f%8.3f%8.3f  1.00  0.00          %2s"
        capitals = [symbol.upper() for symbol in symbols]
        stream.write(_lines(line, serials, capitals, *positions.T.tolist(), capitals))
        stream.write("ENDMDL\n")


def write_lammps_dump(stream: TextIO, frames: Iterable[ase.Atoms]) -> None:
    """LAMMPS's text dump in units "metal": Å, Å/ps, eV/Å; positions not wrapped.

    Box and vectors are turned as LAMMPS wants them: the first cell vector along x, the
    second in the xy plane. Where there is no cell the box goes around the atoms.
    """
    types: dict[str, int] = {}
    for number, atoms in enumerate(frames):
        origin, prism = _box(atoms)
        symbols = list(atoms.symbols)
        kinds = [types.setdefault(symbol, len(types) + 1) for symbol in symbols]
        columns = [range(1, len(atoms) + 1), kinds, symbols]
        names, line = "id type element xu yu zu", "%d %d %s %.8f %.8f %.8f"
        columns += prism.vector_to_lammps(atoms.positions).T.tolist()
        if atoms.has("momenta"):
            names, line = names + " vx vy vz", line + " %.8g %.8g %.8g"
            velocities = prism.vector_to_lammps(atoms.get_velocities()) * 1000 * FS
            columns += velocities.T.tolist()
        forces = _results(atoms).get("forces")
        if forces is not None:
            names, line = names + " fx fy fz", line + " %.8g %.8g %.8g"
            columns += prism.vector_to_lammps(forces).T.tolist()
        step = int(atoms.info.get("step", number))
        stream.write(f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n")
        stream.write(_box_bounds(prism, origin, atoms.pbc.tolist()))
        stream.write(f"ITEM: ATOMS {names}\n")
        stream.write(_lines(line, *columns))


WRITERS: dict[str, Callable[[TextIO, Iterable[ase.Atoms]], None]] = {
    "extxyz": write_extxyz,
    "xdatcar": write_xdatcar,
    "cif": write_cif,
    "pdb": write_pdb,
    "lammps-dump": write_lammps_dump,
}


def _results(atoms: ase.Atoms) -> dict[str, Any]:
    """What was computed for this very geometry; calculators may be shared by frames."""
    if atoms.calc is None:
        return {}
    return {
        name: value
        for name, value in atoms.calc.results.items()
        if name in all_properties and not atoms.calc.calculation_required(atoms, [name])
    }


def _need_cell(atoms: ase.Atoms, number: int, file_format: str) -> None:
    if atoms.cell.rank < 3:
        raise StructureError(
            f"{file_format} needs a cell and frame {number} has only "
            f"{atoms.cell.rank} lattice vectors. Export to extended XYZ."
        )


def _lines(line: str, *columns: Iterable[object]) -> str:
    """A line of text a row; one formatting for all is five times as fast."""
    values = tuple(chain.from_iterable(zip(*columns, strict=True)))
    width = len(columns)
    return (line + "\n") * (len(values) // width) % values


def _rows(line: str, array: Float[np.ndarray, "n 3"]) -> str:
    return _lines(line, *array.T.tolist())


def _box(atoms: ase.Atoms) -> tuple[Float[np.ndarray, " 3"], Prism]:
    """Corner and shape of a box: the cell, or what goes around the atoms."""
    cell = atoms.cell.complete().array
    corner = np.zeros(3)
    for axis in np.flatnonzero(~atoms.cell.array.any(axis=1)):
        along = np.linalg.solve(cell.T, atoms.positions.T)[axis]
        corner = corner + (along.min() - 1.0) * cell[axis]
        cell[axis] = cell[axis] * (np.ptp(along) + 2.0)
    prism = Prism(cell, atoms.pbc)
    return prism.vector_to_lammps(corner), prism


def _box_bounds(
    prism: Prism, origin: Float[np.ndarray, " 3"], periodic: list[bool]
) -> str:
    """The box, as the bounds of what encloses it."""
    *sides, xy, xz, yz = prism.get_lammps_prism().tolist()
    lowest = [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    highest = [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    low = (origin + lowest).tolist()
    high = (origin + sides + highest).tolist()
    edges = " ".join("pp" if is_periodic else "ff" for is_periodic in periodic)
    if prism.is_skewed():
        bounds = _lines("%.10f %.10f %.10f", low, high, (xy, xz, yz))
        return f"ITEM: BOX BOUNDS xy xz yz {edges}\n{bounds}"
    return f"ITEM: BOX BOUNDS {edges}\n" + _lines("%.10f %.10f", low, high)
