"""Waiting for a change: long-polls, and anything else that must be woken or time out.

A change made in this process wakes its waiters at once. For requests that run elsewhere, one query per process and
quarter second asks for all of them together. One thread does the asking and keeps the deadlines; it starts with the
first waiter. Deadlines are on the monotonic clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from .errors import StorageError
from .models import Record
from .pending import Pending, deliver

POLL_SECONDS = 0.25

logger = logging.getLogger("bgrs_middleware.waiting")


class Waiter:
    """Someone who waits for changes of one request. Made before the record is read, so that no change is missed."""

    __slots__ = ("_waiting", "deadline", "pending", "rid", "seen", "woken")

    def __init__(self, waiting: Waiting, rid: str, deadline: float) -> None:
        self._waiting = waiting
        self.rid = rid
        self.deadline = deadline
        self.pending: Pending[bool] | None = None
        self.seen: Record | None = None
        self.woken = False

    def change(self, seen: Record | None) -> Pending[bool]:
        """True when the request is no longer as it was `seen`; False when the deadline has passed."""
        return self._waiting._change(self, seen)

    def close(self) -> None:
        """Wait no longer. Idempotent."""
        self._waiting._leave(self)


class Waiting:
    """All waiters of one process.

    Parameters:
        read: asks for records, blocking; called from the waiting thread only.
        max_waiters: how many may wait at a time.
    """

    def __init__(self, read: Callable[[Sequence[str]], Mapping[str, Record]], max_waiters: int) -> None:
        self._read = read
        self._max_waiters = max_waiters
        self._waiters: dict[str, list[Waiter]] = {}
        self._count = 0
        self._timers: list[tuple[float, Pending[bool]]] = []
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0
        self._lets_wait = True
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the process is shutting down, so that nobody waits any more."""
        return self._closed

    def waiter(self, rid: str, wait_seconds: float) -> Waiter | None:
        """Register a waiter, or None where too many wait already: then the answer is given at once."""
        with self._condition:
            if self._count >= self._max_waiters or not self._lets_wait:
                return None
            waiter = Waiter(self, rid, time.monotonic() + wait_seconds)
            self._waiters.setdefault(rid, []).append(waiter)
            self._count += 1
            return waiter

    def pause(self, seconds: float) -> Pending[bool]:
        """False, after so many seconds; earlier when the process shuts down."""
        pending: Pending[bool] = Pending()
        with self._condition:
            if not self._closed:
                deadline = time.monotonic() + seconds
                self._timers.append((deadline, pending))
                self._keep_time(deadline)
                return pending
        return Pending.of(False)

    def changed(self, rids: Collection[str]) -> None:
        """Wake who waits for these requests. From any thread."""
        with self._condition:
            pendings = []
            for waiter in [waiter for rid in rids for waiter in self._waiters.get(rid, ())]:
                if waiter.pending is None:
                    waiter.woken = True
                else:
                    pendings.append(waiter.pending)
                    waiter.pending = None
        deliver((pending, True, None) for pending in pendings)

    def let_go(self) -> None:
        """The server stops: who waits for a request is told that its time is up, and nobody waits for one any more."""
        with self._condition:
            pendings = self._release_waiters()
        deliver((pending, False, None) for pending in pendings)

    def close(self) -> None:
        """Let everybody go, pauses too. Nobody waits any more after it."""
        with self._condition:
            self._closed = True
            pendings = self._release_waiters()
            pendings += [pending for _, pending in self._timers]
            self._timers.clear()
            self._condition.notify()
        deliver((pending, False, None) for pending in pendings)

    def _release_waiters(self) -> list[Pending[bool]]:
        self._lets_wait = False
        waiters = [waiter for of_one in self._waiters.values() for waiter in of_one]
        return [waiter.pending for waiter in waiters if waiter.pending is not None]

    def _change(self, waiter: Waiter, seen: Record | None) -> Pending[bool]:
        with self._condition:
            if waiter.woken:
                waiter.woken = False
                return Pending.of(True)
            if not self._lets_wait or time.monotonic() >= waiter.deadline:
                return Pending.of(False)
            waiter.seen = seen
            waiter.pending = Pending()
            self._keep_time(waiter.deadline)
            return waiter.pending

    def _leave(self, waiter: Waiter) -> None:
        with self._condition:
            others = self._waiters.get(waiter.rid)
            if others is not None and waiter in others:
                others.remove(waiter)
                self._count -= 1
                if not others:
                    del self._waiters[waiter.rid]

    def _keep_time(self, deadline: float) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bgrs-waiting", daemon=True)
            self._thread.start()
        elif deadline < self._wakes_at:
            self._condition.notify()

    def _run(self) -> None:
        next_poll = time.monotonic() + POLL_SECONDS
        while True:
            with self._condition:
                if self._closed:
                    return
                self._sleep(next_poll)
                now = time.monotonic()
                late = self._take_late(now)
                rids = list(self._waiters) if now >= next_poll else []
            deliver((pending, False, None) for pending in late)
            if now >= next_poll:
                self._poll(rids)
                next_poll = time.monotonic() + POLL_SECONDS

    def _sleep(self, next_poll: float) -> None:
        deadlines = [waiter.deadline for waiters in self._waiters.values() for waiter in waiters if waiter.pending]
        deadlines += [deadline for deadline, _ in self._timers]
        if self._waiters:
            deadlines.append(next_poll)
        self._wakes_at = min(deadlines, default=float("inf"))
        self._condition.wait(None if not deadlines else max(0.0, self._wakes_at - time.monotonic()))

    def _take_late(self, now: float) -> list[Pending[bool]]:
        late: list[Pending[bool]] = []
        for waiters in self._waiters.values():
            for waiter in waiters:
                if waiter.pending is not None and waiter.deadline <= now:
                    late.append(waiter.pending)
                    waiter.pending = None
        late += [pending for deadline, pending in self._timers if deadline <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        return late

    def _poll(self, rids: list[str]) -> None:
        if not rids:
            return
        try:
            records = self._read(rids)
        except StorageError as error:
            logger.warning("Waiting requests could not be looked up; trying again: %s", error)
            return
        with self._condition:
            pendings = []
            for rid in rids:
                for waiter in self._waiters.get(rid, ()):
                    if waiter.pending is not None and _differs(records.get(rid), waiter.seen):
                        pendings.append(waiter.pending)
                        waiter.pending = None
        deliver((pending, True, None) for pending in pendings)


def _differs(now: Record | None, seen: Record | None) -> bool:
    if now is None or seen is None:
        return now is not seen
    return now.status != seen.status or now.updated_at != seen.updated_at
