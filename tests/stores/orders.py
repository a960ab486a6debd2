"""Orders with everything filled in that a test does not speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bgrs_middleware.models import Captured, Record, Rerun, Status, new_rid
from bgrs_middleware.orders import Add, AddBatch, Claim, Claimed, Finish, Release
from bgrs_middleware.stores.base import Store

WORKER = "worker-one"
PLENTY = 1_000_000
LEASE_UNTIL = 1_060.0


def an_add(**changes: Any) -> Add:
    """A new request."""
    fields: dict[str, Any] = {
        "rid": new_rid(),
        "owner": None,
        "method": "GET",
        "name": "/v2.5/users/me?bgrs=yes",
        "type": "GET_V2_5_USERS_ME",
        "now": 1_000.25,
        "sealed_request": b"sealed",
        "request_body_name": None,
        "rerun": Rerun.SAFE,
        "max_run_seconds": 21_600.0,
        "retention_days": 30.0,
        "max_queued": PLENTY,
        "max_queued_per_caller": PLENTY,
    }
    return Add(**(fields | changes))


def a_batch(count: int, rids: Sequence[str] | None = None, **changes: Any) -> AddBatch:
    """A new batch of so many items. Of `rids`, the first is its own."""
    rid, *items = rids or [new_rid() for _ in range(count + 1)]
    shared = {name: changes[name] for name in ("owner", "now") if name in changes}
    parent = an_add(rid=rid, method="POST", name="/bgrs", sealed_request=b"", batch_items=count, **changes)
    return AddBatch(parent=parent, items=tuple(an_add(rid=item, parent=rid, **shared) for item in items))


def a_claim(worker: str = WORKER, limit: int = PLENTY, now: float = 1_001.0, lease_until: float = LEASE_UNTIL) -> Claim:
    """A claim of all that is queued."""
    return Claim(worker=worker, limit=limit, now=now, lease_until=lease_until)


def a_captured(**changes: Any) -> Captured:
    """A small response."""
    fields: dict[str, Any] = {
        "status": 200,
        "headers": ((b"Content-Type", b"text/csv; charset=utf-8"), (b"x-a", b"1"), (b"x-a", b"\xe9\xff")),
        "length": 4,
        "sha256": "0" * 64,
        "inline": b"a;b\n",
    }
    return Captured(**(fields | changes))


def a_finish(rid: str, **changes: Any) -> Finish:
    """The end of a request that WORKER holds."""
    fields: dict[str, Any] = {"worker": WORKER, "status": Status.FINISHED, "now": 1_002.0, "captured": a_captured()}
    return Finish(rid=rid, **(fields | changes))


def a_release(rid: str, status: Status, **changes: Any) -> Release:
    """WORKER, or who acts for it, lets go of a request."""
    fields: dict[str, Any] = {"worker": WORKER, "now": 1_002.0, "died": False, "note": "let go"}
    return Release(rid=rid, status=status, **(fields | changes))


def added(store: Store, count: int = 1, **changes: Any) -> list[str]:
    """Add requests; return their rids."""
    orders = [an_add(**changes) for _ in range(count)]
    with store.transaction() as transaction:
        transaction.add(orders)
    return [order.rid for order in orders]


def claimed(store: Store, **changes: Any) -> list[Claimed]:
    """Claim what is queued."""
    with store.transaction() as transaction:
        return list(transaction.claim([a_claim(**changes)])[0])


def running(store: Store, **changes: Any) -> str:
    """Add one request and claim it; return its rid."""
    [rid] = added(store, **changes)
    assert [taken.record.rid for taken in claimed(store)] == [rid]
    return rid


def ended(store: Store, status: Status, **changes: Any) -> str:
    """Add one request, claim it and end it; its request is kept. Return its rid."""
    rid = running(store)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid, status=status, keep_request=True, **changes)])
    return rid


def record(store: Store, rid: str) -> Record:
    """The record of a rid that exists."""
    return store.get([rid])[rid]


def texts(store: Store, rid: str) -> list[str]:
    """The details of a request."""
    return [detail.text for detail in store.details(rid, 0, PLENTY)]
