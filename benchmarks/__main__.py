"""The command: chooses the parts and their sizes, runs them, prints the table. Always ends with 0."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable

from . import accepting, listing, ordinary, reading, streaming
from .filling import Filled
from .load import LoadError
from .machine import MIB, described, file_system_of, stay_on_last_core
from .report import Report, say

PARTS = ("ordinary", "accepting", "streaming", "reading", "listing")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures bgrs_middleware, in ratios.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="turns of everything that is compared (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement of a rate (default 3)")
    parser.add_argument("--calls", type=int, default=20_000, help="of one in-process measurement (default 20000)")
    parser.add_argument("--mib", type=int, default=1024, help="size of the streamed response (default 1024)")
    parser.add_argument("--records", type=int, default=1_000_000, help="in the large store (default 1000000)")
    parser.add_argument("--folder", default=_default_folder(), help="where to write; a real disk (default %(default)s)")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return arguments


def _default_folder() -> str:
    # Where it is there, /var/tmp survives a restart, so it lies on a disk; /tmp often does not.
    return "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()


def main() -> None:
    """Run what was asked for."""
    arguments = _arguments()
    rounds, seconds, folder = max(1, arguments.rounds), arguments.seconds, arguments.folder
    report = Report()
    kind = file_system_of(folder)
    say(f"{described()}; files on {kind}")
    if kind in ("tmpfs", "ramfs"):
        say("The folder is no disk: flushing costs nothing there, and (b) and (c) mean little. See --folder.")
    filled = Filled(folder, arguments.records)
    # The first and the last are cheap, and the first has the smallest differences: twice the rounds.
    parts: dict[str, Callable[[], None]] = {
        "ordinary": lambda: ordinary.run(report, rounds=2 * rounds, calls=arguments.calls),
        "accepting": lambda: accepting.run(report, folder, rounds=rounds, seconds=seconds),
        "streaming": lambda: streaming.run(report, folder, rounds=rounds, length=arguments.mib * MIB),
        "reading": lambda: reading.run(report, filled, rounds=rounds, seconds=seconds),
        "listing": lambda: listing.run(report, filled, rounds=2 * rounds),
    }
    with filled:
        for name in PARTS:
            if name in arguments.parts or not arguments.parts:
                if name != "ordinary":
                    stay_on_last_core()
                try:
                    parts[name]()
                except (LoadError, OSError, subprocess.SubprocessError) as error:
                    report.remark(f"could not be measured: {error}")
    report.table()


if __name__ == "__main__":
    main()
