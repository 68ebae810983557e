"""Frames behind one another in ASE's ULM format, written so that no death hurts them.

An ULM file is, with int64 numbers,

    0     "- of Ulm" and a tag of 16 characters
    24    version, number of items, position of the table of their positions
    48    the first table, for one item
    56    the arrays of an item, the length of its JSON text, the text; the next item
          a longer table behind every item that did not fit: 42, 42², 42³ items

The head is changed last. Whoever dies while writing leaves a file whose head knows of
the items before; `read_index` also finds those of a file that was cut behind its head.
`ase.io.read` reads the files at any time.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int

from gnndesign.errors import StructureError

_MAGIC = b"- of Ulm" + b"ASE-Trajectory".ljust(16)
_VERSION = 3
_HEAD = len(_MAGIC) + 3 * 8
_COUNT_AT, _FIRST_ITEM = 32, _HEAD + 8
_GROWTH = 42
# How the text of every item begins whose arrays begin with the positions.
_SIGNATURE = b'{"positions.": {"ndarray": '


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Where the whole items of a file are.

    Attributes:
        offsets: (n_items,) bytes, of the JSON texts with their lengths.
        table: where the table of these begins in the file; None where it is lost.
        end: behind all that belongs to the whole items, bytes.
        is_damaged: whether the file ends elsewhere or its head is wrong.
    """

    offsets: Int[np.ndarray, " n_items"]
    table: int | None
    end: int
    is_damaged: bool


def read_index(file: IO[bytes], name: str) -> Index:
    """The whole items of a file, however it ends.

    Args:
        file: open for reading; buffered or not.
        name: for the message.

    Raises:
        StructureError: it is not an ASE trajectory.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(_FIRST_ITEM)
    if not head.startswith(_MAGIC[: len(head)]):
        raise StructureError(
            f"'{name}' is not an ASE trajectory (.traj); wanted a file that gnndesign "
            "or ase.io.Trajectory has written."
        )
    nothing = np.zeros(0, dtype="<i8")
    if len(head) < _FIRST_ITEM:
        return Index(offsets=nothing, table=None, end=0, is_damaged=size > 0)
    version, count, table, first = np.frombuffer(head, "<i8", 4, len(_MAGIC)).tolist()
    if version != _VERSION or count < 0:
        raise StructureError(
            f"The head of '{name}' says version {version} and {count} frames; wanted "
            f"version {_VERSION} and a whole head."
        )
    is_there = 0 < table <= size - 8 * count
    file.seek(table if is_there else 0)
    offsets = (
        np.frombuffer(file.read(8 * count), dtype="<i8")
        if is_there
        else _search(file, first, size)[:count]
    )
    n_items = int(np.searchsorted(offsets, size))
    while n_items and read_text(file, int(offsets[n_items - 1]), size) is None:
        n_items -= 1
    offsets = offsets[:n_items]
    if n_items == 0:
        return Index(offsets=nothing, table=None, end=0, is_damaged=count > 0)
    end = _text_end(file, int(offsets[-1]))
    if is_there:
        end = max(end, table + 8 * _capacity(n_items))
    return Index(
        offsets=offsets,
        table=table if is_there else None,
        end=end,
        is_damaged=not is_there or n_items < count or size != end,
    )


def read_text(file: IO[bytes], offset: int, size: int) -> dict[str, Any] | None:
    """The JSON of the item at an offset; None where it is not all there.

    Args:
        file: open for reading.
        offset: of the item, bytes.
        size: of the file, bytes.
    """
    if offset + 8 > size or _text_end(file, offset) > size:
        return None
    file.seek(offset + 8)
    try:
        text = json.loads(file.read(_text_end(file, offset) - offset - 8))
    except ValueError:
        return None
    return text if isinstance(text, dict) else None


class FrameLog:
    """Appends items to a file that anybody may read meanwhile.

    The file is open only while an item is written, so that any number of logs can be
    in use.

    Attributes:
        n_items: in the file.
        last: the JSON of the last item; empty without one.
    """

    def __init__(self, path: Path) -> None:
        """Go on behind the whole items of a file, or begin a new one.

        Raises:
            StructureError: the file is something else.
        """
        self.path = path
        self.n_items = 0
        self.last: dict[str, Any] = {}
        self._end, self._table = _FIRST_ITEM, _HEAD
        if not path.exists():
            return
        with path.open("r+b", buffering=0) as file:
            index = read_index(file, str(path))
            self.n_items = len(index.offsets)
            if self.n_items == 0:
                file.truncate(0)
                return
            self._end, self._table = index.end, index.table or 0
            self.last = read_text(file, int(index.offsets[-1]), index.end) or {}
            if index.is_damaged:
                self._repair(file, index)

    def append(self, item: Mapping[str, Any]) -> None:
        """Write an item and hand it to the operating system.

        Args:
            item: its values by name; arrays become binary, values whose name ends with
                a point are mappings of the same kind. The first is "positions".

        Raises:
            OSError: it could not be written, the disk being full for example; the file
                is as it was before.
            ValueError: a number outside the arrays is not finite.
        """
        begins = self.n_items == 0
        # The file appears with its first item, so that whoever finds it can read it.
        path = self.path.with_name(f".{self.path.name}") if begins else self.path
        with path.open("wb" if begins else "r+b", buffering=0) as file:
            try:
                if begins:
                    _write(file, 0, _MAGIC + _int64(_VERSION, 0, _HEAD, -1))
                self._append(file, item)
            except OSError as error:
                with suppress(OSError):
                    file.truncate(0 if begins else self._end)
                raise OSError(
                    error.errno,
                    f"{error.strerror or error}: frame {self.n_items} was not written; "
                    "those before it are whole. Make room there and go on",
                    str(self.path),
                ) from error
        if begins:
            path.replace(self.path)

    def _append(self, file: IO[bytes], item: Mapping[str, Any]) -> None:
        arrays: list[bytes] = []
        start = _aligned(self._end)
        fields, text_at = _described(item, start, arrays)
        text = json.dumps(fields, allow_nan=False).encode()
        data = b"".join([*arrays, _int64(len(text)), text])
        _write(file, start, data)
        end, table = start + len(data), self._table
        if self.n_items == _capacity(self.n_items):
            file.seek(table)
            known = file.read(8 * self.n_items)
            table, end = _write_table(file, end, known + _int64(text_at))
            _write(file, _COUNT_AT + 8, _int64(table))
        else:
            _write(file, table + 8 * self.n_items, _int64(text_at))
        _write(file, _COUNT_AT, _int64(self.n_items + 1))
        self.n_items += 1
        self._end, self._table, self.last = end, table, fields

    def _repair(self, file: IO[bytes], index: Index) -> None:
        """Cut off what is not whole, and write a lost table anew."""
        if index.table is None:
            self._table, self._end = _write_table(
                file, index.end, index.offsets.tobytes()
            )
        file.truncate(self._end)
        _write(file, _COUNT_AT, _int64(self.n_items, self._table))


def _described(
    item: Mapping[str, Any], place: int, arrays: list[bytes]
) -> tuple[dict[str, Any], int]:
    """An item as it stands in the JSON text; its arrays are added to the list.

    Returns:
        The description, and the position behind the arrays that begin at `place`.
    """
    fields: dict[str, Any] = {}
    for name, value in item.items():
        if isinstance(value, np.ndarray):
            array = value.astype(value.dtype.newbyteorder("<"), copy=False)
            fields[name + "."] = {"ndarray": [array.shape, array.dtype.name, place]}
            arrays.append(array.tobytes().ljust(_aligned(array.nbytes), b"#"))
            place += len(arrays[-1])
        elif name.endswith("."):
            fields[name], place = _described(value, place, arrays)
        else:
            fields[name] = value
    return fields, place


def _search(file: IO[bytes], first: int, size: int) -> Int[np.ndarray, " n_items"]:
    """Positions of all whole items, found by how their texts begin."""
    found = [first] if first > 0 and read_text(file, first, size) is not None else []
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_SIGNATURE, _FIRST_ITEM)
        while at >= 0 and found:
            if at - 8 > found[-1] and read_text(file, at - 8, size) is not None:
                found.append(at - 8)
            at = content.find(_SIGNATURE, at + 1)
    return np.array(found, dtype="<i8")


def _write_table(file: IO[bytes], end: int, offsets: bytes) -> tuple[int, int]:
    """Write a table behind everything; where it is, and where the file ends now."""
    table = _aligned(end)
    end = table + 8 * _capacity(len(offsets) // 8)
    _write(file, table, offsets)
    # Most of a long table is a hole, which takes no room on most disks.
    file.truncate(end)
    return table, end


def _capacity(n_items: int) -> int:
    """Room in the table of a file with so many items."""
    capacity = 1
    while capacity < n_items:
        capacity *= _GROWTH
    return capacity


def _text_end(file: IO[bytes], offset: int) -> int:
    file.seek(offset)
    length = int.from_bytes(file.read(8), "little", signed=True)
    # A length of 0 is room that was never written.
    return offset + 8 + length if length > 0 else 2**63


def _write(file: IO[bytes], place: int, data: bytes) -> None:
    """Write all of it; an unbuffered file may take less at a time."""
    file.seek(place)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _int64(*numbers: int) -> bytes:
    return np.array(numbers, dtype="<i8").tobytes()


def _aligned(place: int) -> int:
    return -(-place // 8) * 8
