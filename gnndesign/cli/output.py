"""What all commands say and how: exit codes, tables, progress, Ctrl-C."""

from __future__ import annotations

import signal
import sys
from argparse import (
    ArgumentParser,
    BooleanOptionalAction,
    RawDescriptionHelpFormatter,
    _SubParsersAction,  # pyright: ignore[reportPrivateUsage]
)
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

DONE, NOT_REACHED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"


def add_command(
    commands: Commands, name: str, summary: str, *, example: str, not_reached: str = ""
) -> ArgumentParser:
    """A command's parser, whose help ends with an example and the exit codes."""
    not_reached = f"  1    {not_reached}\n" if not_reached else ""
    epilog = (
        f"example:\n  {example}\n\nexit codes:\n  0    done\n{not_reached}"
        "  2    bad usage or bad input; one sentence on stderr says what\n"
        "  130  Ctrl-C; what there was by then has been written (again: at once)\n"
    )
    return commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )


def add_potential(parser: ArgumentParser) -> None:
    """The options of a command that computes."""
    parser.add_argument(
        "--potential",
        default="sevennet-0",
        metavar="NAME",
        help="one that `gnndesign info` lists (default: %(default)s)",
    )
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda or cuda:N (default: cuda if any)"
    )
    parser.add_argument(
        "--progress",
        action=BooleanOptionalAction,
        help="a bar on stderr (default: where that is a terminal)",
    )


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns on stdout, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    right = [
        all(_is_number(row[column]) for row in rows) and bool(rows)
        for column in range(len(header))
    ]
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    sys.stdout.flush()


def write_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Names and what belongs to them, a line each."""
    width = max(len(name) for name, _ in fields)
    for name, text in fields:
        sys.stdout.write(f"{name.ljust(width)}  {text}".rstrip() + "\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """One line beside the output."""
    sys.stderr.write(f"gnndesign: {message}\n")


def named_by(path: Path, addition: str, suffix: str | None = None) -> Path:
    """`si_relaxed.cif` beside `si.cif` or `si.cif.gz`; POSCAR stays a POSCAR."""
    name = path.name
    for compression in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(compression)
    plain = Path(name)
    if plain.name.upper().startswith(("POSCAR", "CONTCAR")) and suffix is None:
        return path.with_name(f"{plain.name}_{addition}")
    suffix = plain.suffix if suffix is None else suffix
    return path.with_name(f"{plain.stem}_{addition}{suffix}")


class Bar(AbstractContextManager["Bar"]):
    """A progress bar on stderr."""

    def __init__(self, total: int, unit: str, *, show: bool | None) -> None:
        from tqdm import tqdm

        # tqdm takes None for "where stderr is a terminal".
        self._bar: Any = tqdm(
            total=total, unit=f" {unit}", disable=None if show is None else not show
        )

    def at(self, done: int, said: str) -> None:
        """Show how far it is."""
        self._bar.set_postfix_str(said, refresh=False)
        self._bar.update(done - self._bar.n)

    def total(self, total: int) -> None:
        """Say how far it goes, where that was not known at the start."""
        self._bar.total = total

    def __exit__(self, *error: object) -> None:
        """Leave the bar where it is."""
        self._bar.close()


class Interrupt(AbstractContextManager["Interrupt"]):
    """While it is open, Ctrl-C asks to stop; a second one ends the program at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        """Listen."""
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        """Let the listener before have it again."""
        signal.signal(signal.SIGINT, self._before)

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True
