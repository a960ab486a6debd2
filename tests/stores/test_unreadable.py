"""A row that cannot be read, damaged or of a newer version, is one row: it keeps nothing else from being done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bgrs_middleware.errors import StoreDataError, StoreUnavailable
from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import ListQuery, Record, Status
from bgrs_middleware.orders import Cancel, Delete, Expire, Note
from bgrs_middleware.pending import Pending
from bgrs_middleware.reader import Reader
from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import LEASE_UNTIL, PLENTY, a_batch, a_claim, a_finish, added, an_add, claimed

HARM = {"rerun": "'sometimes'", "items": "'['", "status": "0"}


def harm(store: SqlStore, rid: str, column: str = "rerun") -> None:
    with store._links().writing() as connection:
        connection.exec_driver_sql(f"UPDATE bgrs_request SET {column} = {HARM[column]} WHERE rid = '{rid}'")


def rids_of(records: list[Record]) -> list[str]:
    return [found.rid for found in records]


@pytest.mark.parametrize("column", HARM)
@pytest.mark.parametrize("harmed", range(4))
def test_what_is_queued_behind_it_is_claimed(sql_store: SqlStore, harmed: int, column: str) -> None:
    rids = added(sql_store, 4)
    harm(sql_store, rids.pop(harmed), column)
    assert rids_of([taken.record for taken in claimed(sql_store, limit=2)]) == rids[:2]
    assert rids_of([taken.record for taken in claimed(sql_store, limit=2)]) == rids[2:]
    assert claimed(sql_store, limit=2) == []


def test_what_is_queued_behind_it_expires(sql_store: SqlStore) -> None:
    rids = added(sql_store, 3, now=1.0)
    harm(sql_store, rids[0])
    with sql_store.transaction() as transaction:
        [expired] = transaction.expire([Expire(queued_before=2.0, now=3.0, limit=1)])
    assert rids_of(list(expired)) == rids[1:2]


def end_all(store: Store) -> None:
    claims = claimed(store)
    with store.transaction() as transaction:
        for claim in claims:
            transaction.finish([a_finish(claim.record.rid, status=Status.FAILED, keep_request=True, now=1.0)])


LISTS: dict[str, Callable[[Store, int], list[Record]]] = {
    "wipeable": lambda store, limit: list(store.wipeable(9e9, limit)),
    "outdated": lambda store, limit: list(store.outdated(9e9, limit)),
    "ended": lambda store, limit: list(store.ended(9e9, 0, limit)),
    "list": lambda store, limit: list(store.list(ListQuery(owner="alice", statuses=None, before_id=None, limit=limit)))[
        ::-1
    ],
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("harmed", range(3))
def test_lists_are_as_long_as_was_asked_for_without_it(sql_store: SqlStore, name: str, harmed: int) -> None:
    rids = added(sql_store, 3, owner="alice")
    end_all(sql_store)
    harm(sql_store, rids.pop(harmed))
    assert rids_of(LISTS[name](sql_store, 2)) == rids
    assert rids_of(LISTS[name](sql_store, PLENTY)) == rids
    assert LISTS[name](sql_store, 0) == []


def test_pages_of_what_is_held_go_on_behind_it(sql_store: SqlStore) -> None:
    rids = added(sql_store, 5)
    claimed(sql_store)
    harm(sql_store, rids[1])
    first = list(sql_store.abandoned(LEASE_UNTIL + 1, 0, 2))
    assert rids_of(first) == [rids[0], rids[2]]
    assert rids_of(list(sql_store.abandoned(LEASE_UNTIL + 1, first[-1].id, 2))) == rids[3:]


def test_who_asks_for_it_is_told_and_it_is_logged_once(sql_store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    rid, other = added(sql_store, 2)
    harm(sql_store, rid)
    with pytest.raises(StoreDataError, match=rid):
        sql_store.get([rid])
    assert set(sql_store.get([other])) == {other}
    with pytest.raises(StoreDataError, match=rid), sql_store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=1.0)])
    for _ in range(3):
        claimed(sql_store)
    assert [message for message in caplog.messages if rid in message] == [
        f"The request {rid} cannot be read from the store. It is left as it is: KeyError('sometimes')"
    ]


def test_others_that_are_read_or_written_together_with_it_do_not_hear_of_it(sql_store: SqlStore) -> None:
    rid, other = added(sql_store, 2)
    harm(sql_store, rid)
    reader, ledger = Reader(sql_store), Ledger(sql_store, lambda rids: None)
    lookups: list[Pending[Record | None]] = [Pending(), Pending()]
    reader._handle([(rid, None, lookups[0], ()), (other, None, lookups[1], ())])
    assert lookups[1].wait() is not None
    with pytest.raises(StoreDataError):
        lookups[0].wait()
    cancelled, new = ledger.cancel(Cancel(rid=rid, now=1.0)), ledger.add(an_add())
    with pytest.raises(StoreDataError):
        cancelled.wait()
    assert new.wait().value == "added"
    ledger.close()
    reader.close()


def test_an_item_of_a_batch_keeps_no_other_from_ending(sql_store: SqlStore) -> None:
    order = a_batch(3)
    with sql_store.transaction() as transaction:
        transaction.add_batch([order])
    harm(sql_store, order.items[1].rid, "status")
    end_all(sql_store)
    found = {each.rid: each.status for each in sql_store.with_items(order.rid)}
    assert found == {order.rid: Status.FINISHED, **{item.rid: Status.FAILED for item in order.items[::2]}}


@pytest.mark.parametrize("column", HARM)
@pytest.mark.parametrize("starts", [False, True])
def test_an_item_of_a_batch_does_not_keep_it_from_being_cancelled_and_deleted(
    sql_store: SqlStore, starts: bool, column: str
) -> None:
    order, other = a_batch(3), a_batch(1)
    with sql_store.transaction() as transaction:
        transaction.add_batch([order, other])
        transaction.note([Note(rid=item.rid, at=1.0, text="noted") for item in (*order.items, *other.items)])
    if starts:
        claimed(sql_store, limit=1)
    harmed = order.items[1].rid
    harm(sql_store, harmed, column)
    with sql_store.transaction() as transaction:
        [cancelled] = transaction.cancel([Cancel(rid=order.rid, now=2.0)])
        assert (cancelled.done, rids_of(list(cancelled.items))) == (True, [item.rid for item in order.items[::2]])
    if starts:
        assert sql_store.get([order.rid])[order.rid].status is Status.CANCELLING
        with sql_store.transaction() as transaction:
            transaction.finish([a_finish(order.items[0].rid, status=Status.CANCELLED)])
    assert sql_store.get([order.rid])[order.rid].status is Status.CANCELLED
    assert order.rid in rids_of(list(sql_store.outdated(9e9, PLENTY)))
    with sql_store.transaction() as transaction:
        [deleted] = transaction.delete([Delete(rid=order.rid)])
        assert (deleted.done, len(deleted.items)) == (True, 2)
    assert sql_store.get([order.rid, *(item.rid for item in order.items)]) == {}
    assert [len(sql_store.details(item.rid, 0, 9)) for item in (*order.items, *other.items)] == [0, 0, 0, 1]
    assert len(sql_store.with_items(other.rid)) == 2


def test_a_reader_whose_store_is_away_does_not_ask_for_each(sql_store: SqlStore) -> None:
    asked: list[int] = []

    class Away(SqlStore):
        def get(self, rids):
            asked.append(len(rids))
            raise StoreUnavailable

    reader = Reader(Away(sql_store._target.url))
    lookups: list[Pending[Record | None]] = [Pending(), Pending()]
    reader._handle([("a", None, lookups[0], ()), ("b", None, lookups[1], ())])
    for lookup in lookups:
        with pytest.raises(StoreUnavailable):
            lookup.wait()
    assert asked == [2]


def test_a_claim_of_all_that_is_queued_is_one_question(sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    added(sql_store, 3)
    fetched: list[int] = []
    many = sql_store._records.many

    def counting(fetch, limit):
        def counted(count):
            fetched.append(count)
            return fetch(count)

        return many(counted, limit)

    monkeypatch.setattr(sql_store._records, "many", counting)
    with sql_store.transaction() as transaction:
        [taken] = transaction.claim([a_claim(limit=3)])
    assert (len(taken), fetched) == (3, [3])
