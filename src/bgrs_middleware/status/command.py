"""The subcommand `status`: its options, and what was seen, in words or as JSON.

Nothing that is heavy is imported before it runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from ..existing import add_place, settings_of

if TYPE_CHECKING:
    from .look import Sight

MOST_SECONDS = 3_600.0


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add this subcommand to the parser of `bgrs`."""
    parser = subparsers.add_parser(
        "status",
        help="say whether background requests can be accepted and run",
        description="Says what waits and runs in the store, and what the processes of this host that use it say of "
        "themselves; the same as the health route. Beside it, what is not as safe as it could be. Ends with 0, with 1 "
        "where nothing can be accepted or run, with 2 where there is no such store.",
    )
    add_place(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each store")
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, help="seconds that the store may take to answer (default: 10)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from .look import look

    try:
        seen = [look(settings, arguments.timeout) for settings in settings_of(arguments)]
    except SettingsError as error:
        sys.stderr.write(f"bgrs status: {error}\n")
        return 2
    for sight in seen:
        sys.stdout.write(_as_json(sight) if arguments.json else _in_words(sight))
    return 1 if any(sight.health.reasons for sight in seen) else 0


def _as_json(sight: Sight) -> str:
    from ..protocol.health import health_document

    advice = [{"level": logging.getLevelName(each.level), "text": each.text} for each in sight.advice]
    return json.dumps(health_document(sight.health) | {"advice": advice}) + "\n"


def _in_words(sight: Sight) -> str:
    health, host = sight.health, sight.health.host
    lines = ["status: " + ("fail" if health.reasons else "pass"), *(f"  {reason}" for reason in health.reasons)]
    lines.append(f"store: {health.state}")
    if health.queued is not None:
        seconds = health.oldest_queued_seconds
        oldest = "" if seconds is None else f", the oldest for {_duration(seconds)}"
        lines += [f"  queued: {health.queued:,}{oldest}", f"  running: {health.running:,}"]
    lines.append(f"processes of this host: {host.processes:,}")
    if host.processes:
        lines += [
            f"  running: {host.running:,} in {host.slots:,} slots",
            f"  stuck: {host.stuck:,}",
            f"  lease losses: {host.lease_losses:,}",
        ]
    lines += [f"{logging.getLevelName(each.level).lower()}: {each.text}" for each in sight.advice]
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3_600
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.0f} h"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not usable; it takes more than 0, and up to {MOST_SECONDS:,.0f}")
    return seconds
