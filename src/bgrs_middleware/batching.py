"""A thread that takes all that is waiting and handles it at once: the engine of the ledger and of the reader.

While one batch is being handled the next one gathers by itself, so the batch grows with the load and a lone job never
waits. The thread starts with the first job, never in a constructor, and belongs to the process that started it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

J = TypeVar("J")


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
        self._queue: SimpleQueue[J | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def put(self, job: J) -> bool:
        """Add a job, from any thread. False after `close()`: the job will not be handled."""
        with self._lock:
            if self._closed:
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._queue.put(job)
            return True

    def close(self, timeout_seconds: float | None = None) -> None:
        """Handle what is waiting, then end the thread. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            jobs: list[J] = []
            while job is not None:
                jobs.append(job)
                if len(jobs) == self._max_jobs:
                    break
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            if jobs:
                self._handle(jobs)
            if job is None:
                return
