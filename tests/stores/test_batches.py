"""Batches in every store: recorded whole or not at all, and always what their items make of them."""

from __future__ import annotations

from typing import Any

import pytest

from bgrs_middleware.models import Record, Status, new_rid
from bgrs_middleware.orders import Added, Cancel, Delete, Existing, Expire, Idempotency, Report, Retry
from bgrs_middleware.stores.base import Store
from stores.orders import (
    PLENTY,
    WORKER,
    a_batch,
    a_captured,
    a_claim,
    a_finish,
    a_release,
    added,
    an_add,
    claimed,
    record,
    texts,
)

DAY = 86_400.0


def batched(store: Store, count: int, **changes: Any) -> tuple[str, list[str]]:
    """Record a batch; return its rid and those of its items."""
    order = a_batch(count, **changes)
    with store.transaction() as transaction:
        assert list(transaction.add_batch([order])) == [Added.ADDED]
    return order.rid, [item.rid for item in order.items]


def do(store: Store, verb: str, *orders: Any) -> Any:
    """One verb in a transaction of its own; returns its outcomes and what was settled."""
    with store.transaction() as transaction:
        outcomes = getattr(transaction, verb)(list(orders))
    return outcomes, list(transaction.settled)


def finish(store: Store, rid: str, status: Status = Status.FINISHED, now: float = 1_002.0) -> None:
    captured = a_captured() if status is Status.FINISHED else None
    do(store, "finish", a_finish(rid, status=status, now=now, captured=captured, keep_request=True))


def standing(store: Store, rid: str) -> tuple[Status, float | None]:
    found = record(store, rid)
    return found.status, found.progress


def test_a_batch_runs_from_the_first_and_its_items_wait_in_the_order_given(store: Store) -> None:
    rid, items = batched(store, 3, owner="alice", operations_parent="projects/p")
    found = list(store.with_items(rid))
    assert [each.rid for each in found] == [rid, *items]
    batch = found[0]
    assert (batch.status, batch.progress, batch.batch_items, batch.is_batch) == (Status.RUNNING, 0.0, 3, True)
    assert (batch.worker, batch.lease_until, batch.has_request, batch.attempt) == (None, None, False, 0)
    assert (batch.started_at, batch.finished_at, batch.operations_parent) == (1_000.25, None, "projects/p")
    assert {(each.parent, each.status, each.is_batch) for each in found[1:]} == {(rid, Status.QUEUED, False)}
    assert [taken.record.rid for taken in claimed(store)] == items


def test_a_record_that_is_no_batch_has_no_items_and_an_unknown_one_is_nothing(store: Store) -> None:
    [rid] = added(store)
    batched(store, 1)
    assert list(store.with_items(rid)) == [record(store, rid)]
    assert list(store.with_items(new_rid())) == []


def test_a_batch_is_recorded_whole_or_not_at_all(store: Store) -> None:
    added(store, 2)
    order = a_batch(3, max_queued=4)
    assert do(store, "add_batch", order)[0] == [Added.QUEUE_FULL]
    assert store.get([order.rid, *(item.rid for item in order.items)]) == {}
    assert do(store, "add_batch", a_batch(2, max_queued=4), a_batch(1, max_queued=4))[0] == [
        Added.ADDED,
        Added.QUEUE_FULL,
    ]
    assert store.count_queued() == 4


def test_for_its_caller_a_batch_is_one_as_long_as_an_item_waits(store: Store) -> None:
    rid, _ = batched(store, 5, owner="alice")
    limited: dict[str, Any] = {"owner": "alice", "max_queued_per_caller": 2}
    assert do(store, "add", an_add(**limited), an_add(**limited))[0] == [Added.ADDED, Added.CALLER_QUEUE_FULL]
    assert do(store, "add_batch", a_batch(2, **limited))[0] == [Added.CALLER_QUEUE_FULL]
    claimed(store, limit=5)
    assert do(store, "add_batch", a_batch(2, **limited), a_batch(2, **limited))[0] == [
        Added.ADDED,
        Added.CALLER_QUEUE_FULL,
    ]
    assert record(store, rid).status is Status.RUNNING


def test_a_batch_with_the_key_of_another_is_that_one(store: Store) -> None:
    key = Idempotency(key="a" * 64, fingerprint="b" * 64)
    rid, items = batched(store, 2, idempotency=key)
    order = a_batch(2, idempotency=key)
    assert do(store, "add_batch", order)[0] == [Existing(rid=rid, fingerprint="b" * 64)]
    assert do(store, "add", an_add(idempotency=key))[0] == [Existing(rid=rid, fingerprint="b" * 64)]
    assert store.get([order.rid, *(item.rid for item in order.items)]) == {}
    assert [each.rid for each in store.with_items(rid)] == [rid, *items]


def test_nobody_claims_abandons_expires_or_counts_a_batch(store: Store) -> None:
    rid, items = batched(store, 2)
    assert len(claimed(store)) == 2
    assert store.backlog().running == 2
    assert [found.rid for found in store.abandoned(float("inf"), 0, PLENTY)] == items
    assert do(store, "expire", Expire(queued_before=9_999.0, now=9_999.0, limit=PLENTY))[0] == [[]]
    for refused in ("finish", "release", "report"):
        order: Any = {
            "finish": a_finish(rid),
            "release": a_release(rid, Status.LOST),
            "report": Report(rid=rid, worker=WORKER, now=1.0),
        }[refused]
        do(store, refused, order)
    assert standing(store, rid) == (Status.RUNNING, 0.0)
    assert store.captured([rid]) == {}


def test_progress_is_the_mean_of_the_items_and_what_has_ended_is_whole(store: Store) -> None:
    rid, items = batched(store, 4)
    claimed(store)
    report = Report(rid=items[0], worker=WORKER, now=1_005.0, progress=30.0)
    assert do(store, "report", report) == ([True], [rid])
    assert standing(store, rid) == (Status.RUNNING, 7.5)
    assert record(store, rid).updated_at == 1_005.0
    finish(store, items[0], now=1_006.0)
    finish(store, items[1], Status.FAILED, now=1_007.0)
    assert standing(store, rid) == (Status.RUNNING, 50.0)
    # Nothing that matters to it: then it is not written, and nobody is woken.
    assert do(store, "report", Report(rid=items[2], worker=WORKER, now=1_008.0, message="at work"))[1] == []
    assert record(store, rid).updated_at == 1_007.0


def test_it_has_ended_when_all_items_have_however_they_ended(store: Store) -> None:
    rid, items = batched(store, 4)
    claimed(store, limit=3)
    finish(store, items[0])
    finish(store, items[1], Status.FAILED)
    do(store, "release", a_release(items[2], Status.LOST))
    assert record(store, rid).finished_at is None
    do(store, "expire", Expire(queued_before=9_999.0, now=1_009.0, limit=PLENTY))
    found = record(store, rid)
    assert (found.status, found.progress, found.finished_at) == (Status.FINISHED, 100.0, 1_009.0)
    assert (found.http_status, found.content_type, found.result_length) == (200, "application/json", None)
    assert texts(store, rid) == ["done: all items have ended"]
    # Its result is made of its items whenever it is asked for.
    assert store.captured([rid]) == {}


def test_an_item_that_is_cancelled_alone_lets_the_batch_finish(store: Store) -> None:
    rid, items = batched(store, 2)
    do(store, "cancel", *(Cancel(rid=item, now=1_003.0) for item in items))
    assert standing(store, rid) == (Status.FINISHED, 100.0)


def test_cancelling_a_batch_cancels_all_that_has_not_ended(store: Store) -> None:
    rid, items = batched(store, 4)
    claimed(store, limit=2)
    finish(store, items[0])
    [changed], settled = do(store, "cancel", Cancel(rid=rid, now=1_004.0))
    assert (changed.done, changed.before.status) == (True, Status.RUNNING)
    assert [(item.rid, item.status) for item in changed.items] == [
        (items[1], Status.RUNNING),
        (items[2], Status.QUEUED),
        (items[3], Status.QUEUED),
    ]
    assert settled == [rid]
    assert [each.status for each in store.with_items(rid)] == [
        Status.CANCELLING,
        Status.FINISHED,
        Status.CANCELLING,
        Status.CANCELLED,
        Status.CANCELLED,
    ]
    assert standing(store, rid) == (Status.CANCELLING, 75.0)
    [again], _ = do(store, "cancel", Cancel(rid=rid, now=1_005.0))
    assert (again.done, again.items) == (False, ())
    finish(store, items[1], Status.CANCELLED)
    found = record(store, rid)
    assert (found.status, found.http_status, found.finished_at) == (Status.CANCELLED, None, 1_002.0)
    assert texts(store, rid) == ["cancelled: all items have ended"]


def test_a_cancelled_batch_of_which_everything_finished_all_the_same_is_finished(store: Store) -> None:
    rid, [item] = batched(store, 1)
    claimed(store)
    do(store, "cancel", Cancel(rid=rid, now=1_004.0))
    finish(store, item)
    assert standing(store, rid) == (Status.FINISHED, 100.0)


def test_a_batch_none_of_which_had_begun_is_cancelled_at_once(store: Store) -> None:
    rid, items = batched(store, 3)
    # Named beside it, or twice: the same.
    outcomes, _ = do(store, "cancel", *(Cancel(rid=each, now=1_004.0) for each in (rid, items[0], rid)))
    assert [changed.done for changed in outcomes] == [True, False, False]
    assert standing(store, rid) == (Status.CANCELLED, 100.0)
    assert texts(store, items[0]) == ["cancelled"]
    assert store.count_queued() == 0


def test_it_runs_again_when_one_of_its_items_does(store: Store) -> None:
    rid, items = batched(store, 2)
    claimed(store)
    finish(store, items[0])
    finish(store, items[1], Status.FAILED)
    do(store, "retry", Retry(rid=items[1], now=1_010.0))
    found = record(store, rid)
    assert (found.status, found.progress, found.finished_at) == (Status.RUNNING, 50.0, None)
    assert (found.http_status, found.content_type) == (None, None)
    claimed(store)
    finish(store, items[1], now=1_020.0)
    assert (record(store, rid).status, record(store, rid).finished_at) == (Status.FINISHED, 1_020.0)
    assert texts(store, rid)[1:] == ["running again: an item was queued again", "done: all items have ended"]


def test_the_batch_itself_is_not_run_again(store: Store) -> None:
    rid, _ = batched(store, 1)
    do(store, "cancel", Cancel(rid=rid, now=1_004.0))
    [changed], _ = do(store, "retry", Retry(rid=rid, now=1_005.0))
    assert not changed.done
    assert standing(store, rid) == (Status.CANCELLED, 100.0)


def test_an_item_that_is_removed_counts_as_whole(store: Store) -> None:
    rid, items = batched(store, 2)
    do(store, "delete", Delete(rid=items[0]))
    assert standing(store, rid) == (Status.RUNNING, 50.0)
    do(store, "delete", Delete(rid=items[1], now=1_030.0))
    found = record(store, rid)
    assert (found.status, found.progress, found.finished_at) == (Status.FINISHED, 100.0, 1_030.0)
    assert [each.rid for each in store.with_items(rid)] == [rid]


def test_a_batch_takes_its_items_along_and_only_when_it_has_ended(store: Store) -> None:
    rid, items = batched(store, 3)
    others, [other] = batched(store, 1)
    claimed(store)
    assert not do(store, "delete", Delete(rid=rid))[0][0].done
    for item in items:
        finish(store, item)
    # One of them beside it: it goes with the batch.
    outcomes, settled = do(store, "delete", Delete(rid=rid), Delete(rid=items[1]))
    assert [changed.done for changed in outcomes] == [True, False]
    assert [item.rid for item in outcomes[0].items] == items
    assert settled == []
    assert store.get([rid, *items]) == {}
    assert [list(store.details(each, 0, PLENTY)) for each in (rid, *items)] == [[]] * 4
    assert set(store.get([others, other])) == {others, other}


def test_items_are_kept_as_long_as_their_batch_and_go_by_themselves_only_without_it(store: Store) -> None:
    rid, items = batched(store, 2)
    claimed(store)
    finish(store, items[0], now=1_000.0)
    late = 1_001.0 + 30 * DAY
    assert list(store.outdated(late, PLENTY)) == list(store.ended(late, 0, PLENTY)) == []
    finish(store, items[1], now=2_000.0)
    assert list(store.outdated(late, PLENTY)) == []
    later = 2_001.0 + 30 * DAY
    assert [found.rid for found in store.outdated(later, PLENTY)] == [rid]
    assert [found.rid for found in store.ended(later, 0, PLENTY)] == [rid]
    [without] = added(store, parent=new_rid())
    do(store, "claim", a_claim())
    finish(store, without, now=2_000.0)
    assert [found.rid for found in store.outdated(later, PLENTY)] == [rid, without]


def test_what_is_rolled_back_changes_no_batch(store: Store) -> None:
    rid, items = batched(store, 1)
    claimed(store)
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        transaction.finish([a_finish(items[0])])
        raise ZeroDivisionError
    assert standing(store, rid) == (Status.RUNNING, 0.0)


def test_several_batches_are_settled_in_one_transaction(store: Store) -> None:
    batches = [batched(store, 2) for _ in range(3)]
    claimed(store)
    everything = [item for _, items in batches for item in items]
    _, settled = do(store, "finish", *(a_finish(item) for item in everything))
    assert sorted(settled) == sorted(rid for rid, _ in batches)
    found: list[Record] = [record(store, rid) for rid, _ in batches]
    assert {each.status for each in found} == {Status.FINISHED}
