"""What the tests know how to start, and faults need, too: a PostgreSQL, every kind of server, a silent proxy.

It is imported when it is asked for, so that faults which need none of it run without what the tests need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .stage import ROOT

if TYPE_CHECKING:
    import socket

    from postgres import PostgresServer
    from servers import Kind, Server
    from silent_proxy import SilentProxy

TESTS = str(ROOT / "tests")


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, that flushes to disk, started."""
    _reach()
    from postgres import PostgresServer

    server = PostgresServer(fsync=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def server_kinds() -> dict[str, Kind]:
    """Every kind of server that can be started, by name."""
    _reach()
    from servers import KINDS

    return KINDS


def served(
    kind: str, target: str, *, folder: Path, data_dir: Path, env: Mapping[str, str]
) -> AbstractContextManager[Server]:
    """A server of a kind, as from its command line; see `tests/servers.py`."""
    _reach()
    from servers import serve

    return serve(kind, target, folder=folder, data_dir=data_dir, env=env)


def silent_proxy(connect: Callable[[], socket.socket]) -> SilentProxy:
    """A proxy before a server; see `tests/silent_proxy.py`."""
    _reach()
    from silent_proxy import SilentProxy

    return SilentProxy(connect)


def _reach() -> None:
    if TESTS not in sys.path:
        sys.path.append(TESTS)
