"""SIGKILL of the server at random moments, while 16 clients are asking.

Every request that was acknowledged is there after the restart, with its body; it reaches a final state by itself, and
that never changes; it was started as often as it may be, and what is served is what the recorded attempt answered.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from ..card import Card
from ..client import FINAL, Client, NoAnswer
from ..evidence import answer
from ..sizes import Size, Sizes
from ..stage import PATIENCE_SECONDS, Gateway, Nurseries, Process, Stage, StageError

SIZES = {"server_kills": Size(of="kills of the server", fast=200, full=10_000)}

CLIENTS = 16
KILLS_PER_ROUND = 25
KILLS_PER_STORE = 500
LIFE_SECONDS = 0.1
START_SECONDS = 0.06
PAUSE_SECONDS = 0.02
BODY_BYTES = 100_000
"""Beyond what is kept in the row, so that such a body is a file."""

PATH = "/quick"
MOST_STARTS = {"GET": 2, "POST": 1}


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    rid: str
    method: str
    life: int


class _Crowd:
    """Clients that ask one request after the other, whatever becomes of the server, and keep what was acknowledged."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stopped = threading.Event()
        self.life = 0
        self.heard = threading.Event()
        self.acknowledged: list[_Acknowledged] = []

    @contextmanager
    def asking(self) -> Iterator[None]:
        """They ask during the block. At its end a server must run: each waits for its last answer."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            asking = [threads.submit(self._ask, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._stopped.set()
        for each in asking:
            each.result()

    def _ask(self, number: int) -> None:
        body = bytes(BODY_BYTES) if number == 0 else None
        with self._stage.client() as client:
            for method in cycle(("POST", "GET")):
                if self._stopped.is_set():
                    return
                try:
                    rid = client.ask(method, PATH, body if method == "POST" else None)
                except NoAnswer:
                    continue
                self.acknowledged.append(_Acknowledged(rid, method, self.life))
                self.heard.set()
                self._stopped.wait(random.uniform(0, PAUSE_SECONDS))


class _Verdicts:
    """What did not hold, by the life of the server in which it was promised."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self.requests = 0
        self.failed: dict[str, set[int]] = {"there": set(), "final": set(), "kept": set(), "starts": set()}

    def fail(self, what: str, one: _Acknowledged, text: str) -> None:
        self.failed[what].add(one.life)
        self._card.remark(f"{one.method} {one.rid}, acknowledged in life {one.life}: {text}")


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Kill so many servers, half of them with each gateway."""
    kills, verdicts = sizes["server_kills"], _Verdicts(card)
    gateways: Iterator[Gateway] = cycle(("asgi", "wsgi"))
    per_store = min(KILLS_PER_STORE, -(-kills // 2))
    with Nurseries() as nurseries:
        for first in range(0, kills, per_store):
            with Stage(folder / f"from-{first}", next(gateways), nurseries) as stage:
                _kill_on_one_store(stage, range(first, min(first + per_store, kills)), verdicts)
            if not any(verdicts.failed.values()):
                stage.clear()
    note = f"kills; {verdicts.requests:,} requests acknowledged to {CLIENTS} clients, ASGI and WSGI"
    for what, text in {
        "there": "what was acknowledged is there",
        "final": "and reaches a final state that it may have",
        "kept": "which never changes, with its answer whole",
        "starts": "within the starts it may have",
    }.items():
        card.line(f"SIGKILL of the server: {text}", n=kills, failures=len(verdicts.failed[what]), note=note)


def _kill_on_one_store(stage: Stage, lives: range, verdicts: _Verdicts) -> None:
    found: dict[_Acknowledged, dict[str, Any]] = {}
    server = stage.web()
    for first in range(lives.start, lives.stop, KILLS_PER_ROUND):
        crowd = _Crowd(stage)
        with crowd.asking():
            for life in range(first, min(first + KILLS_PER_ROUND, lives.stop)):
                crowd.life = life
                _let_live(server, crowd)
                server.kill()
                server = stage.web()
        with stage.client() as client:
            for one in crowd.acknowledged:
                _check_outcome(client, one, found, verdicts)
    with stage.client() as client:
        for one, document in found.items():
            if client.find(one.rid) != document:
                verdicts.fail("kept", one, f"was {document}, and is {client.find(one.rid)}")
    server.kill()
    for one, document in found.items():
        _check_starts(one, document, stage.evidence.starts(one.rid), verdicts)
    verdicts.requests += len(found)


def _let_live(server: Process, crowd: _Crowd) -> None:
    """Until a moment that nobody knows: mostly while it accepts, now and then while it starts."""
    crowd.heard.clear()
    if random.random() < 0.2:
        crowd.heard.wait(random.uniform(0, START_SECONDS))
    elif not crowd.heard.wait(PATIENCE_SECONDS):
        raise StageError(f"the server accepts nothing. Its log:\n{server.log()}")
    else:
        threading.Event().wait(random.uniform(0, LIFE_SECONDS))


def _check_outcome(
    client: Client, one: _Acknowledged, found: dict[_Acknowledged, dict[str, Any]], verdicts: _Verdicts
) -> None:
    document = client.until_final(one.rid)
    if document is None:
        verdicts.fail("there", one, "is not there")
        return
    found[one] = document
    status = document["status_name"]
    if status == "finished":
        result = client.result(one.rid)
        if result.status != 200 or result.body != b"".join(answer(one.rid, int(document["attempt"]), PATH)):
            verdicts.fail("kept", one, f"is served as {result}")
    elif status not in FINAL:
        verdicts.fail("final", one, f"is still {status}")
    elif not _may_be(status, one, client):
        verdicts.fail("final", one, f"is {status}: {client.details(one.rid)}")


def _may_be(status: str, one: _Acknowledged, client: Client) -> bool:
    """Whether it may have no answer, for the reason that it gives."""
    if one.method == "POST":
        return status == "lost"
    return status == "failed" and any("2 workers died" in text for text in client.details(one.rid))


def _check_starts(one: _Acknowledged, document: dict[str, Any], starts: list[int], verdicts: _Verdicts) -> None:
    if len(starts) > MOST_STARTS[one.method] or len(set(starts)) < len(starts):
        verdicts.fail("starts", one, f"was started as {starts}")
    elif document["status_name"] == "finished" and int(document["attempt"]) not in starts:
        verdicts.fail("starts", one, f"finished as attempt {document['attempt']}, and was started as {starts}")
