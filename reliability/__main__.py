"""The command: chooses the faults and their sizes, runs them one after the other, prints the card.

Ends with 1 when anything failed, else with 0.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

from . import faults
from .card import Card, say
from .faults import Fault
from .sizes import SizeError, Sizes, read_sizes


def _parser(known: Mapping[str, Fault]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reliability",
        description="Breaks real servers and workers, and counts what became of acknowledged requests.",
        epilog="\n".join(_described(name, fault) for name, fault in known.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="FAULT", help="one or more of those below; all by default")
    parser.add_argument("--fast", action="store_true", help="the small sizes, which every change must pass")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=N", help="another size; repeatable")
    parser.add_argument("--folder", default=_default_folder(), help="where to write; a real disk (default %(default)s)")
    return parser


def _described(name: str, fault: Fault) -> str:
    first = (fault.__doc__ or "").partition("\n")[0]
    sizes = [f"    {size}: {of.of}; fast {of.fast:,}, full {of.full:,}" for size, of in fault.SIZES.items()]
    return "\n".join([f"{name}: {first}", *sizes])


def _default_folder() -> str:
    # Where it is there, /var/tmp survives a restart, so it lies on a disk; /tmp often does not.
    return "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()


def main() -> int:
    """Run what was asked for; returns the exit code."""
    known = {name: faults.load(name) for name in faults.names()}
    parser = _parser(known)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = {name: fault for name, fault in known.items() if name in arguments.names or not arguments.names}
    try:
        given = read_sizes(arguments.size, [size for fault in chosen.values() for size in fault.SIZES])
    except SizeError as error:
        parser.error(str(error))
    card = Card()
    for name, fault in chosen.items():
        say(f"\n{name}: {(fault.__doc__ or '').partition(chr(10))[0]}")
        _run(card, name, fault, Sizes(fault.SIZES, fast=arguments.fast, given=given), arguments.folder)
    card.table()
    return 1 if card.failed else 0


def _run(card: Card, name: str, fault: Fault, sizes: Sizes, parent: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"bgrs-{name}-", dir=parent))
    failed = len(card.failed)
    try:
        fault.run(card, folder, sizes)
    except Exception as error:  # noqa: BLE001  # one that breaks off has failed, and the others still run
        traceback.print_exc()
        card.line(name, n=1, failures=1, note=f"broke off: {error!r}"[:200])
    if len(card.failed) > failed:
        card.remark(f"What it wrote is kept in {folder}")
    else:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
