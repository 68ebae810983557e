"""Readers of the formats other than CIF and POSCAR; each gives every frame."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import ase
import ase.io
import numpy as np
from pymatgen.core import Molecule, Structure
from pymatgen.io.cssr import Cssr
from rdkit import Chem, rdBase

from gnndesign.errors import StructureError
from gnndesign.structures.convert import atoms_from_dict, from_pymatgen

ASE_FORMAT = {
    "xsf": "xsf",
    "res": "res",
    "gen": "gen",
    "cube": "cube",
    "aims": "aims",
    "outcar": "vasp-out",
    "xdatcar": "vasp-xdatcar",
    "vasprun": "vasp-xml",
    "espresso-in": "espresso-in",
    "espresso-out": "espresso-out",
}


def read_with_ase(content: bytes, ase_format: str) -> list[ase.Atoms]:
    """Every frame, read by ASE from a folder of its own.

    Some of ASE's readers want a path and look at neighboring files.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structure"
        path.write_bytes(content)
        read = ase.io.read(path, index=":", format=ase_format)
    return list(read) if isinstance(read, list) else [read]


def read_xyz(text: str, name: str) -> list[ase.Atoms]:
    """Plain or extended XYZ.

    Raises:
        StructureError: naming the line that is not what XYZ wants there.
    """
    _check_xyz(text, name)
    try:
        read = ase.io.read(io.StringIO(text), index=":", format="extxyz")
    except (ValueError, KeyError, IndexError, SyntaxError):
        # A comment line that only looks like key=value pairs.
        read = ase.io.read(io.StringIO(text), index=":", format="xyz")
    return cast("list[ase.Atoms]", read)


def _check_xyz(text: str, name: str) -> None:
    lines = text.rstrip().split("\n")
    start = 0
    while start < len(lines):
        first = lines[start].strip()
        if not first.isdecimal() or int(first) == 0:
            raise StructureError(
                f"'{name}', line {start + 1}: wanted the number of atoms, got "
                f"'{first[:40]}'."
            )
        end = start + 2 + int(first)
        rows = lines[start + 2 : end]
        # Extended XYZ may put the columns in any order; there ASE is the judge.
        if "Properties=" not in "".join(lines[start + 1 : start + 2]):
            _check_xyz_rows(rows, start + 3, name)
        if len(rows) < int(first):
            raise StructureError(
                f"'{name}', line {start + 1} promises {first} atoms; the file ends "
                f"after {len(rows)}."
            )
        start = end
        # ASE takes trailing blank lines between frames for the end of the file.
        while start < len(lines) and not lines[start].strip():
            start += 1


def _check_xyz_rows(rows: list[str], first_line: int, name: str) -> None:
    for number, row in enumerate(rows):
        words = row.split()
        try:
            is_atom = len(words) >= 4 and len([float(w) for w in words[1:4]]) == 3
        except ValueError:
            is_atom = False
        if not is_atom:
            raise StructureError(
                f"'{name}', line {first_line + number}: wanted an element and x, y, z "
                f"in Å, got '{row.strip()[:40]}'."
            )


def read_pdb(text: str, name: str) -> list[ase.Atoms]:
    """PDB; periodic if it has a CRYST1 record with a real cell in P 1.

    Raises:
        StructureError: alternate or partly occupied atoms; or a crystal of which the
            file holds the asymmetric unit only.
    """
    rows = [r for r in text.split("\n") if r.startswith(("ATOM  ", "HETATM"))]
    if not rows:
        raise StructureError(f"'{name}' has no ATOM or HETATM records.")
    _refuse_pdb_disorder(rows, name)
    cell = re.search(r"^CRYST1.*$", text, re.MULTILINE)
    if cell is not None:
        record = cell.group()
        # Files of isolated molecules carry the cell 1 x 1 x 1 Å as a placeholder.
        if re.match(r"CRYST1\s+1\.0+\s+1\.0+\s+1\.0+\s", record):
            text = text.replace(record, "")
        elif re.sub(r"\s", "", record[55:66]) not in {"", "P1", "1"}:
            raise StructureError(
                f"'{name}' is a crystal in space group {record[55:66].strip()}, of "
                "which a PDB file holds the asymmetric unit only. Convert it to CIF, "
                "or delete the CRYST1 line to load these atoms as a molecule."
            )
    content = text.encode()
    images = read_with_ase(content, "proteindatabank")
    for atoms in images:
        for key in ("occupancy", "bfactor"):
            if atoms.has(key):
                del atoms.arrays[key]
    return [atoms for atoms in images if len(atoms)]


def _refuse_pdb_disorder(rows: list[str], name: str) -> None:
    for row in rows:
        occupancy = row[54:60].strip()
        is_partial = re.fullmatch(r"0?\.\d+", occupancy) and 0 < float(occupancy) < 0.99
        if is_partial or row[16:17] not in {" ", "A", ""}:
            raise StructureError(
                f"'{name}' is disordered: atom {row[6:16].strip()} is one of several "
                "alternatives or partly occupied; keep one whole atom a site."
            )


def read_mol(text: str, name: str) -> list[ase.Atoms]:
    """MOL and SDF with three-dimensional coordinates, hydrogen as written.

    Raises:
        StructureError: not a mol block, or a flat drawing.
    """
    parts = re.split(r"^\$\$\$\$[ \t]*\n?", text, flags=re.MULTILINE)
    blocks = [part for part in parts if part.strip()]
    images: list[ase.Atoms] = []
    for number, block in enumerate(blocks):
        where = f"'{name}'" + (f", molecule {number + 1}" if len(blocks) > 1 else "")
        with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
            mol = cast(
                "Chem.Mol | None",
                Chem.MolFromMolBlock(
                    block,
                    sanitize=False,
                    removeHs=False,
                    strictParsing=False,
                ),
            )
        if mol is None or mol.GetNumAtoms() == 0:
            reason = " ".join(log.messages.split())[:150] or "it lists no atoms"
            raise StructureError(f"{where} is not a MOL block: {reason}.")
        conformer = mol.GetConformer()
        positions = np.array(conformer.GetPositions(), dtype=float)
        if not conformer.Is3D() and len(positions) > 3 and not positions[:, 2].any():
            raise StructureError(
                f"{where} is a flat drawing (2D); wanted three-dimensional "
                "coordinates. Build the molecule with from_smiles instead."
            )
        numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        images.append(ase.Atoms(numbers=numbers, positions=positions))
    return images


def read_json(text: str, name: str) -> list[ase.Atoms]:
    """JSON of ASE, of pymatgen, or of `atoms_to_dict`.

    Raises:
        StructureError: JSON, but no structure.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise StructureError(
            f"'{name}', line {error.lineno}: {error.msg}; wanted JSON."
        ) from error
    if isinstance(data, dict) and "numbers" in data and "positions" in data:
        return [atoms_from_dict(cast("dict[str, Any]", data))]
    if isinstance(data, dict) and "sites" in data:
        return [_from_pymatgen_json(cast("dict[str, Any]", data), name)]
    if isinstance(data, dict) and "ids" in data:
        return read_with_ase(text.encode(), "json")
    raise StructureError(
        f"'{name}' is JSON but not a structure; wanted one written by save_structure, "
        "by ASE or by pymatgen's Structure.as_dict."
    )


def _from_pymatgen_json(data: Mapping[str, Any], name: str) -> ase.Atoms:
    """A pymatgen dictionary, rebuilt from its numbers.

    `from_dict` on the file's own dictionary would import whatever modules the file
    names, which is not safe with files of strangers.
    """
    try:
        species = [
            {s["element"]: float(s["occu"]) for s in site["species"]}
            for site in data["sites"]
        ]
        xyz = [site["xyz"] for site in data["sites"]]
        if "lattice" not in data:
            return from_pymatgen(Molecule(species, xyz))
        frac = [site["abc"] for site in data["sites"]]
        return from_pymatgen(Structure(data["lattice"]["matrix"], species, frac))
    except (KeyError, TypeError) as error:
        raise StructureError(
            f"'{name}' is not a whole pymatgen structure: {error} is missing."
        ) from error


def read_cssr(text: str) -> list[ase.Atoms]:
    """CSSR, the format of the zeolite program Zeo++."""
    return [from_pymatgen(Cssr.from_str(text).structure)]


def read_traj(content: bytes, name: str) -> list[ase.Atoms]:
    """ASE trajectory in its present (ulm) format.

    Raises:
        StructureError: another format; the one before was a pickle and is not opened.
    """
    if not content.startswith(b"- of Ulm"):
        raise StructureError(
            f"'{name}' is not an ASE trajectory of the present format; older ones can "
            "run code when read. Convert it with 'ase convert' to extended XYZ."
        )
    return read_with_ase(content, "traj")
