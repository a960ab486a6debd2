"""Real servers for the vendors' clients: uvicorn (ASGI) and gunicorn's threads (WSGI), two processes on one store each.

`sites(...)` runs `apps/things.py`; `Site.let_go` opens the gates at which that application waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import KINDS, Server, serve

APPS = Path(__file__).parent / "apps"
SERVERS = ("uvicorn", "gunicorn-gthread")
TWO_PROCESSES = ("--workers", "2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server, and the folder where what the application waits for appears."""

    server: Server
    go: Path

    @property
    def url(self) -> str:
        """Where it answers; no slash at the end."""
        return self.server.url

    def let_go(self, gate: str) -> None:
        """Let all go on that wait at this gate, in whichever process, now and later."""
        (self.go / gate).touch()


@contextlib.contextmanager
def things(kind: str, folder: Path, *, options: Sequence[str] = TWO_PROCESSES, **env: str) -> Iterator[Site]:
    """Run the application of `apps/things.py` in two processes of a server while the block runs.

    Parameters:
        kind: one of `SERVERS`.
        folder: for its data. Several that are given the same one share a store.
        options: of the server's command line.
        env: further variables.
    """
    go = folder / "go"
    go.mkdir(exist_ok=True)
    target = f"things:{KINDS[kind].gateway}_app"
    with serve(
        kind,
        target,
        folder=APPS,
        data_dir=folder / "data",
        # The requests of all tests of a module wait at their gates at the same time.
        env={"THINGS_GO": str(go), "BGRS_CONCURRENCY": "20", **env},
        options=options,
    ) as server:
        yield Site(server=server, go=go)
