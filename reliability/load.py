"""Clients that go on asking, whatever becomes of the server, and keep what each of them was answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

from .client import Answer, Client, NoAnswer

METHODS = ("POST", "GET")
BREATH_SECONDS = 0.01
"""After a refusal, or none: a server that is away is not asked ten thousand times a second."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was acknowledged, and when, on the monotonic clock."""

    rid: str
    method: str
    at: float


@dataclass(slots=True)
class Heard:
    """What clients were answered; each kind of answer by what it said."""

    acknowledged: list[Asked] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers other than 202, "503 why"."""
    unanswered: int = 0
    asked: int = 0


class Load:
    """A load of requests in the background.

    Parameters:
        client: makes one, with a connection of its own.
        clients: how many ask at a time.
        path: what for.
        per_second: how many altogether, about. None: as many as are answered.
    """

    def __init__(
        self, client: Callable[[], Client], clients: int, path: str = "/quick", *, per_second: float | None = None
    ) -> None:
        self._client = client
        self._clients = clients
        self._path = path
        self._pause_seconds = 0.0 if per_second is None else clients / per_second
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.heard = Heard()

    @contextmanager
    def running(self, after_each: Callable[[Client, Asked], None] | None = None) -> Iterator[Heard]:
        """They ask during the block; at its end each waits for its last answer.

        Parameters:
            after_each: what a client does with what was acknowledged, before it asks again.
        """
        with ThreadPoolExecutor(self._clients) as threads:
            running = [threads.submit(self._ask_on, number, after_each) for number in range(self._clients)]
            try:
                yield self.heard
            finally:
                self._stopped.set()
        for each in running:
            each.result()

    def _ask_on(self, number: int, after_each: Callable[[Client, Asked], None] | None) -> None:
        methods: Sequence[str] = METHODS if number % 2 else METHODS[::-1]
        with self._client() as client:
            due = time.monotonic()
            for method in cycle(methods):
                due = max(due + self._pause_seconds, time.monotonic() - 1.0)
                if self._stopped.wait(max(0.0, due - time.monotonic()) if self._pause_seconds else 0.0):
                    return
                try:
                    asked = self._ask(client, method)
                    if asked is not None and after_each is not None:
                        after_each(client, asked)
                except NoAnswer:
                    with self._lock:
                        self.heard.unanswered += 1
                    self._stopped.wait(BREATH_SECONDS)

    def _ask(self, client: Client, method: str) -> Asked | None:
        with self._lock:
            self.heard.asked += 1
        answer = client.call(method, f"{self._path}?bgrs=yes")
        if answer.status == 202:
            asked = Asked(answer.json()["request"], method, time.monotonic())
            with self._lock:
                self.heard.acknowledged.append(asked)
            return asked
        with self._lock:
            self.heard.refused[told(answer)] += 1
        self._stopped.wait(BREATH_SECONDS)
        return None


def told(answer: Answer) -> str:
    """The status of an answer, and why, where it says so in a problem document."""
    if answer.headers.get("content-type", "") != "application/problem+json":
        return f"{answer.status} {answer.body[:200]!r}"
    return f"{answer.status} {answer.json()['detail']}"
