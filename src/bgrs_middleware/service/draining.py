"""How long a process that stops waits for what runs in it: the limits count from the first word of it, once for all.

A signal, the lifespan and a worker's own end may all ask for the drain, in any order and from any thread: each of them
waits for the same end. A second signal ends all of these waits at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..pending import Pending
from ..waiting import Waiting


class Drain:
    """The drain of one process.

    Parameters:
        waiting: keeps the time.
        is_idle: whether nothing runs, and nothing is about to.
    """

    def __init__(self, waiting: Waiting, is_idle: Callable[[], bool]) -> None:
        self._waiting = waiting
        self._is_idle = is_idle
        self._until: float | None = None
        self._hurried = False
        self._waits: list[Pending[bool]] = []

    @property
    def has_begun(self) -> bool:
        """Whether nothing new may be claimed."""
        return self._until is not None

    def begin(self, seconds: float) -> None:
        """What runs has so many seconds from now; later calls change nothing. From any thread."""
        if self._until is None:
            self._until = time.monotonic() + seconds

    def hurry(self) -> None:
        """Wait no longer. From any thread."""
        self._hurried = True
        self._end_waits(all_ended=False)

    def look(self) -> None:
        """Something has ended; perhaps it was the last. From any thread."""
        if self._waits and self._is_idle():
            self._end_waits(all_ended=True)

    async def all_ended(self, more_seconds: float = 0.0) -> bool:
        """Wait until nothing runs any more; False when the time is up, or so many seconds after that."""
        assert self._until is not None, "it has begun"
        wait: Pending[bool] = Pending()
        self._waits.append(wait)
        # Looked at after it was added: either we see the last one's end, or that one's end sees us.
        if self._is_idle():
            return True
        if self._hurried:
            return False
        self._waiting.pause(max(0.0, self._until + more_seconds - time.monotonic())).then(lambda _: wait.set(False))
        return await wait

    def _end_waits(self, *, all_ended: bool) -> None:
        for wait in list(self._waits):
            wait.set(all_ended)
