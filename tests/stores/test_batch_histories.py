"""Whatever happens to the items of a batch, in whatever order: the batch is what they make of it, and nothing else.

The oracle is told of each order and keeps its own books, in plain Python: what became of each item, and after each
transaction of the batch. All that can be read is compared with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrs_middleware.models import Status
from bgrs_middleware.orders import Cancel, Delete, Expire, Report, Retry
from bgrs_middleware.stores.base import Store, Transaction
from stores.orders import PLENTY, WORKER, a_batch, a_claim, a_finish, a_release

COUNT = 4
OPEN, HELD = (Status.QUEUED, Status.RUNNING, Status.CANCELLING), (Status.RUNNING, Status.CANCELLING)
RETRIED = (Status.FAILED, Status.LOST, Status.CANCELLED)


@dataclass
class Books:
    """What must have become of one batch. An item that was removed is in them no more."""

    items: dict[str, tuple[Status, float]]
    batch: Status | None = Status.RUNNING

    def put(self, rid: str, status: Status, progress: float = 0.0) -> None:
        self.items[rid] = status, progress

    def settle(self) -> None:
        if self.batch is None:
            return
        states = [status for status, _ in self.items.values()]
        if any(status in OPEN for status in states):
            self.batch = Status.CANCELLING if self.batch is Status.CANCELLING else Status.RUNNING
        elif self.batch is Status.CANCELLING and Status.CANCELLED in states:
            self.batch = Status.CANCELLED
        elif self.batch in (Status.RUNNING, Status.CANCELLING):
            self.batch = Status.FINISHED

    @property
    def progress(self) -> Fraction:
        left = sum(100 - Fraction(progress) for status, progress in self.items.values() if status in OPEN)
        return 100 - Fraction(left) / COUNT


Act = Callable[[Transaction, Books, str, str], None]


def claim(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.claim([a_claim(limit=2)])
    for rid in [rid for rid, (status, _) in books.items.items() if status is Status.QUEUED][:2]:
        books.put(rid, Status.RUNNING)


def report(progress: float) -> Act:
    def act(transaction: Transaction, books: Books, batch: str, item: str) -> None:
        transaction.report([Report(rid=item, worker=WORKER, now=2.0, progress=progress)])
        if item in books.items and books.items[item][0] in HELD:
            books.put(item, books.items[item][0], progress)

    return act


def finish(status: Status) -> Act:
    def act(transaction: Transaction, books: Books, batch: str, item: str) -> None:
        transaction.finish([a_finish(item, status=status, captured=None, keep_request=True)])
        if item in books.items and books.items[item][0] in HELD:
            books.put(item, status)

    return act


def hand_back(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.release([a_release(item, Status.QUEUED)])
    if item in books.items and books.items[item][0] in HELD:
        before, progress = books.items[item]
        # In the queue it keeps what it had reported, until it is started again.
        books.put(item, Status.QUEUED if before is Status.RUNNING else Status.CANCELLED, progress)


def cancel(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.cancel([Cancel(rid=item, now=3.0)])
    _cancelled(books, item)


def _cancelled(books: Books, item: str) -> None:
    if item in books.items:
        status, progress = books.items[item]
        after = {Status.QUEUED: Status.CANCELLED, Status.RUNNING: Status.CANCELLING}
        books.put(item, after.get(status, status), progress)


def cancel_batch(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.cancel([Cancel(rid=batch, now=3.0)])
    if books.batch in HELD:
        books.batch = Status.CANCELLING
    for rid in books.items:
        _cancelled(books, rid)


def retry(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.retry([Retry(rid=item, now=4.0)])
    if item in books.items and books.items[item][0] in RETRIED:
        books.put(item, Status.QUEUED)


def delete(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.delete([Delete(rid=item, now=5.0)])
    if item in books.items and books.items[item][0] not in HELD:
        del books.items[item]


def delete_batch(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    [changed] = transaction.delete([Delete(rid=batch)])
    if books.batch is None or any(status in HELD for status, _ in books.items.values()) or books.batch in HELD:
        assert not changed.done
        return
    assert [each.rid for each in changed.items] == list(books.items)
    books.batch = None
    books.items.clear()


def expire(transaction: Transaction, books: Books, batch: str, item: str) -> None:
    transaction.expire([Expire(queued_before=9_999.0, now=6.0, limit=1)])
    for rid in [rid for rid, (status, _) in books.items.items() if status is Status.QUEUED][:1]:
        books.put(rid, Status.EXPIRED)


ACTS: list[Act] = [
    *(claim, claim, claim, hand_back, cancel, cancel_batch, retry, retry, delete, delete_batch, expire),
    *(report(25.0), report(100.0), finish(Status.FINISHED), finish(Status.FAILED), finish(Status.LOST)),
    *(finish(Status.FINISHED), finish(Status.CANCELLED)),
]
acts = st.tuples(st.sampled_from(ACTS), st.integers(0, COUNT - 1))
histories = st.lists(st.tuples(st.lists(acts, min_size=1, max_size=3), st.integers(0, 5)), max_size=25)


class Back(Exception):
    """Rolls a transaction back."""


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
@given(history=histories)
def test_a_batch_is_what_its_items_make_of_it(store: Store, history: list[Any]) -> None:
    order = a_batch(COUNT)
    batch, rids = order.rid, [item.rid for item in order.items]
    with store.transaction() as transaction:
        # What an earlier history left in the queue.
        transaction.expire([Expire(queued_before=1e12, now=0.0, limit=PLENTY)])
        transaction.add_batch([order])
    books = Books(items=dict.fromkeys(rids, (Status.QUEUED, 0.0)))
    for steps, chance in history:
        after = Books(items=dict(books.items), batch=books.batch)
        try:
            with store.transaction() as transaction:
                for act, pick in steps:
                    act(transaction, after, batch, rids[pick])
                if chance == 0:
                    raise Back
        except Back:
            continue
        after.settle()
        books = after
        compare(store, books, batch)


def compare(store: Store, books: Books, batch: str) -> None:
    found = store.with_items(batch)
    assert {record.rid: record.status for record in found[1:]} == {
        rid: status for rid, (status, _) in books.items.items()
    }
    if books.batch is None:
        assert not found
        return
    record = found[0]
    assert record.status is books.batch
    assert record.progress == pytest.approx(float(books.progress))
    assert (record.finished_at is not None) == record.status.is_final
    assert record.http_status == (200 if record.status is Status.FINISHED else None)
