"""What a test and the application it calls share: gates where the application stops, and what the application saw.

Nothing sleeps: a test waits until the application stands at a gate, looks at what it came to look at, and opens it.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

WAIT_SECONDS = 60.0


class Gate:
    """One point in the application's work. Once open it stays open."""

    def __init__(self) -> None:
        self._entered: Future[None] = Future()
        self._opened: Future[None] = Future()
        self._lock = threading.Lock()

    def wait_until_reached(self) -> None:
        """For the test: until the application stands here."""
        self._entered.result(WAIT_SECONDS)

    def open(self) -> None:
        """For the test: let the application go on. Idempotent."""
        _set(self._opened, self._lock)

    def pass_through(self) -> None:
        """For a WSGI application: wait until it is open."""
        _set(self._entered, self._lock)
        self._opened.result(WAIT_SECONDS)

    async def pass_through_async(self) -> None:
        """For an ASGI application."""
        _set(self._entered, self._lock)
        # Shielded, because a cancelled future would be cancelled for everybody.
        await asyncio.shield(asyncio.wrap_future(self._opened))


def _set(future: Future[None], lock: threading.Lock) -> None:
    with lock:
        if not future.done():
            future.set_result(None)


class Stage:
    """All gates of one application by their names, and a list of what it saw."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()
        self._over = False
        self.seen: list[str] = []

    def gate(self, name: str) -> Gate:
        with self._lock:
            gate = self._gates.setdefault(name, Gate())
        if self._over:
            gate.open()
        return gate

    def open_all(self) -> None:
        """Let everybody go, from now on: the end of a test."""
        self._over = True
        with self._lock:
            gates = list(self._gates.values())
        for gate in gates:
            gate.open()
