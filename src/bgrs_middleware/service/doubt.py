"""What to do when a connection breaks in the middle of a commit, so that nobody knows whether it was made.

An acceptance is made sure of: the client must not be told that nothing was recorded while the request runs. A claim is
undone: what it may have given to this worker was never started here, and goes back to the queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import CommitInDoubt, StoreDataError, StoreUnavailable
from ..ledger import Ledger
from ..models import Record, Status
from ..orders import Add, AddBatch, Added, Existing, Release
from ..pending import Pending
from ..reader import Reader
from ..waiting import Waiting

ACCEPT_SECONDS = 10.0
"""How long a client is kept waiting for a store that may or may not have its request."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
PAGE_SIZE = 500
ANY_LEASE = float("inf")
GIVEN_BACK_NOTE = "handed back before it was started: the store's answer to the claim was lost"


def sent(order: Add | AddBatch, ledger: Ledger) -> Pending[Added | Existing]:
    """Record a request or a batch. A `CommitInDoubt` that comes of it is `made_sure` of."""
    return ledger.add_batch(order) if isinstance(order, AddBatch) else ledger.add(order)


async def made_sure(
    order: Add | AddBatch, doubt: CommitInDoubt, *, ledger: Ledger, reader: Reader, waiting: Waiting
) -> Added | Existing:
    """Look whether the commit of a request or a batch was made that is in doubt, and record it again where it was not.

    No two records have one rid, nor one key: a commit that is still on its way and ours cannot both be made. Where the
    order has a key, recording it again may find what the first commit made, under the order's own rid.

    Raises:
        CommitInDoubt: the doubt itself: the store did not come back within `ACCEPT_SECONDS`.
        StorageError: nothing was recorded.
    """
    deadline, pause_seconds = time.monotonic() + ACCEPT_SECONDS, FIRST_PAUSE_SECONDS
    while time.monotonic() < deadline and not waiting.closed:
        await waiting.pause(pause_seconds)
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        try:
            if await reader.get(order.rid) is not None:
                return Added.ADDED
            return await sent(order, ledger)
        except (StoreUnavailable, StoreDataError):
            # A refused value is that of the rid: the first commit was made in between, and the next look finds it.
            continue
    raise doubt


class DoubtfulClaims:
    """Claims whose answer did not come. Until they are settled, this process claims nothing.

    Parameters:
        worker: this process's token.
        waiting: knows whether the process ends.
        holds: whether a record tells of a run of this process.
        claims_are_out: whether claims are on their way.
    """

    def __init__(
        self,
        *,
        worker: str,
        ledger: Ledger,
        reader: Reader,
        waiting: Waiting,
        holds: Callable[[Record], bool],
        claims_are_out: Callable[[], bool],
    ) -> None:
        self._worker = worker
        self._ledger = ledger
        self._reader = reader
        self._waiting = waiting
        self._holds = holds
        self._claims_are_out = claims_are_out
        self.exist = False
        """Whether there are any."""

    def settle(self) -> None:
        """Hand back what the store says that this worker holds, and it does not. Blocking; called every second or so.

        Raises:
            StorageError: not now; the next call tries again.
        """
        # Those that are out left before the doubt: what they bring is not among what runs yet.
        if not self.exist or self._claims_are_out():
            return
        after_id = 0
        while page := self._page(after_id):
            unknown = [record for record in page if record.worker == self._worker and not self._holds(record)]
            # A process that ends gives up what it could not write: that was started, and is no longer held.
            if self._waiting.closed:
                return
            for pending in [self._ledger.release(self._order(record)) for record in unknown]:
                pending.wait()
            after_id = page[-1].id
        self.exist = False

    def _page(self, after_id: int) -> list[Record]:
        return list(self._reader.query(lambda store: store.abandoned(ANY_LEASE, after_id, PAGE_SIZE)).wait())

    def _order(self, record: Record) -> Release:
        return Release(
            rid=record.rid,
            worker=self._worker,
            attempt=record.attempt,
            status=Status.QUEUED,
            now=time.time(),
            died=False,
            note=GIVEN_BACK_NOTE,
            lease_until=record.lease_until,
        )
