"""SIGTERM of each kind of server under load, with work that runs, work that waits, and clients that wait.

It ends within `drain_seconds` and 6 more. What runs may finish; what does not is handed back or lost, as may be run
again or not. What was queued is queued, and is run by the next server. Who waits for an answer gets one. A second
signal ends it at once, whatever runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .. import borrowed
from ..card import Card, spread
from ..client import Client, NoAnswer
from ..evidence import Evidence
from ..load import Asked, Load
from ..sizes import Size, Sizes
from ..stage import PATIENCE_SECONDS, ROOT

if TYPE_CHECKING:
    from servers import Server

SIZES = {"terminations": Size(of="of each kind of server", fast=1, full=50)}

SERVERS = ("uvicorn", "gunicorn-uvicorn", "gunicorn-gthread", "granian-asgi", "granian-wsgi", "hypercorn", "waitress")
CUTS_WHO_WAITS = frozenset({"hypercorn"})
"""It tells an application of its end only when it has cut every connection, 3 seconds after the signal."""

AT_A_TIME = 3
DRAIN_SECONDS = 2.0
MORE_SECONDS = 6.0
LONG_SECONDS = 3_600.0
SECOND_AFTER_SECONDS = 1.2
"""What comes within a second of the first is the first one, see `service/stopping.py`."""

AT_ONCE_SECONDS = 4.0
WAIT_SECONDS = 20
SOON_SECONDS = 0.5
QUEUED = 20
CLIENTS = 4
LOAD_SECONDS = 0.5
LOOK_SECONDS = 0.01
SETTINGS = {"concurrency": "3", "min_free_bytes": "0", "max_queued": "1000000", "max_wait_seconds": "60"}


@dataclass(slots=True)
class _Found:
    """What was found of one kind of server."""

    exits: list[float] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)
    requests: int = 0
    wrong: list[str] = field(default_factory=list)
    waits: int = 0
    unanswered: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _House:
    """One store, and servers of one kind on it."""

    kind: str
    folder: Path

    @contextmanager
    def server(self, **settings: str) -> Iterator[tuple[Server, tuple[str, int]]]:
        """A server, and where it answers."""
        gateway = borrowed.server_kinds()[self.kind].gateway
        env = {f"BGRS_{name.upper()}": value for name, value in (SETTINGS | settings).items()}
        env["ORACLE_FOLDER"] = str(self.folder)
        target = f"reliability.oracle:{gateway}_app"
        with borrowed.served(self.kind, target, folder=ROOT, data_dir=self.folder / "data", env=env) as server:
            yield server, ("127.0.0.1", server.port)

    def let_go_soon(self, path: str) -> None:
        time.sleep(SOON_SECONDS)
        (self.folder / "go" / path.strip("/")).touch()


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """A few kinds at a time: most of it is waiting."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for kind, found in zip(
            SERVERS, threads.map(lambda kind: _terminate(kind, folder, sizes["terminations"]), SERVERS), strict=True
        ):
            _tell(card, kind, found)


def _terminate(kind: str, folder: Path, times: int) -> _Found:
    found = _Found()
    for number in range(times):
        house = _House(kind, folder / f"{kind}-{number}")
        (house.folder / "go").mkdir(parents=True)
        _terminate_under_load(house, found)
        _terminate_twice(house, found)
    return found


def _terminate_under_load(house: _House, found: _Found) -> None:
    evidence = Evidence(house.folder)
    with house.server(drain_seconds=f"{DRAIN_SECONDS:g}") as (server, address):
        with Client(address) as client:
            soon, unsafe = client.ask("POST", "/soon"), client.ask("POST", "/first")
            safe = client.ask("GET", "/first")
            for rid in (soon, unsafe, safe):
                _until_started(evidence, rid)
            queued = [Asked(client.ask("POST", "/quick"), "POST", 0.0) for _ in range(QUEUED)]
        targets = (f"/bgrs/{unsafe}/result?wait_for={WAIT_SECONDS}", f"/quick?bgrs=yes&wait_for={WAIT_SECONDS}")
        load = Load(lambda: Client(address), CLIENTS, per_second=50.0)
        with ThreadPoolExecutor(len(targets) + 1) as threads:
            waiting = {target: threads.submit(_wait, address, target) for target in targets}
            with load.running() as heard:
                time.sleep(LOAD_SECONDS)
                told = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                threads.submit(house.let_go_soon, "/soon")
                found.exits.append(_exit_after(server, told, DRAIN_SECONDS + MORE_SECONDS))
        found.waits += len(waiting)
        found.unanswered += _unanswered(house.kind, waiting)
    asked = [*queued, *heard.acknowledged]
    with house.server(drain_seconds="0") as (server, address), Client(address) as client:
        client.call("GET", "/bgrs")
        _check(client, evidence, found, soon, "finished", [1])
        _check(client, evidence, found, unsafe, "lost", [1])
        _check(client, evidence, found, safe, "finished", [1, 2])
        for one in asked:
            _check(client, evidence, found, one.rid, "finished", None)
    found.requests += len(asked) + 3


def _terminate_twice(house: _House, found: _Found) -> None:
    """Both signals go to all of its processes, as from a terminal or a service manager."""
    evidence = Evidence(house.folder)
    with house.server(drain_seconds=f"{LONG_SECONDS:g}") as (server, address):
        with Client(address) as client:
            rid = client.ask("POST", "/endless")
            _until_started(evidence, rid)
        time.sleep(LOAD_SECONDS)
        os.killpg(server.process.pid, signal.SIGTERM)
        time.sleep(SECOND_AFTER_SECONDS)
        if server.process.poll() is not None:
            found.wrong.append("it did not drain: the first signal ended it at once")
        told = time.monotonic()
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGTERM)
        found.at_once.append(_exit_after(server, told, AT_ONCE_SECONDS))


def _until_started(evidence: Evidence, rid: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not evidence.starts(rid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{rid} was not started")
        time.sleep(LOOK_SECONDS)


def _wait(address: tuple[str, int], target: str) -> int:
    with Client(address) as client:
        return client.call("POST" if target.startswith("/quick") else "GET", target).status


def _unanswered(kind: str, waiting: Mapping[str, Future[int]]) -> list[str]:
    """Which of those who waited got no answer, or another one than 202: that it is not there yet."""
    wrong: list[str] = []
    for target, answer in waiting.items():
        try:
            if answer.result() != 202:
                wrong.append(f"{kind}: {target} was answered by {answer.result()}")
        except NoAnswer as error:
            wrong.append(f"{kind}: {error}")
    return wrong


def _exit_after(server: Server, told: float, limit_seconds: float) -> float:
    """How long it took to end. One that takes far too long is killed."""
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(limit_seconds + PATIENCE_SECONDS)
    seconds = time.monotonic() - told
    server.kill()
    return seconds


def _check(client: Client, evidence: Evidence, found: _Found, rid: str, status: str, starts: list[int] | None) -> None:
    document = client.until_final(rid)
    began = evidence.starts(rid)
    right = began == starts if starts is not None else len(began) == 1
    if document is None or document["status_name"] != status or not right:
        found.wrong.append(f"{rid} should be {status}, is {document}, started as {began}: {client.details(rid)}")


def _tell(card: Card, kind: str, found: _Found) -> None:
    card.remarks(found.wrong)
    limit = DRAIN_SECONDS + MORE_SECONDS
    late = sum(seconds > limit for seconds in found.exits)
    card.line(
        f"SIGTERM of {kind}: it ends within drain + {MORE_SECONDS:g} s",
        n=len(found.exits),
        failures=late,
        note=f"drain {DRAIN_SECONDS:g} s; {spread(found.exits)}",
    )
    card.line(
        "and what was queued is intact",
        n=found.requests,
        failures=min(found.requests, len(found.wrong)),
        note="requests",
    )
    if kind in CUTS_WHO_WAITS:
        card.not_run("and who waits is answered", f"{kind} cuts its connections before it tells an application")
    else:
        card.remarks(found.unanswered)
        card.line("and who waits is answered", n=found.waits, failures=len(found.unanswered), note="long-polls")
    late = sum(seconds > AT_ONCE_SECONDS for seconds in found.at_once)
    card.line("and a second one ends it at once", n=len(found.at_once), failures=late, note=spread(found.at_once))
