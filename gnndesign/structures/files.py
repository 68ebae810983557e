"""Load and save structures; a bad file gives one sentence, never a traceback."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import ase
import ase.io
import numpy as np
from pymatgen.core import IMolecule, IStructure, Molecule, Structure
from pymatgen.io.cif import CifWriter

from gnndesign.disk import replacing
from gnndesign.errors import StructureError
from gnndesign.structures.cif import read_cif
from gnndesign.structures.convert import from_pymatgen, to_pymatgen
from gnndesign.structures.formats import MAX_BYTES, decode, decompress, guess_format
from gnndesign.structures.poscar import read_poscar
from gnndesign.structures.readers import (
    ASE_FORMAT,
    read_cssr,
    read_json,
    read_mol,
    read_pdb,
    read_traj,
    read_with_ase,
    read_xyz,
)

StructureSource: TypeAlias = (
    str | Path | ase.Atoms | IStructure | IMolecule | Structure | Molecule
)

# Formats whose frames are moments of one run; the others list separate structures.
_TRAJECTORY_FORMATS = frozenset(
    ["xyz", "traj", "outcar", "xdatcar", "vasprun", "pdb", "xsf", "espresso-out"]
)

_ASE_FORMAT_TO_WRITE = {
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".vasp": "vasp",
    ".poscar": "vasp",
    ".pdb": "proteindatabank",
    ".xsf": "xsf",
    ".json": "json",
    ".traj": "traj",
}


def load_structure(source: StructureSource, *, strict: bool = True) -> ase.Atoms:
    """One structure from a file, or from an object of ASE or pymatgen.

    Of a trajectory (several frames of the same atoms in XYZ, ASE, XSF, PDB or an
    output of VASP or Quantum ESPRESSO) it is the last frame, as in `ase.io.read`.
    Several different structures are an error, since none of them is the one wanted.

    Args:
        source: path, `ase.Atoms` (copied), or pymatgen structure or molecule.
            Compressed files (.gz, .bz2, .xz) are opened.
        strict: refuse a CIF whose sites do not add up to the formula it states.

    Returns:
        Positions in Å. Crystals have all of `pbc` true, molecules none.

    Raises:
        StructureError: see `load_structures`; or several different structures.
    """
    structures, is_trajectory = _load(source, strict=strict)
    last = structures[-1]
    same = all(np.array_equal(s.numbers, last.numbers) for s in structures)
    if len(structures) > 1 and not (is_trajectory and same):
        formulas = ", ".join(s.get_chemical_formula() for s in structures[:3])
        raise StructureError(
            f"'{source}' holds {len(structures)} structures ({formulas}"
            f"{', ...' if len(structures) > 3 else ''}); use load_structures and "
            "choose one."
        )
    return last


def load_structures(source: StructureSource, *, strict: bool = True) -> list[ase.Atoms]:
    """Every structure or frame of a file, in the order of the file.

    Formats: CIF and magnetic CIF, POSCAR and CONTCAR, XYZ and extended XYZ, PDB, MOL
    and SDF, XSF, JSON (ASE, pymatgen, `atoms_to_dict`), ASE trajectories, SHELX res,
    CSSR, DFTB+ gen, cube, FHI-aims geometry.in, and from VASP and Quantum ESPRESSO
    OUTCAR, XDATCAR, vasprun.xml, .pwi and .pwo. Selective dynamics become constraints.

    Args:
        source: path, `ase.Atoms` (copied), or pymatgen structure or molecule.
        strict: refuse a CIF whose sites do not add up to the formula it states.

    Raises:
        StructureError: in one sentence, what is wrong with the file: absent, of an
            unknown or unsafe format, damaged, disordered, without atoms, or with
            positions or a cell that cannot be used.
    """
    return _load(source, strict=strict)[0]


def load_uploaded(name: str, content: bytes, *, strict: bool = True) -> list[ase.Atoms]:
    """Every structure of a file that a browser sent.

    Args:
        name: what the person's file is called; its suffix tells the format.
        content: the bytes of the file.
        strict: refuse a CIF whose sites do not add up to the formula it states.

    Raises:
        StructureError: see `load_structures`.
    """
    return _read(name.replace("\\", "/").rsplit("/", 1)[-1], content, strict=strict)[0]


def save_structure(atoms: ase.Atoms, path: str | Path) -> None:
    """Write one structure; the suffix tells the format.

    `.cif` (P1, ten digits; loses partial periodicity, constraints and velocities),
    `.vasp`, `.poscar` or a name beginning with POSCAR or CONTCAR, `.xyz` and `.extxyz`
    (both extended XYZ, which keeps the cell), `.pdb` (rounds to 0.001 Å), `.xsf`,
    `.json` and `.traj` (ASE). The file appears whole or not at all.

    Raises:
        StructureError: unknown suffix, no folder, or a cell is needed and missing.
    """
    path = Path(path)
    suffix = check_can_save(atoms, path)
    with replacing(path) as partial:
        _write(atoms, partial, suffix)


def check_can_save(atoms: ase.Atoms, path: Path) -> str:
    """Whether `save_structure` would write here; returns what stands for the format.

    Raises:
        StructureError: see `save_structure`.
    """
    is_poscar = path.name.upper().startswith(("POSCAR", "CONTCAR"))
    suffix = ".poscar" if is_poscar else path.suffix.lower()
    if suffix not in {".cif", *_ASE_FORMAT_TO_WRITE}:
        raise StructureError(
            f"Cannot save as '{path.name}'; wanted a name ending in .cif "
            f"{' '.join(_ASE_FORMAT_TO_WRITE)}, or beginning with POSCAR."
        )
    _check_usable(atoms, path.name)
    if suffix in {".cif", ".vasp", ".poscar"} and atoms.cell.rank < 3:
        raise StructureError(
            f"'{path.name}' needs a cell and the structure has none; give it one with "
            "add_vacuum, or save it as .xyz."
        )
    if not path.parent.is_dir():
        raise StructureError(f"The folder '{path.parent}' does not exist.")
    return suffix


def _write(atoms: ase.Atoms, path: Path, suffix: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if suffix == ".cif":
            crystal = atoms.copy()
            crystal.set_constraint()
            crystal.pbc = True
            writer = CifWriter(
                cast("Structure", to_pymatgen(crystal)),
                significant_figures=10,
                write_magmoms=crystal.has("initial_magmoms"),
            )
            path.write_text(str(writer), encoding="utf-8")
            return
        path.unlink()  # ASE appends to an existing JSON database
        ase.io.write(path, atoms, format=_ASE_FORMAT_TO_WRITE[suffix])


def _load(source: StructureSource, *, strict: bool) -> tuple[list[ase.Atoms], bool]:
    if isinstance(source, ase.Atoms):
        structures = [source.copy()]
    elif isinstance(source, IStructure | IMolecule):
        structures = [from_pymatgen(source)]
    else:
        return _load_path(Path(source), strict=strict)
    _check_usable(structures[0], "The given structure")
    return structures, False


def _load_path(path: Path, *, strict: bool) -> tuple[list[ase.Atoms], bool]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StructureError(f"'{path}' is larger than {MAX_BYTES >> 20} MiB.")
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StructureError(
            f"Cannot open '{path}': {reason}. Wanted the path of a structure file."
        ) from error
    return _read(path.name, content, strict=strict)


def _read(name: str, content: bytes, *, strict: bool) -> tuple[list[ase.Atoms], bool]:
    content, plain_name = decompress(content, name)
    file_format = guess_format(plain_name, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structures = _read_format(file_format, content, name, strict=strict)
    except StructureError:
        raise
    # Readers of other packages raise whatever a damaged file makes them trip over;
    # their word is passed on inside one sentence, with the original as its cause.
    except Exception as error:
        detail = " ".join(str(error).split())[:150] or type(error).__name__
        if isinstance(error, StopIteration | IndexError | EOFError):
            detail = "it ends too early, or a line has too few columns"
        raise StructureError(
            f"Cannot read '{name}' as {file_format}: {detail}. Wanted a whole, "
            f"undamaged {file_format} file."
        ) from error
    if not structures:
        raise StructureError(f"'{name}' holds no structure; wanted at least one.")
    for index, atoms in enumerate(structures):
        where = f"'{name}'" if len(structures) == 1 else f"'{name}', frame {index}"
        _check_usable(atoms, where)
    return structures, file_format in _TRAJECTORY_FORMATS


def _read_format(
    file_format: str, content: bytes, name: str, *, strict: bool
) -> list[ase.Atoms]:
    if file_format == "traj":
        return read_traj(content, name)
    text = decode(content, name)
    if file_format == "cif":
        return read_cif(text, name, strict=strict)
    if file_format == "cssr":
        return read_cssr(text)
    readers: dict[str, Callable[[str, str], list[ase.Atoms]]] = {
        "poscar": read_poscar,
        "xyz": read_xyz,
        "pdb": read_pdb,
        "mol": read_mol,
        "json": read_json,
    }
    if file_format in readers:
        return readers[file_format](text, name)
    return read_with_ase(text.encode(), ASE_FORMAT[file_format])


def _check_usable(atoms: ase.Atoms, where: str) -> None:
    if len(atoms) == 0:
        raise StructureError(f"{where} has no atoms; wanted at least one.")
    if not atoms.numbers.all():
        index = int(np.flatnonzero(atoms.numbers == 0)[0])
        raise StructureError(f"{where}: atom {index} is no chemical element.")
    for what, array in (("position", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise StructureError(
                f"{where}: {what} {row} is {array[row].tolist()}; wanted finite Å."
            )
    if atoms.pbc.all() and atoms.cell.volume < 1e-3 * len(atoms):
        raise StructureError(
            f"{where}: the cell has {atoms.cell.volume:.3g} Å³ for {len(atoms)} "
            "atoms; its lattice vectors lie in a plane or are far too short."
        )
