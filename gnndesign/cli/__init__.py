"""The command line: `gnndesign relax | md | properties | train | search | export | ...`.

Every command calls the public function that a script would call. What is slow to import
is imported by a command when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from gnndesign.cli import (
    distill,
    export,
    fine_tune,
    info,
    jobs,
    md,
    prepare,
    properties,
    relax,
    search,
    train,
    validate,
)
from gnndesign.cli.output import DONE, INTERRUPTED, UNUSABLE
from gnndesign.errors import GNNDesignError

_DESCRIPTION = "Design materials with graph neural network potentials, offline."
_EPILOG = """\
example:
  gnndesign relax silicon.cif --cell full

Each command has an example of its own: gnndesign md --help
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(UNUSABLE, f"{self.prog}: {message}. See {self.prog} --help.\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `run` of its result is the command's function."""
    parser = _Parser(
        prog="gnndesign",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=_Parser
    )
    every = (
        *(relax, md, properties, train, fine_tune, distill, search),
        *(validate, export, info, jobs, prepare),
    )
    for command in every:
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command `gnndesign`; returns the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            # A person at a terminal cannot act on the warnings of other packages.
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            return options.run(options)
    except GNNDesignError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        named = f"'{error.filename}': " if error.filename else ""
        return _complain(f"{named}{error.strerror or error}.")
    except KeyboardInterrupt:
        sys.stderr.write("gnndesign: interrupted.\n")
        return INTERRUPTED


def _complain(message: str) -> int:
    sys.stderr.write(f"gnndesign: {' '.join(message.split())}\n")
    return UNUSABLE
