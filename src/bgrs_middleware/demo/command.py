"""The subcommand `demo`: its options, and what must be true before it can run.

Nothing outside the standard library is imported here; without the extra there is one sentence that says what to do.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import Any

NEEDED = ("httpx", "rich", "starlette", "uvicorn")
MAX_SECONDS = 600.0


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add this subcommand to the parser of `bgrs`."""
    parser = subparsers.add_parser(
        "demo",
        help="show it on real HTTP: an example API behind a proxy that gives up too early",
        description="Starts a small API behind a proxy that gives up after 3 seconds, sends it a request that takes "
        "longer, plainly and then in the background, and shows what comes back. Nothing leaves this machine.",
    )
    parser.add_argument("--serve", action="store_true", help="leave both running afterwards, until Ctrl-C")
    parser.add_argument("--port", type=_port, default=0, help="the API's port (default: a free one)")
    parser.add_argument("--proxy-port", type=_port, default=0, help="the proxy's port (default: a free one)")
    parser.add_argument(
        "--seconds", type=_seconds, default=10.0, help="how long the request takes (default: %(default)g)"
    )
    parser.add_argument("--data-dir", help="where to keep its data (default: a temporary folder, removed at the end)")
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        parser.exit(
            2,
            f"bgrs demo: not installed: {', '.join(missing)}. "
            'Install the extra with: pip install "bgrs_middleware[demo]"\n',
        )
    from .errors import DemoError
    from .run import run

    try:
        return run(
            port=arguments.port,
            proxy_port=arguments.proxy_port,
            seconds=arguments.seconds,
            serve=arguments.serve,
            data_dir=arguments.data_dir,
        )
    except DemoError as error:
        sys.stderr.write(f"bgrs demo: {error}\n")
        return 1


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port; it takes 1 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not usable; it takes more than 0, at most {MAX_SECONDS:g}")
    return seconds
