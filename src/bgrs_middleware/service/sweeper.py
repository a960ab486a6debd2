"""Finds requests whose worker has died, and decides what becomes of them.

Every process sweeps. On the same host a death is seen at the next look through the worker's lock; any other death when
its lease is over. Each decision is one conditional write, so any number of sweepers may come to it at once, and one
that dies itself leaves nothing half-done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from ..executors.base import Executor
from ..ledger import Ledger
from ..models import Changed, Record, Release, Status
from ..pending import Pending
from ..reader import Reader
from ..settings import Settings
from ..stores.base import Store
from .outcome import may_start_again
from .presence import Presence

MAX_DEATHS = 2
PAGE_SIZE = 500
ANY_LEASE = float("inf")
LONGEST_LEASES = 10
"""No lease can end later than one lease from now. One that is this many leases off was given before the host's clock
began anew."""

logger = logging.getLogger("bgrs_middleware.sweeper")


def verdict(record: Record) -> tuple[Status, str]:
    """What becomes of a request whose worker died while it held it, and the detail that says why."""
    if record.status is Status.CANCELLING:
        return Status.CANCELLED, "cancelled: its worker died while the work was being stopped"
    if record.deaths + 1 >= MAX_DEATHS:
        return Status.FAILED, f"failed: {MAX_DEATHS} workers died while they ran it"
    if may_start_again(record):
        return Status.QUEUED, "queued again: its worker died while it ran"
    return Status.LOST, "lost: its worker died while it ran, and it is not safe to run again"


class Sweeper:
    """The sweeper of one process.

    Parameters:
        settings: `lease_seconds`, `sweep_seconds`.
        runs_here: whether a request runs in this process; then its heartbeat looks after it.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        ledger: Ledger,
        reader: Reader,
        executor: Executor,
        presence: Presence,
        runs_here: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._store = store
        self._ledger = ledger
        self._reader = reader
        self._executor = executor
        self._presence = presence
        self._runs_here = runs_here
        self._next_sweep = 0.0

    def look(self) -> None:
        """See who has died on this host, and sweep when it is time. Blocking; called every second or so.

        Raises:
            StorageError: the store cannot be read or written now; the next look does what this one could not.
        """
        with self._presence.dead() as tokens:
            if tokens:
                self._settle(lambda record: record.worker in tokens)
                for token in tokens:
                    self._presence.forget(token)
        if time.monotonic() >= self._next_sweep:
            self.sweep()
            self._next_sweep = time.monotonic() + self._settings.sweep_seconds

    def sweep(self) -> None:
        """Settle every request whose lease is over. Blocking; raises as `look`."""
        now = self._store.lease_now()
        latest = now + LONGEST_LEASES * self._settings.lease_seconds

        def is_over(record: Record) -> bool:
            return record.lease_until is None or record.lease_until < now or record.lease_until > latest

        self._settle(is_over)

    def _settle(self, is_abandoned: Callable[[Record], bool]) -> None:
        queued = False
        for page in self._held():
            abandoned = [record for record in page if is_abandoned(record) and not self._runs_here(record.rid)]
            written = [(record, self._release(record)) for record in abandoned]
            for record, pending in written:
                queued |= self._tell(record, pending.wait())
        if queued:
            self._executor.notify()

    def _held(self) -> Iterator[Sequence[Record]]:
        after_id = 0
        while True:
            page = self._page(after_id)
            yield page
            if len(page) < PAGE_SIZE:
                return
            after_id = page[-1].id

    def _page(self, after_id: int) -> Sequence[Record]:
        return self._reader.query(lambda store: store.abandoned(ANY_LEASE, after_id, PAGE_SIZE)).wait()

    def _release(self, record: Record) -> Pending[Changed]:
        status, note = verdict(record)
        order = Release(
            rid=record.rid,
            worker=record.worker or "",
            status=status,
            now=time.time(),
            died=True,
            note=note,
            lease_until=record.lease_until,
        )
        return self._ledger.release(order)

    def _tell(self, record: Record, changed: Changed) -> bool:
        if not changed.done:
            return False
        status, note = verdict(record)
        logger.warning("Background request %s %s", record.rid, note)
        return status is Status.QUEUED
