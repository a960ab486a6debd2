"""A thread that takes all that is waiting and handles it at once: the engine of the ledger and of the reader.

While one batch is being handled the next one gathers by itself, so the batch grows with the load and a lone job hardly
waits. What an event loop puts in is handed over together, after the first of its turns that brought no more: a thread
that woke with the first job would wrestle with the busy loop for the interpreter, which cost both of them a third of
their speed, and would let the others wait for the flush of a few (measured). The thread starts with the first job,
never in a constructor, and belongs to the process that started it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

J = TypeVar("J")

GATHER_SECONDS = 0.005
"""How long a loop's jobs may gather while each of its turns brings more. To flush a file takes about as long."""


class Batcher(Generic[J]):
    """Hands batches of jobs to `handle`, one batch at a time, in the order the jobs came.

    Parameters:
        name: the thread's name.
        handle: called with at least one and at most `max_jobs` jobs; must not raise.
        max_jobs: how many jobs one batch may have.
    """

    def __init__(self, name: str, handle: Callable[[list[J]], None], *, max_jobs: int = 512) -> None:
        self._name = name
        self._handle = handle
        self._max_jobs = max_jobs
        self._jobs: list[J] = []
        self._calls: SimpleQueue[bool] = SimpleQueue()
        """One for each time that the thread is to look; False for the last time."""
        self._called = False
        self._calling: asyncio.AbstractEventLoop | None = None
        """The loop that will call when a turn of it has brought no more."""
        self._calling_thread = 0
        self._gathered = 0
        """How many jobs waited at the end of that loop's last turn."""
        self._gather_until = 0.0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def put(self, job: J) -> bool:
        """Add a job, from any thread. False after `close()`: the job will not be handled."""
        with self._lock:
            if self._closed:
                return False
            self._jobs.append(job)
            if not self._called:
                self._arrange_call()
            return True

    def close(self, timeout_seconds: float | None = None) -> None:
        """Handle what is waiting, then end the thread. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if self._jobs:
                    self._start()
                self._calls.put(False)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def _arrange_call(self) -> None:
        # A loop that ended before it called is forgotten: the next job, from wherever, arranges a call of its own.
        thread = threading.get_ident()
        if thread == self._calling_thread and self._calling is not None and self._calling.is_running():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._call()
            return
        self._calling, self._calling_thread = loop, thread
        self._gathered, self._gather_until = 0, time.monotonic() + GATHER_SECONDS
        loop.call_soon(self._end_of_turn, loop)

    def _end_of_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            must_call = self._jobs and not self._called and not self._closed
            if must_call and len(self._jobs) > self._gathered and time.monotonic() < self._gather_until:
                self._gathered = len(self._jobs)
                loop.call_soon(self._end_of_turn, loop)
                return
            self._calling = None
            if must_call:
                self._call()

    def _call(self) -> None:
        self._start()
        self._called = True
        self._calls.put(True)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            goes_on = self._calls.get()
            jobs = self._take()
            while jobs:
                self._handle(jobs)
                jobs = self._take() if len(jobs) == self._max_jobs else []

    def _take(self) -> list[J]:
        with self._lock:
            self._called = False
            jobs = self._jobs
            self._jobs = jobs[self._max_jobs :]
            del jobs[self._max_jobs :]
            return jobs
