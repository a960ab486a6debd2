"""SHA-256 of a response as it comes, without slowing its capture down.

Hashing is as slow as writing to a good disk, so a long body is hashed beside its writing, in a thread of its own;
`hashlib` lets go of the interpreter meanwhile. Short bodies never start a thread. What waits to be hashed is bounded.
"""

from __future__ import annotations

import hashlib
import queue
import threading

INLINE_BYTES = 4 * 1024 * 1024
"""Up to here the caller hashes itself: 64 KiB take 40 microseconds, less than waking a thread now and then costs."""

BATCH_BYTES = 1024 * 1024
WAITING_BATCHES = 4

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
        self._batches: queue.Queue[_Batch | None] | None = None
        self._thread: threading.Thread | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Append. Blocks while the hashing thread is `WAITING_BATCHES` behind: for less than a millisecond."""
        self._length += len(data)
        if self._length <= INLINE_BYTES:
            self._hash.update(data)
            return
        self._batch.append(data)
        self._batch_length += len(data)
        if self._batch_length >= BATCH_BYTES:
            self._hand_over()

    def hexdigest(self) -> str:
        """The digest of everything; waits until it is computed."""
        if self._batch:
            self._hand_over()
        self.abandon()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Let the thread end. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None and self._batches is not None:
            self._batches.put(None)
            thread.join()

    def _hand_over(self) -> None:
        if self._batches is None:
            self._batches = queue.Queue(WAITING_BATCHES)
            self._thread = threading.Thread(target=self._work, args=(self._batches,), name="bgrs-sha256", daemon=True)
            self._thread.start()
        self._batches.put(self._batch)
        self._batch, self._batch_length = [], 0

    def _work(self, batches: queue.Queue[_Batch | None]) -> None:
        while (batch := batches.get()) is not None:
            # In one piece: to get the interpreter back after every 64 KiB takes longer than to hash them.
            self._hash.update(b"".join(batch))
