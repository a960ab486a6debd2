"""The default executor: replays inside the web process, `concurrency` at a time.

It keeps slots, not requests: a free slot and a hint that something is queued make one claim, for as many requests as
there are free slots. What no slot is free for waits in the store, where any process may claim it.
"""

from __future__ import annotations

import threading

from .base import Executor, Host


class EmbeddedExecutor(Executor):
    """Claims for its own process whenever a slot is free and there may be queued work."""

    def __init__(self) -> None:
        self._host: Host | None = None
        self._lock = threading.Lock()
        self._busy = 0
        self._claiming = 0
        self._more = False
        self._stopped = False

    def start(self, host: Host) -> None:
        self._host = host

    def notify(self, rids: tuple[str, ...] = ()) -> None:
        self._more = True
        self._claim()

    def stop(self) -> None:
        self._stopped = True

    def _claim(self) -> None:
        host = self._host
        with self._lock:
            if host is None or self._stopped or self._claiming or not self._more:
                return
            self._claiming = host.concurrency - self._busy
            if self._claiming <= 0:
                self._claiming = 0
                return
            self._more = False
            wanted = self._claiming
        host.claim_and_run(wanted, self._claimed, self._done)

    def _claimed(self, count: int) -> None:
        with self._lock:
            # As many as were asked for: there may be more where they came from.
            if count == self._claiming:
                self._more = True
            self._busy += count
            self._claiming = 0
        self._claim()

    def _done(self) -> None:
        with self._lock:
            self._busy -= 1
        self._claim()
