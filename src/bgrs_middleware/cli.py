"""The command `bgrs`: reads the command line and hands over to one subcommand.

Each subcommand is a module with a function `add_parser`, which names its options and the function that runs it. Such a
module imports what it needs when it runs, so that `bgrs --help` is quick and works without any extra installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from . import __version__
from .demo import command as demo
from .purge import command as purge
from .status import command as status
from .worker import command as worker

SUBCOMMANDS = (demo.add_parser, worker.add_parser, status.add_parser, purge.add_parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters:
        argv: the arguments after the command's name. None: those of this process.

    Returns:
        The exit code: 0, or 1 where it failed, 130 where it was interrupted.

    Raises:
        SystemExit: help or version was asked for (0), the command line is wrong or an extra is missing (2).
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bgrs", description="Makes any endpoint of an existing web application callable in the background."
    )
    parser.add_argument("--version", action="version", version=f"bgrs {__version__}")
    subparsers: argparse._SubParsersAction[Any] = parser.add_subparsers(
        required=True, metavar="command", title="commands"
    )
    for add_parser in SUBCOMMANDS:
        add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
