"""The subcommand `purge`: its options, and how many records it removed, in words.

Nothing that is heavy is imported before it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import BgrsError, SettingsError
from ..existing import add_place, settings_of
from ..models import Status

FINAL = tuple(status.label for status in Status if status.is_final)
MOST_DAYS = 36_500.0


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add this subcommand to the parser of `bgrs`."""
    parser = subparsers.add_parser(
        "purge",
        help="remove what has ended and is old enough, now",
        description="Removes requests that have ended and are over their retention_days, with details and bodies, as "
        "servers do by themselves in time. They may run meanwhile. What waits or runs is left alone. Says how many.",
    )
    add_place(parser)
    parser.add_argument(
        "--older-than-days", type=_days, help="what ended longer ago, whatever its retention_days (0: all that ended)"
    )
    parser.add_argument(
        "--status", action="append", choices=FINAL, help="only what ended so; may be given several times"
    )
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, say how many it would be")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from .run import purge_all

    wanted = frozenset(Status) if arguments.status is None else frozenset(Status[s.upper()] for s in arguments.status)
    try:
        counts = purge_all(
            settings_of(arguments),
            older_than_days=arguments.older_than_days,
            statuses=wanted,
            dry_run=arguments.dry_run,
        )
    except SettingsError as error:
        sys.stderr.write(f"bgrs purge: {error}\n")
        return 2
    except BgrsError as error:
        sys.stderr.write(f"bgrs purge: {error}\n")
        return 1
    sys.stdout.write(_in_words(counts, dry_run=arguments.dry_run))
    return 0


def _in_words(counts: Mapping[Status, int], *, dry_run: bool) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{counts[status]:,} {status.label}" for status in Status if counts.get(status))
    return f"{'would remove' if dry_run else 'removed'}: {total:,}{f' ({parts})' if parts else ''}\n"


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is not usable; it takes 0 to {MOST_DAYS:,.0f}")
    return days
