"""The rules that all stores share: who may go where, and what changes on the way. Pure: no clock, no storage.

Each rule takes a record as it was found and an order, and returns a `Move`: the fields that change and the details
that are appended; or None, where the record's state does not allow it. A store finds the records, asks the rule, and
writes the moves. So two stores cannot come to differ in what an order does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..models import RETRYABLE, Captured, Record, Status
from ..orders import Add, Added, ByHolder, Cancel, Claim, Delete, Expire, Finish, Release, Renew, Report, Retry
from .text import clean, clean_items, clean_optional

MAX_ID = 2**63 - 1
"""The largest id that a store can hold; larger ones, which only a client can ask for, are taken as this one."""

CANCELLED_NOTE = "cancelled"
RETRIED_NOTE = "queued again"

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Wipe:
    """The order of `wipe_requests`, which is no more than a rid."""

    rid: str


class AboutOne(Protocol):
    """An order about one request."""

    @property
    def rid(self) -> str: ...


Order = TypeVar("Order", bound=AboutOne)
Changes = dict[str, Any]
"""Fields of `Record` by name, with their new values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What an order changes.

    `has_request=False` among the changes means that the sealed request is removed too. `notes` become details at the
    time `at`. `captured` is stored where there is one; `drops_captured` removes what an earlier attempt left.
    """

    changes: Changes
    at: float = 0.0
    notes: tuple[str, ...] = ()
    captured: Captured | None = None
    drops_captured: bool = False


class Queue:
    """Counts what is queued while one call of `add` goes on, and admits what there is room for.

    Parameters:
        total: how many requests are queued.
        by_owner: how many of them each owner has, all items of one batch being one; who is missing has none.
    """

    def __init__(self, total: int, by_owner: Mapping[str, int]) -> None:
        self._total = total
        self._by_owner = dict(by_owner)

    def admit(self, order: Add) -> Added:
        """Tell whether the order fits; count it if it does. The whole queue's limit is looked at first.

        With a batch come all its items, which are one for its owner.
        """
        items = 1 if order.batch_items is None else order.batch_items
        if self._total + items > order.max_queued:
            return Added.QUEUE_FULL
        if order.owner is not None:
            owner = clean(order.owner)
            owned = self._by_owner.get(owner, 0)
            if owned >= order.max_queued_per_caller:
                return Added.CALLER_QUEUE_FULL
            self._by_owner[owner] = owned + 1
        self._total += items
        return Added.ADDED


def batches(orders: Iterable[Order]) -> Iterator[list[Order]]:
    """Cut the orders, in their order, where a rid comes for the second time.

    What one batch does may be found and written together; a repeated order meets what the earlier one left.
    """
    batch: list[Order] = []
    seen: set[str] = set()
    for order in orders:
        if order.rid in seen:
            yield batch
            batch, seen = [], set()
        batch.append(order)
        seen.add(order.rid)
    if batch:
        yield batch


def new_fields(order: Add) -> Changes:
    """The fields of a new record, all but its id. A batch runs from the first, and nobody holds it."""
    is_batch = order.batch_items is not None
    fields: Changes = {
        "rid": order.rid,
        "owner": clean_optional(order.owner),
        "method": clean(order.method),
        "name": clean(order.name),
        "type": clean(order.type),
        "status": Status.RUNNING if is_batch else Status.QUEUED,
        "created_at": order.now,
        "queued_at": order.now,
        "updated_at": order.now,
        "attempt": 0,
        "deaths": 0,
        "rerun": order.rerun,
        "max_run_seconds": order.max_run_seconds,
        "retention_days": order.retention_days,
        "operations_parent": clean(order.operations_parent),
        "parent": order.parent,
        "batch_items": order.batch_items,
        "has_request": not is_batch,
        "request_body_name": order.request_body_name,
    }
    return fields | {"started_at": order.now, "progress": 0.0} if is_batch else fields


def holds(record: Record, order: ByHolder) -> bool:
    """Whether the claim is the one that counts: every write of a worker is conditional on this.

    A worker may lose a request and claim it again. What is still left of its earlier run must not write for the later.
    """
    return record.worker == order.worker and record.status.is_running and order.attempt in (None, record.attempt)


def _still_by(record: Record, lease_until: float | None) -> bool:
    """Whether the worker's lease is the one that the order speaks of, if it speaks of one."""
    return lease_until is None or record.lease_until == lease_until


def claim(record: Record, order: Claim) -> Move:
    """QUEUED → RUNNING. The store gives only queued records."""
    return Move(
        changes={
            "status": Status.RUNNING,
            "worker": order.worker,
            "lease_until": order.lease_until,
            "started_at": order.now,
            "updated_at": order.now,
            "attempt": record.attempt + 1,
            "progress": None,
            "message": None,
            "items": (),
        }
    )


def renew(record: Record, order: Renew) -> Move | None:
    """A new lease for who holds it."""
    return Move(changes={"lease_until": order.lease_until}) if holds(record, order) else None


def report(record: Record, order: Report) -> Move | None:
    """What the running request reported."""
    if not holds(record, order):
        return None
    return Move(changes={"updated_at": order.now} | _reported(order))


def _reported(order: Report | Finish) -> Changes:
    changes: Changes = {}
    if order.progress is not None:
        changes["progress"] = order.progress
    if order.message is not None:
        changes["message"] = clean(order.message)
    if order.items is not None:
        changes["items"] = clean_items(order.items)
    return changes


def _ended(status: Status, now: float) -> Changes:
    return {"status": status, "updated_at": now, "finished_at": now, "worker": None, "lease_until": None}


def finish(record: Record, order: Finish) -> Move | None:
    """RUNNING or CANCELLING → the final status, for who holds it.

    Raises:
        ValueError: the order's status is not final.
    """
    if not order.status.is_final:
        raise ValueError(f"finish: status must be final, not {order.status.label}")
    if not holds(record, order) or not _still_by(record, order.lease_until):
        return None
    changes = _ended(order.status, order.now) | _reported(order)
    if not order.keep_request:
        changes |= {"has_request": False, "request_body_name": None}
    if order.captured is not None:
        changes |= _captured(order.captured)
    return Move(changes=changes, at=order.now, notes=order.notes, captured=order.captured)


def _captured(captured: Captured) -> Changes:
    return {
        "http_status": captured.status,
        "content_type": _content_type(captured),
        "result_length": captured.length,
        "result_body_name": captured.body_name,
    }


def _content_type(captured: Captured) -> str | None:
    for name, value in captured.headers:
        if name.lower() == b"content-type":
            return clean(value.decode("latin-1"))
    return None


def release(record: Record, order: Release) -> Move | None:
    """RUNNING or CANCELLING → back to QUEUED, or to a final status without a response, for who holds it.

    Raises:
        ValueError: the order's status is RUNNING or CANCELLING.
    """
    if order.status.is_running:
        raise ValueError(f"release: status must be queued or final, not {order.status.label}")
    if not holds(record, order) or not _still_by(record, order.lease_until):
        return None
    # Who asked for cancellation was told that it stops: it does not run again.
    cancelled = record.status is Status.CANCELLING and order.status is Status.QUEUED
    status = Status.CANCELLED if cancelled else order.status
    changes = _ended(status, order.now)
    if not status.is_final:
        del changes["finished_at"]
        # It keeps its place among the ids, but not the time that it waited before: that was over when it was claimed.
        changes["queued_at"] = order.now
    if order.died:
        changes["deaths"] = record.deaths + 1
    return Move(changes=changes, at=order.now, notes=(order.note,))


def cancel(record: Record, order: Cancel) -> Move | None:
    """QUEUED → CANCELLED, RUNNING → CANCELLING."""
    if record.status is Status.QUEUED:
        changes = _ended(Status.CANCELLED, order.now)
        return Move(changes=changes, at=order.now, notes=(CANCELLED_NOTE,))
    if record.status is Status.RUNNING:
        return Move(changes={"status": Status.CANCELLING, "updated_at": order.now})
    return None


def retry(record: Record, order: Retry) -> Move | None:
    """FAILED, LOST or CANCELLED → QUEUED, where the sealed request is still kept."""
    if record.status not in RETRYABLE or not record.has_request:
        return None
    changes: Changes = {
        "status": Status.QUEUED,
        "queued_at": order.now,
        "updated_at": order.now,
        "started_at": None,
        "finished_at": None,
        "progress": None,
        "message": None,
        "items": (),
        "deaths": 0,
        "http_status": None,
        "content_type": None,
        "result_length": None,
        "result_body_name": None,
    }
    return Move(changes=changes, at=order.now, notes=(RETRIED_NOTE,), drops_captured=True)


def may_delete(record: Record, order: Delete) -> bool:
    """Only what no worker holds may go; and where the order says when it ended, only what has not run again since."""
    return not record.status.is_running and order.finished_at in (None, record.finished_at)


def expire(_record: Record, order: Expire) -> Move:
    """QUEUED → EXPIRED. The store gives only queued records."""
    changes = _ended(Status.EXPIRED, order.now) | {"has_request": False, "request_body_name": None}
    return Move(changes=changes, at=order.now, notes=(order.note,))


def keep_until(record: Record) -> float:
    """When the retention of a record that has ended is over. The SQL stores compute the same in `sql/schema.py`."""
    assert record.finished_at is not None
    return record.finished_at + record.retention_days * SECONDS_PER_DAY


def wipe(record: Record, _order: Wipe) -> Move | None:
    """Remove the sealed request of a final record."""
    if not record.status.is_final or not record.has_request:
        return None
    return Move(changes={"has_request": False, "request_body_name": None})
