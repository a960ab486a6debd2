"""The one writer of a process: takes all changes that wait, commits them together, answers each by a `Pending`.

One flush to disk is shared by all who asked for it meanwhile (group commit). Verbs are applied in a fixed order within
a commit. That is safe because two orders about one request are only ever in the same batch when their order does not
matter, or when it is the fixed one: what a run reports comes before its end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from .batching import Batcher
from .errors import StorageError, StoreDataError, StoreUnavailable
from .failpoints import ARMED, Failpoint, reach
from .models import Record, Status
from .orders import (
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
from .pending import Delivery, Pending, deliver
from .stores.base import Store, Transaction

logger = logging.getLogger("bgrs_middleware.ledger")

_VERBS = (
    "add",
    "add_batch",
    "renew",
    "report",
    "note",
    "finish",
    "release",
    "cancel",
    "retry",
    "delete",
    "expire",
    "wipe_requests",
    "claim",
    "probe",
)
"""In the order of one commit. `claim` comes late, so that what a commit adds can be claimed in the same one."""

_ADDING = {"add", "add_batch"}
_CHANGING = {"renew", "report", "note", "finish", "release", "cancel", "retry", "delete", "wipe_requests"}
"""Those that wait for who changes the same requests just now."""


class _Job(NamedTuple):
    verb: str
    order: Any
    pending: Pending[Any]


class Ledger:
    """Writes to a store, from one thread.

    Parameters:
        store: an opened store.
        changed: called after each commit, from the ledger's thread, with the rids whose state may have changed.
        queued: called after each commit that queued something, when its callers are told, with what it queued.

    Neither may raise.

    The methods are the verbs of `stores.base.Transaction`, for one order each. What they return is delivered when it is
    committed and flushed, or fails with a `StorageError` when nothing of it was.
    """

    def __init__(
        self,
        store: Store,
        changed: Callable[[Collection[str]], None],
        queued: Callable[[tuple[str, ...]], None] = lambda rids: None,
    ) -> None:
        self._store = store
        self._changed = changed
        self._queued = queued
        self._lock = threading.Lock()
        self._batcher: Batcher[_Job] = Batcher("bgrs-ledger", self._handle)

    def add(self, order: Add) -> Pending[Added | Existing]:
        return self._put("add", order)

    def add_batch(self, order: AddBatch) -> Pending[Added | Existing]:
        return self._put("add_batch", order)

    def claim(self, order: Claim) -> Pending[Sequence[Claimed]]:
        return self._put("claim", order)

    def renew(self, order: Renew) -> Pending[Status | None]:
        return self._put("renew", order)

    def report(self, order: Report) -> Pending[bool]:
        return self._put("report", order)

    def note(self, order: Note) -> Pending[None]:
        return self._put("note", order)

    def finish(self, order: Finish) -> Pending[Changed]:
        return self._put("finish", order)

    def release(self, order: Release) -> Pending[Changed]:
        return self._put("release", order)

    def cancel(self, order: Cancel) -> Pending[Changed]:
        return self._put("cancel", order)

    def retry(self, order: Retry) -> Pending[Changed]:
        return self._put("retry", order)

    def delete(self, order: Delete) -> Pending[Changed]:
        return self._put("delete", order)

    def expire(self, order: Expire) -> Pending[Sequence[Record]]:
        return self._put("expire", order)

    def wipe_request(self, rid: str) -> Pending[Changed]:
        return self._put("wipe_requests", rid)

    def probe(self, now: float) -> Pending[None]:
        return self._put("probe", now)

    def close(self) -> None:
        """Commit what is waiting and end the thread. What comes later fails with `StoreUnavailable`."""
        self._batcher.close()

    def _put(self, verb: str, order: Any) -> Pending[Any]:
        # A lock for each would be one more thing for the garbage collector to look at while many wait.
        pending: Pending[Any] = Pending(self._lock)
        if not self._batcher.put(_Job(verb, order, pending)):
            pending.fail(StoreUnavailable("The server is shutting down."))
        return pending

    def _handle(self, jobs: list[_Job]) -> None:
        try:
            deliveries, rids, queued = self._commit(jobs)
        except StoreDataError as error:
            if len(jobs) == 1:
                jobs[0].pending.fail(error)
            else:
                # One value was refused: let each change stand for itself, so that only its own caller is told.
                for job in jobs:
                    self._handle([job])
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            self._fail(jobs, error)
            return
        if rids:
            self._changed(rids)
        deliver(deliveries)
        if queued:
            self._queued(tuple(queued))

    def _commit(self, jobs: list[_Job]) -> tuple[list[Delivery], set[str], list[str]]:
        by_verb: dict[str, list[_Job]] = {}
        for job in jobs:
            by_verb.setdefault(job.verb, []).append(job)
        deliveries: list[Delivery] = []
        rids: set[str] = set()
        queued: list[str] = []
        with self._store.transaction() as transaction:
            if len(by_verb.keys() & _CHANGING) > 1:
                transaction.expect([_rid_of(job) for job in jobs if job.verb in _CHANGING])
            for verb in _VERBS:
                group = by_verb.get(verb)
                if group is not None:
                    outcomes = _apply(transaction, verb, [job.order for job in group])
                    rids.update(_touched(verb, group, outcomes))
                    queued += _newly_queued(verb, group, outcomes)
                    deliveries.extend(
                        (job.pending, outcome, None) for job, outcome in zip(group, outcomes, strict=True)
                    )
            if ARMED and by_verb.keys() & _ADDING:
                reach(Failpoint.ACCEPT_BEFORE_COMMIT)
            if ARMED and "finish" in by_verb:
                reach(Failpoint.FINISH_BEFORE_COMMIT)
        # What became of batches is known now, with their items written.
        rids.update(transaction.settled)
        if ARMED and by_verb.keys() & _ADDING:
            reach(Failpoint.ACCEPT_AFTER_COMMIT)
        return deliveries, rids, queued

    def _fail(self, jobs: list[_Job], error: Exception) -> None:
        if not isinstance(error, StorageError):
            logger.error("A commit failed for a reason that is not the store's.", exc_info=error)
            wrapped = StoreUnavailable("The store failed in an unexpected way.")
            wrapped.__cause__ = error
            error = wrapped
        deliver((job.pending, None, error) for job in jobs)


def _rid_of(job: _Job) -> str:
    rid: str = job.order if job.verb == "wipe_requests" else job.order.rid
    return rid


def _apply(transaction: Transaction, verb: str, orders: list[Any]) -> Sequence[Any]:
    outcomes: Sequence[Any] | None = getattr(transaction, verb)(orders)
    return [None] * len(orders) if outcomes is None else outcomes


def _touched(verb: str, jobs: list[_Job], outcomes: Sequence[Any]) -> set[str]:
    """The rids whose state someone may be waiting for."""
    if verb in ("add", "add_batch", "renew", "note", "wipe_requests", "probe"):
        return set()
    if verb == "claim":
        return {claimed.record.rid for batch in outcomes for claimed in batch}
    if verb == "expire":
        return {record.rid for batch in outcomes for record in batch}
    rids = {job.order.rid for job in jobs}
    if verb in ("cancel", "delete"):
        rids.update(item.rid for changed in outcomes for item in changed.items)
    return rids


def _newly_queued(verb: str, jobs: list[_Job], outcomes: Sequence[Any]) -> list[str]:
    if verb == "add":
        return [job.order.rid for job, added in zip(jobs, outcomes, strict=True) if added is Added.ADDED]
    if verb == "add_batch":
        added = [job.order for job, outcome in zip(jobs, outcomes, strict=True) if outcome is Added.ADDED]
        return [item.rid for order in added for item in order.items]
    if verb == "retry":
        return [job.order.rid for job, changed in zip(jobs, outcomes, strict=True) if changed.done]
    return []
