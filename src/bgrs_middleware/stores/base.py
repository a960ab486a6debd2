"""The interface of a store: where records and details live.

A store is used by one process at a time through two threads: the ledger's, which writes through `transaction()`, and
the reader's, which calls the reading methods. Any number of processes may share the data behind it. It is opened in
the process that uses it, never before a fork.

All writing verbs of one `Transaction` are committed together, durably (flushed to disk before `transaction()` returns
without an error), or none of them is. Each verb takes a sequence of orders and returns one outcome per order, in the
same order, so that a store can write many rows with one statement. Times are passed in; the only clock of a store is
`lease_now()`, which all who share its data read alike.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..advice import Advice
from ..models import Captured, Detail, ListQuery, OperationsPage, OperationsQuery, Record, Status
from ..orders import (
    Add,
    AddBatch,
    Added,
    Cancel,
    Changed,
    Claim,
    Claimed,
    Delete,
    Existing,
    Expire,
    Finish,
    Note,
    Release,
    Renew,
    Report,
    Retry,
)

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Seconds since this host's start: a clock that nobody can set, and that runs on while the host sleeps."""
    return time.clock_gettime(_BOOT_CLOCK)


class Transaction(ABC):
    """The writing verbs. Valid only inside the `with` block of `Store.transaction()`.

    At the end of that block, before the commit, the store settles each batch whose items were changed in a way that
    matters to it (`settling.py`): its progress, and whether it has ended or runs again.
    """

    settled: Collection[str] = ()
    """The rids of the batches that were changed so. To be read after the block."""

    def expect(self, rids: Sequence[str]) -> None:  # noqa: B027  # most stores need not know
        """Be told, before any verb, of all requests that the verbs to come are about, where there are several verbs.

        A store whose rows processes lock can then lock them all in one order, so that no two wait for each other.
        """

    @abstractmethod
    def add(self, orders: Sequence[Add]) -> Sequence[Added | Existing]:
        """Insert new records as QUEUED with the next `id`s, unless a queue limit is reached.

        Limits count what is QUEUED at this moment, the orders before this one in the same call included.

        An order with a key (`idempotency`) is inserted only if no record has it, nor one of its former keys, in one
        step: of all who add the same key at the same time, in however many processes, one does. Who does not is told
        of the record that has it, also where the queue is full. Orders without keys get `id`s in their order; where
        some have one, a store may choose another order for the call.
        """

    @abstractmethod
    def add_batch(self, orders: Sequence[AddBatch]) -> Sequence[Added | Existing]:
        """Insert a batch as RUNNING, held by no worker, and its items as QUEUED, or nothing where a limit is reached.

        Limits count as for `add`. Items of one batch are one where what a caller has in the queue is counted.
        """

    @abstractmethod
    def claim(self, orders: Sequence[Claim]) -> Sequence[Sequence[Claimed]]:
        """QUEUED → RUNNING for the oldest (lowest `id`) requests; no request is ever given to two workers.

        Sets `worker`, `lease_until`, `started_at` and `updated_at` to the order's, `attempt` to one more, and clears
        `progress`, `message` and `items` of an earlier attempt.
        """

    @abstractmethod
    def renew(self, orders: Sequence[Renew]) -> Sequence[Status | None]:
        """Move `lease_until`, where `worker` holds the request (RUNNING or CANCELLING).

        Returns its status (CANCELLING tells the worker to stop), or None where the worker holds it no longer.
        """

    @abstractmethod
    def report(self, orders: Sequence[Report]) -> Sequence[bool]:
        """Record progress, message and items, where `worker` holds the request. False where it does not."""

    @abstractmethod
    def note(self, orders: Sequence[Note]) -> None:
        """Append details, with ids that count up within the store in the order given.

        A note on a request that does not exist is dropped.
        """

    @abstractmethod
    def finish(self, orders: Sequence[Finish]) -> Sequence[Changed]:
        """RUNNING or CANCELLING → the final status, where `worker` holds the request by that lease.

        Records the captured response, clears `worker` and `lease_until`, wipes the sealed request and its body name
        unless `keep_request`, appends `notes` as details.
        """

    @abstractmethod
    def release(self, orders: Sequence[Release]) -> Sequence[Changed]:
        """RUNNING or CANCELLING → the order's status, where `worker` holds the request by that lease.

        QUEUED sets `queued_at`, and means CANCELLED where cancellation was asked for; a final status sets
        `finished_at` and keeps the sealed request for a retry.
        """

    @abstractmethod
    def cancel(self, orders: Sequence[Cancel]) -> Sequence[Changed]:
        """QUEUED → CANCELLED (the sealed request is kept for a retry), RUNNING → CANCELLING. `done` where it changed.

        A QUEUED one also gets the detail "cancelled". Of a batch that has not ended, the same is done to each item.
        """

    @abstractmethod
    def retry(self, orders: Sequence[Retry]) -> Sequence[Changed]:
        """FAILED, LOST or CANCELLED → QUEUED, where the sealed request is still kept.

        Sets `queued_at`; clears `started_at`, `finished_at`, `progress`, `message`, `items`, `deaths` and the captured
        response. Keeps `attempt`. Appends the detail "queued again".
        """

    @abstractmethod
    def delete(self, orders: Sequence[Delete]) -> Sequence[Changed]:
        """Remove record and details of a request that is QUEUED or final. RUNNING and CANCELLING are left alone.

        With `finished_at`, only while the record says that it ended at exactly that time. Of a batch, the items' too.
        """

    @abstractmethod
    def expire(self, orders: Sequence[Expire]) -> Sequence[Sequence[Record]]:
        """QUEUED with `queued_at` before the order's → EXPIRED, sealed request wiped; returns them as they were.

        Each gets the order's note as a detail.
        """

    @abstractmethod
    def wipe_requests(self, rids: Sequence[str]) -> Sequence[Changed]:
        """Remove the sealed requests of final records; nothing else of them changes."""

    @abstractmethod
    def probe(self, orders: Sequence[float]) -> None:
        """Write something that leaves no trace, so that the commit shows whether the store takes anything just now.

        The orders are the times at which it was asked for; all of them together are one write.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How much there is to do: how many requests are QUEUED, since when the one that waits longest, how many run.

    A batch is none of them: its items are.
    """

    queued: int
    oldest_queued_at: float | None
    running: int


class Store(ABC):
    """Where records and details live. See the module's text for threads, processes and durability."""

    shared_between_processes: bool = True
    """Whether several processes see the same data. Where False, several workers on it are refused."""

    def lease_now(self) -> float:
        """The time in the clock that leases are measured with, in seconds; `lease_until` is in this clock alone.

        Nobody can set it: this is the host's clock since its start, which runs on while the host sleeps. A store that
        several hosts share has the server's clock instead. Answers at once, and never raises.
        """
        return boot_seconds()

    def identity(self) -> str | None:
        """What tells these data from those of every other store, for as long as they exist. Of an opened store.

        None where there is no such thing: then bodies that no record names are left where they are.
        """
        return None

    def advice(self) -> Sequence[Advice]:
        """What is not as safe as it could be where these data live. Of an opened store; from any thread.

        Raises:
            StorageError: nobody can tell just now.
        """
        return ()

    @abstractmethod
    def open(self) -> None:
        """Make it ready: create or upgrade what is missing.

        Raises:
            StoreUnavailable: it cannot be reached or written just now; calling again later may succeed.
            SchemaError: the data are of a newer version, or cannot be upgraded.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back connections and threads. Idempotent; a closed store may be opened again."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction, committed and flushed when its block ends, rolled back where it raises.

        Raises:
            StoreUnavailable: nothing of it was committed.
            StoreDataError: a value was refused; nothing of it was committed.
        """

    @abstractmethod
    def get(self, rids: Sequence[str]) -> Mapping[str, Record]:
        """The records of these rids; an unknown rid is missing from the answer. One query."""

    @abstractmethod
    def with_items(self, rid: str) -> Sequence[Record]:
        """The record of a rid, and after it, where it is a batch, its items by `id`; nothing where there is none.

        All of one moment, by one query: what the batch says of itself fits what its items say.
        """

    @abstractmethod
    def captured(self, rids: Sequence[str]) -> Mapping[str, Captured]:
        """The captured responses of these rids, where there is one. One query."""

    @abstractmethod
    def details(self, rid: str, after_id: int, limit: int) -> Sequence[Detail]:
        """Details with an id above `after_id`, oldest first, at most `limit`."""

    @abstractmethod
    def list(self, query: ListQuery) -> Sequence[Record]:
        """One page of an owner's records, highest `id` first."""

    @abstractmethod
    def operations(self, query: OperationsQuery) -> OperationsPage:
        """One page of the operations of a caller, highest `id` first: those of this parent that meet the condition.

        Looks at the newest `scan_limit` records of each owner below `before_id` and at no others, so a page takes no
        longer the more records there are. Whoever follows `before_id` to the end has seen each record once.
        """

    @abstractmethod
    def count_queued(self) -> int:
        """How many requests are QUEUED."""

    @abstractmethod
    def backlog(self) -> Backlog:
        """How much is QUEUED and since when, and how much a worker holds. Of one moment, by one query."""

    @abstractmethod
    def abandoned(self, lease_before: float, after_id: int, limit: int) -> Sequence[Record]:
        """RUNNING and CANCELLING records whose lease ended before the given time, by `id`, above `after_id`."""

    @abstractmethod
    def wipeable(self, finished_before: float, limit: int) -> Sequence[Record]:
        """Final records that ended before the given time and whose sealed request is still kept, oldest end first."""

    @abstractmethod
    def outdated(self, now: float, limit: int) -> Sequence[Record]:
        """Final records that ended more than their own `retention_days` before `now`, longest over their time first.

        No items of a batch that is still there: they go with it.
        """

    @abstractmethod
    def ended(self, finished_before: float, after_id: int, limit: int) -> Sequence[Record]:
        """Final records that ended before the given time, by `id`, above `after_id`; no items, as for `outdated`.

        May look at every record: for a command that somebody gives, not for what a server does again and again.
        """
