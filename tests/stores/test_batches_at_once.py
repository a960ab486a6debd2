"""Batches whose items several processes change at once, on PostgreSQL: each waits for others, never in a circle."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine

from bgrs_middleware.ledger import Ledger, _Job
from bgrs_middleware.models import Status
from bgrs_middleware.orders import Cancel, Delete, Note, Report, Retry
from bgrs_middleware.pending import Pending
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import WORKER, a_batch, a_captured, a_claim, a_finish, claimed, record

WAIT_SECONDS = 30.0
ROUNDS = 12


@pytest.fixture
def stores(postgres_url: str) -> Iterator[tuple[SqlStore, SqlStore]]:
    """Two processes' stores on one database."""
    both = SqlStore(postgres_url), SqlStore(postgres_url)
    for store in both:
        store.open()
    yield both
    for store in both:
        store.close()


def batched(store: SqlStore, count: int) -> tuple[str, list[str]]:
    order = a_batch(count)
    with store.transaction() as transaction:
        transaction.add_batch([order])
    return order.rid, [item.rid for item in order.items]


def until_someone_waits_for_a_lock(url: str) -> None:
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%bgrs_request%%'"
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.exec_driver_sql(question).scalar():
            pass


def test_of_two_who_end_the_last_two_items_at_once_one_ends_the_batch(stores: tuple[SqlStore, SqlStore]) -> None:
    rid, items = batched(stores[0], 2)
    claimed(stores[0])
    both_have_written = threading.Barrier(2, timeout=WAIT_SECONDS)

    def end(store: SqlStore, item: str) -> list[str]:
        with store.transaction() as transaction:
            transaction.finish([a_finish(item)])
            # What the other one wrote is not to be seen yet.
            both_have_written.wait()
        return list(transaction.settled)

    with ThreadPoolExecutor(2) as threads:
        settled = list(threads.map(end, stores, items))
    assert settled == [[rid], [rid]]
    assert (record(stores[0], rid).status, record(stores[0], rid).progress) == (Status.FINISHED, 100.0)


def test_who_cancels_a_batch_waits_for_who_ends_an_item_and_not_the_other_way_round(
    stores: tuple[SqlStore, SqlStore], postgres_url: str
) -> None:
    rid, items = batched(stores[0], 3)
    claimed(stores[0])

    def cancel() -> int:
        with stores[1].transaction() as transaction:
            [changed] = transaction.cancel([Cancel(rid=rid, now=1_005.0)])
        return len(changed.items)

    with ThreadPoolExecutor(1) as threads:
        with stores[0].transaction() as transaction:
            transaction.finish([a_finish(items[0])])
            cancelled = threads.submit(cancel)
            until_someone_waits_for_a_lock(postgres_url)
            # The batch itself must still be free, or its settling now would close a circle.
        assert cancelled.result(WAIT_SECONDS) == 2
    found = stores[0].with_items(rid)
    assert [each.status for each in found[:2]] == [Status.CANCELLING, Status.FINISHED]
    assert {each.status for each in found[2:]} == {Status.CANCELLING}


def test_a_retry_of_an_item_and_the_removal_of_its_batch_exclude_each_other(
    stores: tuple[SqlStore, SqlStore], postgres_url: str
) -> None:
    rid, items = batched(stores[0], 2)
    claimed(stores[0])
    with stores[0].transaction() as transaction:
        ends = [a_finish(item, status=Status.FAILED, captured=None, keep_request=True) for item in items]
        transaction.finish(ends)

    def delete() -> bool:
        with stores[1].transaction() as transaction:
            [changed] = transaction.delete([Delete(rid=rid)])
        return changed.done

    with ThreadPoolExecutor(1) as threads:
        with stores[0].transaction() as transaction:
            transaction.retry([Retry(rid=items[0], now=1_010.0)])
            deleted = threads.submit(delete)
            until_someone_waits_for_a_lock(postgres_url)
        assert not deleted.result(WAIT_SECONDS)
    assert len(stores[0].with_items(rid)) == 3


def test_a_commit_of_several_verbs_holds_nothing_that_another_needs_while_it_waits(
    stores: tuple[SqlStore, SqlStore], postgres_url: str
) -> None:
    _, [low, high] = batched(stores[0], 2)
    claimed(stores[0])
    ledger = Ledger(stores[1], lambda rids: None)
    noted, finished = Pending[Any](), Pending[Any]()
    # By the order of its verbs it would hold the lower one, and wait for the higher one.
    jobs = [
        _Job("note", Note(rid=low, at=1_001.0, text="a note"), noted),
        _Job("finish", a_finish(high), finished),
    ]
    with ThreadPoolExecutor(1) as threads:
        with stores[0].transaction() as transaction:
            transaction.report([Report(rid=high, worker=WORKER, now=1_001.0, progress=1.0)])
            threads.submit(ledger._handle, jobs)
            until_someone_waits_for_a_lock(postgres_url)
            transaction.cancel([Cancel(rid=low, now=1_001.0)])
        noted.wait()
        assert finished.wait().done
    ledger.close()


def test_many_who_work_on_the_same_batches_never_wait_in_a_circle(stores: tuple[SqlStore, SqlStore]) -> None:
    # PostgreSQL would end one of the transactions with an error, after a second.
    batches = [batched(stores[0], 40) for _ in range(3)]
    ledgers = [Ledger(store, lambda rids: None) for store in stores]

    def work(number: int) -> None:
        ledger, chance, worker = ledgers[number], random.Random(number), f"worker-{number}"
        held: list[str] = []
        while True:
            taken = ledger.claim(a_claim(worker, limit=6)).wait()
            held += [claim.record.rid for claim in taken]
            if not held:
                return
            chance.shuffle(held)
            # Those that begin and those that end, in one commit.
            sent: list[Pending[Any]] = [ledger.note(Note(rid=rid, at=1_001.0, text="a note")) for rid in held[3:]]
            sent += [ledger.finish(a_finish(rid, worker=worker, captured=a_captured())) for rid in held[:3]]
            for pending in sent:
                pending.wait()
            del held[:3]

    def cancel(number: int) -> None:
        for turn in range(ROUNDS):
            wanted = [rid for rid, _ in batches[: 1 + (turn + number) % 3]]
            for pending in [ledgers[number].cancel(Cancel(rid=rid, now=1_002.0)) for rid in reversed(wanted)]:
                pending.wait()
            finals = [rid for rid, record in stores[number].get(wanted).items() if record.status.is_final]
            if len(finals) == len(wanted):
                return
            items = stores[number].with_items(wanted[0])[1:]
            for item in [item for item in items if item.status is Status.CANCELLED][:5]:
                ledgers[number].retry(Retry(rid=item.rid, now=1_003.0)).wait()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(task, number) for number in (0, 1) for task in (work, cancel)]:
            done.result(WAIT_SECONDS)
    for ledger in ledgers:
        ledger.close()
    for rid, items in batches:
        states = {each.status.is_final for each in stores[0].get(items).values()}
        assert record(stores[0], rid).status.is_final == (states == {True})
