"""What every store promises of a transaction as a whole, and of texts that no database likes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgrs_middleware.errors import StoreDataError
from bgrs_middleware.models import Item, ListQuery, Status
from bgrs_middleware.orders import Cancel, Delete, Expire, Note, Renew, Report, Retry
from bgrs_middleware.stores.base import Store, Transaction
from stores.orders import (
    WORKER,
    a_claim,
    a_finish,
    a_release,
    added,
    an_add,
    claimed,
    ended,
    record,
    running,
    texts,
)

ODD = "a\x00b\ud800c\udfff'\"%s%%(x)s;\U0001f40b\ud83d"
PLAIN = "a\ufffdb\ufffdc\ufffd'\"%s%%(x)s;\U0001f40b\ufffd"


def everything(transaction: Transaction, held: str, failed: str, waiting: str) -> None:
    """Every verb, each with an effect."""
    transaction.add([an_add(owner="alice")])
    transaction.renew([Renew(rid=held, worker=WORKER, lease_until=9e9)])
    transaction.report([Report(rid=held, worker=WORKER, now=9e9, progress=50.0)])
    transaction.note([Note(rid=held, at=1.0, text="a note")])
    transaction.finish([a_finish(held)])
    transaction.retry([Retry(rid=failed, now=9e9)])
    transaction.cancel([Cancel(rid=failed, now=9e9)])
    transaction.wipe_requests([failed])
    transaction.claim([a_claim(limit=1)])
    transaction.release([a_release(waiting, Status.QUEUED)])
    transaction.expire([Expire(queued_before=9e9, now=9e9, limit=1)])
    transaction.delete([Delete(rid=waiting)])


class Broken(Exception):
    """What a test raises in the middle of a transaction."""


def test_a_block_that_raises_leaves_nothing_of_any_verb(store: Store) -> None:
    failed = ended(store, Status.FAILED)
    held = running(store)
    [waiting] = added(store)
    rids = [failed, held, waiting]
    before = store.get(rids), store.captured(rids), [texts(store, rid) for rid in rids], store.count_queued()
    with pytest.raises(Broken), store.transaction() as transaction:
        everything(transaction, held, failed, waiting)
        raise Broken
    after = store.get(rids), store.captured(rids), [texts(store, rid) for rid in rids], store.count_queued()
    assert after == before
    assert store.list(ListQuery(owner="alice", statuses=None, before_id=None, limit=9)) == []
    with store.transaction() as transaction:
        everything(transaction, held, failed, waiting)
    assert store.get(rids) != before[0]
    assert set(store.get(rids)) == {failed, held}


def test_nothing_is_seen_before_the_block_ends(store: Store) -> None:
    order = an_add()
    with store.transaction() as transaction:
        transaction.add([order])
        transaction.note([Note(rid=order.rid, at=1.0, text="early")])
        assert (store.get([order.rid]), texts(store, order.rid), store.count_queued()) == ({}, [], 0)
    assert (record(store, order.rid).rid, texts(store, order.rid), store.count_queued()) == (order.rid, ["early"], 1)


def test_verbs_of_one_transaction_see_each_other(store: Store) -> None:
    order = an_add()
    with store.transaction() as transaction:
        transaction.add([order])
        [[taken]] = transaction.claim([a_claim()])
        assert transaction.report([Report(rid=order.rid, worker=WORKER, now=1.0, progress=1.0)]) == [True]
        [finished] = transaction.finish([a_finish(order.rid)])
        [deleted] = transaction.delete([Delete(rid=order.rid)])
    assert finished.before == replace(taken.record, progress=1.0, updated_at=1.0)
    assert deleted.done
    assert store.get([order.rid]) == {}


@pytest.mark.parametrize("repeated_in_one_call", [True, False])
def test_a_rid_that_comes_twice_is_refused_and_with_it_all_of_its_transaction(
    store: Store, repeated_in_one_call: bool
) -> None:
    order, other = an_add(), an_add()
    if not repeated_in_one_call:
        with store.transaction() as transaction:
            transaction.add([order])
    with pytest.raises(StoreDataError), store.transaction() as transaction:
        transaction.add([other, order, order] if repeated_in_one_call else [other, order])
    assert store.get([other.rid]) == {}
    assert added(store)


def test_verbs_without_orders_do_nothing(store: Store) -> None:
    with store.transaction() as transaction:
        for name in sorted(Transaction.__abstractmethods__ - {"note", "probe"}):
            assert list(getattr(transaction, name)([])) == []
        transaction.note([])
    with store.transaction():
        pass


def test_a_closed_store_may_be_opened_again_and_used(store: Store) -> None:
    [rid] = added(store)
    store.close()
    store.close()
    store.open()
    assert record(store, rid).rid == rid
    added(store)
    assert store.count_queued() == 2


def test_texts_with_nul_and_lone_surrogates_are_stored_with_replacements(store: Store) -> None:
    items = (Item(name=ODD, state=ODD, message=ODD),)
    [rid] = added(store, owner=ODD, method=ODD, name=ODD, type=ODD)
    claimed(store)
    with store.transaction() as transaction:
        transaction.note([Note(rid=rid, at=1.0, text=ODD)])
        transaction.report([Report(rid=rid, worker=WORKER, now=1.0, message=ODD, items=items)])
    now = record(store, rid)
    assert (now.owner, now.method, now.name, now.type, now.message) == (PLAIN,) * 5
    assert now.items == (Item(name=PLAIN, state=PLAIN, message=PLAIN),)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid, message=ODD, items=items, notes=(ODD,), captured=None)])
    assert (record(store, rid).message, texts(store, rid)) == (PLAIN, [PLAIN, PLAIN])
    assert [one.rid for one in store.list(ListQuery(owner=ODD, statuses=None, before_id=None, limit=9))] == [rid]


def test_the_limit_of_a_caller_with_an_odd_name_counts(store: Store) -> None:
    added(store, owner=ODD)
    with store.transaction() as transaction:
        [outcome] = transaction.add([an_add(owner=ODD, max_queued_per_caller=1)])
    assert outcome.value == "caller queue full"


@pytest.mark.parametrize(
    "text", ["", "é", "汉字", "x" * 100_000, "\U0001f40b", "'; DROP TABLE bgrs_request; --", "\r\n\t"]
)
def test_any_other_text_comes_back_as_it_was(store: Store, text: str) -> None:
    [rid] = added(store, name=text)
    with store.transaction() as transaction:
        transaction.note([Note(rid=rid, at=1.0, text=text)])
    assert (record(store, rid).name, texts(store, rid)) == (text, [text])
