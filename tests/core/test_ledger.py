"""The ledger: one commit for all who wait, each told its own outcome, and nobody told of what was not committed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bgrs_middleware.errors import StoreDataError, StoreUnavailable
from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Rerun, Status, new_rid
from bgrs_middleware.orders import Add, Added, Cancel, Claim, Finish, Note, Retry
from bgrs_middleware.stores.memory import MemoryStore


def an_add(rid: str | None = None) -> Add:
    return Add(
        rid=rid or new_rid(),
        owner=None,
        method="GET",
        name="/",
        type="GET",
        now=1.0,
        sealed_request=b"sealed",
        request_body_name=None,
        rerun=Rerun.SAFE,
        max_run_seconds=60.0,
        retention_days=30.0,
        max_queued=1000,
        max_queued_per_caller=1000,
    )


class GatedStore(MemoryStore):
    """A memory store whose commits wait until the test opens the gate, and that counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.commits = 0
        self.failures: list[Exception] = []

    @contextmanager
    def transaction(self):
        self.entered.set()
        assert self.gate.wait(10)
        with super().transaction() as transaction:
            yield transaction
            if self.failures:
                raise self.failures.pop(0)
        self.commits += 1


@pytest.fixture
def store():
    store = GatedStore()
    store.open()
    yield store
    store.close()


@pytest.fixture
def changes() -> list[set[str]]:
    return []


@pytest.fixture
def ledger(store, changes):
    ledger = Ledger(store, lambda rids: changes.append(set(rids)))
    yield ledger
    store.gate.set()
    ledger.close()


def test_all_who_wait_share_one_commit(store, ledger):
    first = ledger.add(an_add())
    assert store.entered.wait(10)
    others = [ledger.add(an_add()) for _ in range(50)]
    assert not any(pending.is_there for pending in (first, *others))
    store.gate.set()
    assert [pending.wait() for pending in (first, *others)] == [Added.ADDED] * 51
    assert store.commits == 2


def test_what_was_queued_is_told_once_per_commit(store):
    told: list[tuple[str, ...]] = []
    ledger = Ledger(store, lambda rids: None, told.append)
    try:
        first, full = an_add(), replace(an_add(), max_queued=0)
        lone = ledger.add(first)
        assert store.entered.wait(10)
        others = [an_add() for _ in range(3)]
        pendings = [ledger.add(order) for order in [*others, full]]
        noted = ledger.note(Note(rid=first.rid, at=1.0, text="seen"))
        store.gate.set()
        lone.wait(), noted.wait()
        assert [pending.wait() for pending in pendings] == [Added.ADDED] * 3 + [Added.QUEUE_FULL]
        ledger.cancel(Cancel(rid=first.rid, now=2.0)).wait()
        assert ledger.retry(Retry(rid=first.rid, now=3.0)).wait().done
        assert not ledger.retry(Retry(rid=first.rid, now=4.0)).wait().done
    finally:
        ledger.close()
    assert told == [(first.rid,), tuple(order.rid for order in others), (first.rid,)]


def test_nobody_hears_of_a_commit_that_failed(store, ledger, changes):
    store.gate.set()
    store.failures = [StoreUnavailable("full")]
    rid = new_rid()
    with pytest.raises(StoreUnavailable):
        ledger.add(an_add(rid)).wait()
    assert store.get([rid]) == {}
    assert changes == []


def test_a_value_that_is_refused_costs_only_its_own_caller(store, ledger, monkeypatch):
    refused = an_add()

    class Picky(StoreDataError):
        pass

    original = MemoryStore.transaction

    @contextmanager
    def picky(self):
        with original(self) as transaction:
            add = transaction.add

            def checked(orders):
                if refused in orders:
                    raise Picky("no such value")
                return add(orders)

            monkeypatch.setattr(transaction, "add", checked)
            yield transaction

    first = ledger.add(an_add())
    assert store.entered.wait(10)
    monkeypatch.setattr(store, "transaction", picky.__get__(store))
    pendings = [ledger.add(order) for order in (an_add(), refused, an_add())]
    store.gate.set()
    assert first.wait() is Added.ADDED
    assert pendings[0].wait() is Added.ADDED
    with pytest.raises(Picky):
        pendings[1].wait()
    assert pendings[2].wait() is Added.ADDED


def test_a_fault_of_ours_is_told_as_an_unavailable_store_with_its_cause(store, ledger, caplog):
    store.gate.set()
    store.failures = [ZeroDivisionError("bug")]
    with pytest.raises(StoreUnavailable) as caught:
        ledger.add(an_add()).wait()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "not the store's" in caplog.text


def test_waiters_hear_of_a_change_before_its_author_goes_on(store, changes):
    order: list[str] = []
    ledger = Ledger(store, lambda rids: order.append("waiters"))
    store.gate.set()
    add = an_add()
    ledger.add(add).wait()
    pending = ledger.cancel(Cancel(rid=add.rid, now=2.0))
    pending.then(lambda _: order.append("author"))
    pending.wait()
    ledger.close()
    assert order == ["waiters", "author"]


def test_what_a_run_reported_is_written_before_its_end_and_only_then_the_queue_is_looked_at(store, ledger):
    store.gate.set()
    add = an_add()
    ledger.add(add).wait()
    [claimed] = ledger.claim(Claim(worker="w", limit=1, now=2.0, lease_until=60.0)).wait()
    store.gate.clear()
    store.entered.clear()
    blocker = ledger.add(an_add())
    assert store.entered.wait(10)
    end = ledger.finish(Finish(rid=claimed.record.rid, worker="w", status=Status.FAILED, now=3.0, notes=("failed: x",)))
    next_claim = ledger.claim(Claim(worker="w", limit=9, now=3.0, lease_until=60.0))
    note = ledger.note(Note(rid=add.rid, at=2.5, text="half"))
    store.gate.set()
    note.wait()
    assert blocker.wait() is Added.ADDED
    assert end.wait().done
    assert len(next_claim.wait()) == 1
    texts = [detail.text for detail in store.details(add.rid, 0, 10)]
    assert texts == ["half", "failed: x"]


def test_after_closing_nothing_is_taken_and_nothing_that_waited_is_lost(store):
    ledger = Ledger(store, lambda rids: None)
    first = ledger.add(an_add())
    assert store.entered.wait(10)
    second = ledger.add(an_add())
    store.gate.set()
    ledger.close()
    assert (first.wait(), second.wait()) == (Added.ADDED, Added.ADDED)
    with pytest.raises(StoreUnavailable, match="shutting down"):
        ledger.add(an_add()).wait()
