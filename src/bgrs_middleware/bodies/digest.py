"""SHA-256 of a response as it comes, computed beside its writing.

Hashing is as slow as writing to a good disk, so a long body is hashed in a thread of its own; `hashlib` lets go of the
interpreter meanwhile. Short bodies never start a thread. Nothing here blocks but `catch_up` and `hexdigest`: who gives
more while it `is_behind` decides how to wait, because an event loop must not.
"""

from __future__ import annotations

import hashlib
import queue
import threading

INLINE_BYTES = 4 * 1024 * 1024
"""Up to here the caller hashes itself: 64 KiB take 40 microseconds, less than waking a thread now and then costs."""

BATCH_BYTES = 1024 * 1024
MOST_WAITING_BYTES = 8 * 1024 * 1024
"""Enough for the thread to work on while an event loop sleeps for a millisecond or two."""

_Batch = list["bytes | memoryview"]


class Digest:
    """The SHA-256 of what is given to `update`, by one thread at a time. Ends with `hexdigest()` or `abandon()`.

    What is given must not change afterwards: it may be hashed later.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._length = 0
        self._batch: _Batch = []
        self._batch_length = 0
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hashed = 0
        self._progress = threading.Condition()

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be hashed that nothing more should be given just now."""
        return self._thread is not None and self._length - self._hashed > MOST_WAITING_BYTES

    def update(self, data: bytes | memoryview) -> None:
        """Append."""
        self._length += len(data)
        if self._length <= INLINE_BYTES:
            self._hash.update(data)
            self._hashed = self._length
            return
        self._batch.append(data)
        self._batch_length += len(data)
        if self._batch_length >= BATCH_BYTES:
            self._hand_over()

    def catch_up(self) -> None:
        """Wait until it is behind no longer."""
        with self._progress:
            self._progress.wait_for(lambda: not self.is_behind)

    def hexdigest(self) -> str:
        """The digest of everything; waits until it is computed."""
        if self._batch:
            self._hand_over()
        self.abandon()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Let the thread end. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._batches.put(None)
            thread.join()

    def _hand_over(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="bgrs-sha256", daemon=True)
            self._thread.start()
        self._batches.put(self._batch)
        self._batch, self._batch_length = [], 0

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            # In one piece: to get the interpreter back after every 64 KiB takes longer than to hash them.
            whole = b"".join(batch)
            self._hash.update(whole)
            with self._progress:
                self._hashed += len(whole)
                self._progress.notify_all()
