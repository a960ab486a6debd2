"""What a store tells of its backlog, and that a probe is a write that leaves no trace: on each kind of store."""

from __future__ import annotations

from pathlib import Path

from bgrs_middleware.models import Status
from bgrs_middleware.orders import Cancel, Note, Retry
from bgrs_middleware.stores.base import Backlog, Store
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import a_claim, added, ended, texts


def test_an_empty_store_has_none(store: Store) -> None:
    assert store.backlog() == Backlog(queued=0, oldest_queued_at=None, running=0)


def test_what_is_queued_and_what_runs_are_counted_and_what_has_ended_is_not(store: Store) -> None:
    ended(store, Status.FINISHED)
    ended(store, Status.FAILED)
    added(store, 3, now=20.5)
    with store.transaction() as transaction:
        [claimed] = transaction.claim([a_claim(limit=2)])
        transaction.cancel([Cancel(rid=claimed[0].record.rid, now=30.0)])
    assert store.backlog() == Backlog(queued=1, oldest_queued_at=20.5, running=2)


def test_the_oldest_is_the_one_that_waits_longest_not_the_one_with_the_lowest_id(store: Store) -> None:
    retried = ended(store, Status.FAILED)
    added(store, now=50.0)
    with store.transaction() as transaction:
        transaction.retry([Retry(rid=retried, now=60.0)])
    assert store.backlog() == Backlog(queued=2, oldest_queued_at=50.0, running=0)


def test_a_probe_leaves_no_trace(store: Store) -> None:
    [rid] = added(store)
    before = store.get([rid]), store.backlog()
    with store.transaction() as transaction:
        transaction.probe([1.0, 2.0])
        transaction.note([Note(rid=rid, at=3.0, text="beside it")])
    assert (store.get([rid]), store.backlog()) == before
    assert texts(store, rid) == ["beside it"]
    assert texts(store, "probe") == []


def test_a_probe_is_a_write_to_the_disk(sqlite_url: str) -> None:
    """SQLite writes nothing for a change that changes nothing, and would not notice that there is no room."""
    store = SqlStore(sqlite_url)
    store.open()
    log = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    before = log.stat().st_size
    with store.transaction() as transaction:
        transaction.probe([1.0])
    assert log.stat().st_size > before
    with store.transaction() as transaction:
        transaction.probe([])
    store.close()
