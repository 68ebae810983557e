"""Which format a structure file is in: told by its name, failing that by its text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from pathlib import PurePath

from gnndesign.errors import StructureError

MAX_BYTES = 512 * 2**20
"""Largest file, after decompression, that is read into memory."""

FORMAT_OF_SUFFIX = {
    ".cif": "cif",
    ".mcif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".contcar": "poscar",
    ".xyz": "xyz",
    ".extxyz": "xyz",
    ".exyz": "xyz",
    ".pdb": "pdb",
    ".ent": "pdb",
    ".mol": "mol",
    ".sdf": "mol",
    ".sd": "mol",
    ".xsf": "xsf",
    ".axsf": "xsf",
    ".json": "json",
    ".traj": "traj",
    ".res": "res",
    ".cssr": "cssr",
    ".gen": "gen",
    ".cube": "cube",
    ".pwi": "espresso-in",
    ".pwo": "espresso-out",
}

_COMPRESSED = frozenset([".gz", ".bz2", ".xz"])

_FORMAT_OF_WORD = {
    "POSCAR": "poscar",
    "CONTCAR": "poscar",
    "XDATCAR": "xdatcar",
    "OUTCAR": "outcar",
    "VASPRUN": "vasprun",
    "GEOMETRY.IN": "aims",
}

_UNSAFE_SUFFIXES = frozenset(
    [".pkl", ".pickle", ".pckl", ".pk", ".joblib", ".npy", ".npz", ".pt", ".pth", ".py"]
)

# First match wins. `data_` alone would also fit restraint dictionaries and reflection
# lists; those are CIF files too, and the CIF reader says what they lack.
_SIGNATURES = (
    ("cif", re.compile(r"^\s*data_\S", re.MULTILINE | re.IGNORECASE)),
    ("vasprun", re.compile(r"^<modeling>", re.MULTILINE)),
    ("espresso-out", re.compile(r"Program PWSCF v")),
    ("outcar", re.compile(r"\A\s*vasp\.\d")),
    ("mol", re.compile(r"V[23]000\s*$", re.MULTILINE)),
    ("pdb", re.compile(r"^(CRYST1|ATOM  |HETATM)", re.MULTILINE)),
    ("xsf", re.compile(r"^\s*(CRYSTAL|PRIMVEC|ANIMSTEPS|ATOMS)\s*", re.MULTILINE)),
    ("json", re.compile(r"\A\s*\{")),
    ("xyz", re.compile(r"\A\s*\d+\s*\n[^\n]*\n\s*[A-Za-z]{1,2}\s+[-+.\d]")),
    ("poscar", re.compile(r"\A[^\n]*\n\s*[-+.\d]+\s*\n(\s*[-+.\dEe]+){9}\s*\n")),
)


def decompress(content: bytes, name: str) -> tuple[bytes, str]:
    """Undo gzip, bzip2 or xz as the name's last suffix tells.

    Returns:
        The plain bytes and the name without that suffix.

    Raises:
        StructureError: the data are not what the suffix says, or larger than
            `MAX_BYTES` when decompressed.
    """
    suffix = PurePath(name).suffix.lower()
    try:
        with _open_compressed(suffix, io.BytesIO(content)) as file:
            plain = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise StructureError(
            f"Cannot decompress '{name}': {error}. Wanted a whole, undamaged file."
        ) from error
    if len(plain) > MAX_BYTES:
        raise StructureError(
            f"'{name}' holds more than {MAX_BYTES >> 20} MiB; split it into smaller "
            "files."
        )
    return plain, name[: -len(suffix)] if suffix in _COMPRESSED else name


def _open_compressed(
    suffix: str, content: io.BytesIO
) -> io.BytesIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=content)
    if suffix == ".bz2":
        return bz2.BZ2File(content)
    if suffix == ".xz":
        return lzma.open(content)
    return content


def decode(content: bytes, name: str) -> str:
    """The text of a file: UTF-8, or Latin-1 where it is not UTF-8.

    Raises:
        StructureError: the file is empty or binary.
    """
    if not content.strip():
        raise StructureError(f"'{name}' is empty; wanted a structure file.")
    if b"\0" in content[:65536]:
        raise StructureError(
            f"'{name}' is a binary file; wanted a text format such as CIF, POSCAR, "
            "XYZ, PDB, MOL or XSF."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refuse_unsafe(name: str) -> None:
    """Stop at formats that can run code when they are opened.

    Raises:
        StructureError: the name has the suffix of such a format.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in _UNSAFE_SUFFIXES:
        raise StructureError(
            f"'{name}' is not opened: a {suffix} file can run code when it is read. "
            "Save the structure as CIF, POSCAR, extended XYZ or JSON instead."
        )


def guess_format(name: str, content: bytes) -> str:
    """The format of a file, without compression suffix.

    The suffix decides, then a word such as POSCAR in the name, then the content.

    Raises:
        StructureError: unsafe or unknown.
    """
    refuse_unsafe(name)
    by_suffix = FORMAT_OF_SUFFIX.get(PurePath(name).suffix.lower())
    if by_suffix is not None:
        return by_suffix
    base = PurePath(name).name.upper()
    words = [word for word in _FORMAT_OF_WORD if word in base]
    if words:  # "run_from_POSCAR_OUTCAR" is the output: the last word counts
        return _FORMAT_OF_WORD[max(words, key=base.rfind)]
    head = content[:65536].decode("latin-1").replace("\r\n", "\n")
    for file_format, pattern in _SIGNATURES:
        if pattern.search(head):
            return file_format
    known = " ".join(sorted(FORMAT_OF_SUFFIX))
    raise StructureError(
        f"Cannot tell the format of '{name}' from its name or its text; rename it so "
        f"that it ends in one of {known}, or begins with POSCAR."
    )
