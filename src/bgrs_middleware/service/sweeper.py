"""Finds requests whose worker has died, and decides what becomes of them.

Every process sweeps. On the same host a death is seen at the next look through the worker's lock; any other death when
its lease is over. A response that its worker had sealed is kept (`sealed.py`). Each decision is one conditional write,
so any number of sweepers may come to it at once, and one that dies itself leaves nothing half-done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import StorageError, StoreDataError
from ..executors.base import Executor
from ..failpoints import ARMED, Failpoint, reach
from ..ledger import Ledger
from ..models import Captured, Record, Status
from ..orders import Changed, Finish, Release
from ..pending import Pending
from ..reader import Reader
from ..settings import Settings
from ..stores.base import Store
from .leases import Leases
from .outcome import may_start_again
from .presence import Presence
from .sealed import SealedResponses

MAX_DEATHS = 2
PAGE_SIZE = 500
ANY_LEASE = float("inf")
KEPT_NOTE = "done: its worker died before it could say so, and left the whole response"
REFUSED_NOTE = "failed: the store refused the response that its worker left"

logger = logging.getLogger("bgrs_middleware.sweeper")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What becomes of one abandoned request, on its way to the store."""

    record: Record
    status: Status
    note: str
    captured: Captured | None
    pending: Pending[Changed]


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
        sealed: finds what dead workers left.
        drop_body: removes a stored body, some time soon.
        runs_here: whether a record tells of a run of this process; then its heartbeat looks after it.
        wall, monotonic: the clocks, beside the store's own one of leases.
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
        sealed: SealedResponses,
        drop_body: Callable[[str], object],
        runs_here: Callable[[Record], bool],
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._leases = Leases(settings, store.lease_now, monotonic)
        self._ledger = ledger
        self._reader = reader
        self._executor = executor
        self._presence = presence
        self._sealed = sealed
        self._drop_body = drop_body
        self._runs_here = runs_here
        self._wall = wall
        self._monotonic = monotonic
        self._next_sweep = float("-inf")

    def look(self) -> None:
        """See who has died on this host, and sweep when it is time. Blocking; called every second or so.

        Raises:
            StorageError: the store cannot be read now; the next look does what this one could not.
        """
        with self._presence.dead() as tokens:
            if tokens and self._settle(lambda record: record.worker in tokens):
                for token in tokens:
                    self._presence.forget(token)
        if self._monotonic() >= self._next_sweep:
            self.sweep()
            self._next_sweep = self._monotonic() + self._settings.sweep_seconds

    def sweep(self) -> None:
        """Settle every request whose lease is over. Blocking; raises as `look`."""
        self._settle(self._leases.is_over)
        # Also where nothing is held: no step of the clock is missed.
        self._leases.can_tell()

    def _settle(self, is_abandoned: Callable[[Record], bool]) -> bool:
        """Decide on what is abandoned. Returns whether all of it was written; one that cannot be stops no other."""
        queued, all_written = False, True
        for page in self._held():
            abandoned = [record for record in page if is_abandoned(record) and not self._runs_here(record)]
            if ARMED and abandoned:
                reach(Failpoint.SWEEP_ABANDONED_READ)
            for decision in [self._decide(record) for record in abandoned]:
                try:
                    queued |= self._carry_out(decision)
                except StorageError as error:
                    logger.warning("What becomes of %s could not be written: %s", decision.record.rid, error)
                    all_written = False
        if queued:
            self._executor.notify()
        return all_written

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

    def _decide(self, record: Record) -> _Decision:
        if ARMED:
            reach(Failpoint.SWEEP_BEFORE_TAKEOVER)
        captured = self._sealed.find(record)
        if captured is None:
            return self._release(record, *verdict(record))
        pending = self._ledger.finish(_finish_order(record, captured, self._wall()))
        return _Decision(record=record, status=Status.FINISHED, note=KEPT_NOTE, captured=captured, pending=pending)

    def _release(self, record: Record, status: Status, note: str) -> _Decision:
        pending = self._ledger.release(_release_order(record, status, note, self._wall()))
        return _Decision(record=record, status=status, note=note, captured=None, pending=pending)

    def _carry_out(self, decision: _Decision) -> bool:
        """Wait for the commit, and clean up after it. Returns whether there is something in the queue now."""
        record = decision.record
        try:
            changed = decision.pending.wait()
        except StoreDataError as error:
            if decision.captured is None:
                raise
            logger.error("The response of %s was refused by the store: %s", record.rid, error)
            return self._carry_out(self._release(record, Status.FAILED, REFUSED_NOTE))
        if not changed.done:
            return False
        logger.warning("Background request %s %s", record.rid, decision.note)
        if decision.captured is None:
            self._sealed.drop(record)
        elif record.request_body_name is not None:
            self._drop_body(record.request_body_name)
        return decision.status is Status.QUEUED


def _finish_order(record: Record, captured: Captured, now: float) -> Finish:
    return Finish(
        rid=record.rid,
        worker=record.worker or "",
        status=Status.FINISHED,
        now=now,
        captured=captured,
        progress=100.0,
        notes=(KEPT_NOTE,),
        lease_until=record.lease_until,
    )


def _release_order(record: Record, status: Status, note: str, now: float) -> Release:
    return Release(
        rid=record.rid,
        worker=record.worker or "",
        status=status,
        now=now,
        died=True,
        note=note,
        lease_until=record.lease_until,
    )
