"""SIGKILL at moments that luck would not hit: between the last byte and the commit, in a body's write, in the sweep.

No POST is started twice, nothing is stranded (each request gets a final state, no file is left that no record names),
what was whole on disk is kept instead of being run again, and no part of a body is ever served as a result.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bgrs_middleware.failpoints import Failpoint

from ..card import Card
from ..client import FINAL, Client, NoAnswer
from ..evidence import answer
from ..sizes import Size, Sizes
from ..stage import PATIENCE_SECONDS, Gateway, Nurseries, Process, Stage, StageError, under_both_gateways

SIZES = {"rounds_of_moments": Size(of="times that it dies at each moment, with each gateway", fast=1, full=50)}

SMALL, BIG, HELD = "/quick", "/bytes/300000", "/first"
REQUEST_BODY = bytes(100_000)
"""Beyond what is kept in the row, like the response of BIG, so that both are files."""

Kept = Literal["kept", "again", "never begun"]
"""What becomes of the work: its answer is kept; or it is lost, and run again where it may be; or it was not begun."""

LAST_BYTE = "SIGKILL between the last byte and the commit: no second start of a POST"
IN_BODY = "SIGKILL during a body's write: the same, no part of it is a result"
AROUND_ACCEPT = "SIGKILL around the commit of an accept: run once, or never known"
IN_SWEEP = "SIGKILL during the sweep: all that was abandoned is settled once"
SERVED = "SIGKILL at any of these moments: every result that is served is whole"
NO_FILES = "SIGKILL at all these moments: no file is left that no record names"
LINES = (LAST_BYTE, IN_BODY, AROUND_ACCEPT, IN_SWEEP, SERVED, NO_FILES)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A moment of a worker, and what becomes of a request with this path whose worker dies then."""

    line: str
    failpoint: str
    path: str
    kept: Kept


@dataclass(frozen=True, slots=True)
class _Found:
    """One try, and what was wrong."""

    line: str
    wrong: str


OF_WORKERS = (
    _Moment(LAST_BYTE, Failpoint.CLAIMED_BEFORE_START, SMALL, "never begun"),
    _Moment(LAST_BYTE, Failpoint.ANSWERED_BEFORE_SEALED, SMALL, "again"),
    _Moment(LAST_BYTE, Failpoint.ANSWERED_BEFORE_SEALED, BIG, "again"),
    _Moment(LAST_BYTE, Failpoint.SEALED_BEFORE_FINISH, SMALL, "again"),
    _Moment(LAST_BYTE, Failpoint.SEALED_BEFORE_FINISH, BIG, "kept"),
    _Moment(LAST_BYTE, Failpoint.FINISH_BEFORE_COMMIT, SMALL, "again"),
    _Moment(LAST_BYTE, Failpoint.FINISH_BEFORE_COMMIT, BIG, "kept"),
    _Moment(LAST_BYTE, Failpoint.FINISHED_BEFORE_WIPED, BIG, "kept"),
    _Moment(IN_BODY, f"{Failpoint.BODY_PIECE_WRITTEN}=kill#2", BIG, "again"),
    _Moment(IN_BODY, Failpoint.BODY_BEFORE_NAMED, BIG, "again"),
)
OF_ACCEPTS = (
    (AROUND_ACCEPT, Failpoint.ACCEPT_BEFORE_COMMIT, 0),
    (AROUND_ACCEPT, Failpoint.ACCEPT_AFTER_COMMIT, 1),
    (IN_BODY, f"{Failpoint.BODY_PIECE_WRITTEN}=kill#1", 0),
    (IN_BODY, Failpoint.BODY_BEFORE_NAMED, 0),
)
"""Moments of a server that reads and records a request, and how many starts follow."""

OF_SWEEPS = (
    Failpoint.SWEEP_ABANDONED_READ,
    *(f"{Failpoint.SWEEP_BEFORE_TAKEOVER}=kill#{number}" for number in (1, 2, 4)),
)
ABANDONED = ("POST", "GET") * 2
DAYS_AGO_SECONDS = 3 * 86_400
_BODY_FILE = re.compile(r"[0-9a-f]{32}\.")


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Die at each moment, under both gateways at a time: most of it is waiting."""
    rounds = sizes["rounds_of_moments"]
    found = under_both_gateways(lambda each, nurseries: _die_at_all(folder / each, each, nurseries, rounds))
    card.remarks([one.wrong for one in found if one.wrong])
    tries = Counter(one.line for one in found)
    failures = Counter(one.line for one in found if one.wrong)
    for line in LINES:
        card.line(line, n=tries[line], failures=failures[line])


def _die_at_all(folder: Path, gateway: Gateway, nurseries: Nurseries, rounds: int) -> list[_Found]:
    """On three stores at a time: each death must be noticed before there is another one, and that takes a second."""
    parts: dict[str, Callable[[Stage], Iterator[_Found]]] = {
        "posts": lambda stage: _die_in_workers(stage, "POST"),
        "gets": lambda stage: _die_in_workers(stage, "GET"),
        "others": _die_elsewhere,
    }

    def play(name: str) -> list[_Found]:
        with Stage(folder / name, gateway, nurseries, executor="worker") as stage:
            found = [one for _ in range(rounds) for one in parts[name](stage)]
            return [*found, _Found(NO_FILES, _left_behind(stage))]

    with ThreadPoolExecutor(len(parts)) as threads:
        return [one for found in threads.map(play, parts) for one in found]


def _die_in_workers(stage: Stage, method: str) -> Iterator[_Found]:
    web = stage.web()
    for moment in OF_WORKERS:
        yield from _die_in_worker(stage, moment, method)
    web.kill()


def _die_elsewhere(stage: Stage) -> Iterator[_Found]:
    for failpoint in OF_SWEEPS:
        yield from _die_in_sweep(stage, failpoint)
    for line, failpoint, starts in OF_ACCEPTS:
        yield _die_in_accept(stage, line, failpoint, starts)


def _die_in_worker(stage: Stage, moment: _Moment, method: str) -> Iterator[_Found]:
    with stage.client() as client:
        rid = client.ask(method, moment.path, REQUEST_BODY if method == "POST" else None)
        _until_dead(stage.worker("--concurrency", "1", failpoints=_armed(moment.failpoint)))
        heir = stage.worker()
        document, partial = _watch(client, rid, moment.path)
        heir.kill()
        wrong = _differs(stage, client, document, method, moment)
        yield _Found(moment.line, wrong and f"{stage.gateway} {method} {moment.path} at {moment.failpoint}: {wrong}")
        yield _Found(SERVED, partial and f"{stage.gateway} {method} {moment.path} at {moment.failpoint}: {partial}")


def _watch(client: Client, rid: str, path: str) -> tuple[dict[str, Any] | None, str]:
    """Look at the result until the state is final; the document, and what was served that is no whole answer."""
    whole = {b"".join(answer(rid, attempt, path)) for attempt in (1, 2)}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        document = client.find(rid, wait_seconds=0.25)
        result = client.result(rid)
        if result.status == 200 and result.body not in whole:
            return document, f"served {len(result.body)} bytes, {result.body[:100]!r}"
        if document is None or document["status_name"] in FINAL or time.monotonic() > deadline:
            return document, ""


def _differs(stage: Stage, client: Client, document: Mapping[str, Any] | None, method: str, moment: _Moment) -> str:
    if document is None:
        return "is not there"
    rid, begun = document["rid"], [] if moment.kept == "never begun" else [1]
    if moment.kept == "kept":
        right: tuple[str, int, list[int]] = ("finished", 1, begun)
    elif method == "POST":
        right = ("lost", 1, begun)
    else:
        right = ("finished", 2, [*begun, 2])
    seen = (document["status_name"], int(document["attempt"]), stage.evidence.starts(rid))
    if seen != right:
        return f"should be {right}, is {seen}: {client.details(rid)}"
    result = client.result(rid)
    if right[0] == "finished" and result.body != b"".join(answer(rid, right[1], moment.path)):
        return f"is served as {result.status}, {result.body[:100]!r}"
    return ""


def _die_in_sweep(stage: Stage, failpoint: str) -> Iterator[_Found]:
    """A worker dies with all that it works on; and so does the first one that looks after that."""
    web, worker = stage.web(), stage.worker("--concurrency", str(len(ABANDONED)))
    with stage.client() as client:
        held = [(client.ask(method, HELD), method) for method in ABANDONED]
    for rid, _ in held:
        stage.until_started(rid)
    # The servers sweep, too; the only one that is left is the one that dies of it.
    web.kill()
    worker.kill()
    dying = stage.web(failpoints=_armed(failpoint))
    with stage.client() as client, suppress(NoAnswer):
        # A WSGI server begins with its first request. It may die before it answers.
        client.call("GET", "/bgrs")
    _until_dead(dying)
    web, heir = stage.web(), stage.worker()
    moment = _Moment(IN_SWEEP, failpoint, HELD, "again")
    with stage.client() as client:
        for rid, method in held:
            wrong = _differs(stage, client, client.until_final(rid), method, moment)
            yield _Found(IN_SWEEP, wrong and f"{stage.gateway} {method} {HELD} at {failpoint}: {wrong}")
    web.kill()
    heir.kill()


def _die_in_accept(stage: Stage, line: str, failpoint: str, starts: int) -> _Found:
    """A server dies with a request that nobody was told of. One that runs things itself comes after it."""
    before = stage.evidence.started()
    dying = stage.web(failpoints=_armed(failpoint))
    try:
        with stage.client() as client:
            told = client.call("POST", f"{SMALL}?bgrs=yes", REQUEST_BODY)
        return _Found(line, f"{stage.gateway} {failpoint}: was answered {told}")
    except NoAnswer:
        _until_dead(dying)
    web = stage.web(executor="embedded", concurrency="1")
    with stage.client() as client:
        # The oldest is run first: when this one is over, the other one is, if it is there at all.
        later = client.ask("POST", SMALL)
        client.until_final(later)
        new = stage.evidence.started() - before - {later}
        states = [(client.until_final(rid) or {}).get("status_name") for rid in new]
        attempts = [stage.evidence.starts(rid) for rid in new]
    web.kill()
    if (states, attempts) == (["finished"] * starts, [[1]] * starts):
        return _Found(line, "")
    return _Found(line, f"{stage.gateway} {failpoint}: {starts} starts should follow, not {attempts}, {states}")


def _left_behind(stage: Stage) -> str:
    """The files of bodies that stay although no record names them. They are looked for when they are old."""
    bodies = [file for file in (stage.data / "bodies").rglob("*") if file.is_file() and _BODY_FILE.match(file.name)]
    for file in bodies:
        old = file.stat().st_mtime - DAYS_AGO_SECONDS
        os.utime(file, (old, old))
    stage.web()
    deadline = time.monotonic() + PATIENCE_SECONDS
    with stage.client() as client:
        unnamed = [file for file in bodies if not _is_named(client, file.name)]
    while any(file.exists() for file in unnamed):
        if time.monotonic() > deadline:
            return f"{stage.gateway}: {[file.name for file in unnamed if file.exists()]}"
        time.sleep(0.05)
    lost = [file.name for file in bodies if file not in unnamed and not file.exists()]
    return f"{stage.gateway}: were removed, and are named: {lost}" if lost else ""


def _is_named(client: Client, name: str) -> bool:
    """Whether a record needs a file: the result that it has, or the request of one that may be retried."""
    rid, rest = name.split(".", 1)
    document = client.find(rid)
    if document is None or name.endswith(".tmp"):
        return False
    if rest == "request":
        return bool(document["status_name"] == "lost")
    return bool(document["status_name"] == "finished" and rest == f"{document['attempt']}.result")


def _armed(failpoint: str) -> str:
    return failpoint if "=" in failpoint else f"{failpoint}=kill"


def _until_dead(process: Process) -> None:
    code = process.wait()
    if code != -signal.SIGKILL:
        raise StageError(f"it should have died of its failpoint, and ended with {code}:\n{process.log()}")
