"""Who asks far too fast: a token bucket for each caller and request, in this process, for answers that did not wait.

Only a request that has not ended is counted, since asking for one that has is no polling; and whoever lets us hold the
answer asks as rarely as we like. What is kept is one number for each that was asked for lately, for as long as it says
something; where there are too many, the oldest are forgotten.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from ..errors import PollingTooFast
from ..models import Record
from ..protocol.retry_after import retry_after_seconds

BURST_SECONDS = 2.0
"""Someone who has not asked for so long may ask at once as often as they may in this time."""

MAX_ENTRIES = 10_000
"""How many callers and requests are remembered at a time."""

_Key = tuple[str | None, str]


class Polling:
    """Counts polls and refuses those that come too fast. Safe for use from several threads.

    A token bucket as one number for each (the generic cell rate algorithm): the time at which the bucket will be full
    again, which each poll puts off by one interval. It may lie ahead by the burst and no more.

    Parameters:
        max_polls_per_second: of one caller for one request. 0: no limit.
        max_entries: how many are remembered at a time.
        clock: seconds that never step back.
    """

    def __init__(
        self,
        max_polls_per_second: float,
        *,
        max_entries: int = MAX_ENTRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1.0 / max_polls_per_second if max_polls_per_second else 0.0
        self._slack = max(BURST_SECONDS - self._interval, 0.0)
        # After so long without a poll every bucket is full.
        self._memory_seconds = self._slack + self._interval
        self._max_young = max(1, max_entries // 2)
        self._clock = clock
        # Two generations instead of an order of use: it costs less for each poll, and forgets as surely.
        self._young: dict[_Key, float] = {}
        self._old: dict[_Key, float] = {}
        self._born_at = clock()
        self._lock = threading.Lock()

    def check(self, record: Record, identity: str | None, waited_seconds: float = 0.0) -> None:
        """Count a poll that is about to be answered.

        Parameters:
            record: what it is answered from.
            identity: who asks; None for all anonymous callers together.
            waited_seconds: how long the answer could be held. One interval or more costs nothing.

        Raises:
            PollingTooFast: this caller has asked for this request too often just now; `Retry-After` says when to ask
                again. It is not counted.
        """
        if waited_seconds >= self._interval or record.status.is_final:
            return
        key = (identity, record.rid)
        now = self._clock()
        with self._lock:
            full_at = self._young.get(key) or self._old.get(key, now)
            if full_at < now:
                full_at = now
            ahead = full_at - now - self._slack
            if ahead <= 0.0:
                self._young[key] = full_at + self._interval
                if now - self._born_at >= self._memory_seconds or len(self._young) >= self._max_young:
                    self._old, self._young, self._born_at = self._young, {}, now
                return
        raise PollingTooFast(
            "You are asking for this request far too often. Retry-After says when to ask again; with wait_for the"
            " answer comes as soon as there is news.",
            rid=record.rid,
            retry_after_seconds=max(math.ceil(ahead), retry_after_seconds(record, time.time())),
        )

    def __len__(self) -> int:
        """How many are remembered; at most `max_entries`."""
        return len(self._young) + len(self._old)
