"""The subcommand `worker`: its options, and whether this process is a worker or keeps several.

Nothing outside the standard library is imported here.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

MOST_AT_A_TIME = 10_000
MOST_PROCESSES = 1_000


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add this subcommand to the parser of `bgrs`."""
    parser = subparsers.add_parser(
        "worker",
        help="run what web processes have accepted",
        description="Runs the background requests of an ASGI or WSGI application in a process of its own, with the "
        'settings that the application gave to its middleware. Give these `executor="worker"`, and the web processes '
        "only accept and answer. SIGTERM or Ctrl-C: what runs may finish for drain_seconds; a second one ends at once.",
    )
    parser.add_argument("application", metavar="module:application", help="where the application is")
    parser.add_argument(
        "--concurrency", type=_number_up_to(MOST_AT_A_TIME), help="requests at a time (default: as the settings say)"
    )
    parser.add_argument(
        "--processes", type=_number_up_to(MOST_PROCESSES), default=1, help="worker processes (default: %(default)s)"
    )
    parser.add_argument("--app-dir", default=".", help="the folder that the module is in (default: this one)")
    # Given by a supervisor to its workers: standard input ends when the supervisor does.
    parser.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.processes > 1:
        from .supervisor import Supervisor

        return Supervisor(_command_of_one(arguments), arguments.processes).run()
    from .errors import WorkerError
    from .process import run

    try:
        return run(
            arguments.application,
            app_dir=os.path.abspath(arguments.app_dir),
            concurrency=arguments.concurrency,
            lifeline=sys.stdin.fileno() if arguments.lifeline else None,
        )
    except WorkerError as error:
        sys.stderr.write(f"bgrs worker: {error}\n")
        return error.exit_code


def _command_of_one(arguments: argparse.Namespace) -> list[str]:
    # -P: the folder that the command is started in is not on the module path, as it is not for `bgrs` itself.
    command = [sys.executable, "-P", "-m", "bgrs_middleware.cli", "worker", "--lifeline"]
    if arguments.concurrency is not None:
        command += ["--concurrency", str(arguments.concurrency)]
    return [*command, "--app-dir", arguments.app_dir, "--", arguments.application]


def _number_up_to(most: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not usable; it takes 1 to {most:,}")
        return value

    return number
