"""What every store does, verb by verb: the contract of `stores/base.py`, on SQLite, on PostgreSQL and in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgrs_middleware.models import Item, ListQuery, Record, Rerun, Status
from bgrs_middleware.orders import Added, Cancel, Changed, Delete, Expire, Note, Renew, Report, Retry
from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.memory import MemoryStore
from stores.orders import (
    LEASE_UNTIL,
    PLENTY,
    WORKER,
    a_captured,
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

ITEMS = (Item(name="page 1", state="done"), Item(name="page 2", state="failed", message="no ink"))
FINAL = [status for status in Status if status.is_final]


# add


def test_add_records_every_field_and_counts_ids_up_from_one(store: Store) -> None:
    orders = [
        an_add(owner="alice", method="POST", name="/a?b=%20c", type="A", rerun=Rerun.ALWAYS, parent="f" * 32),
        an_add(sealed_request=b"\x00\xff" * 50_000, request_body_name="some.body", max_run_seconds=1.5),
    ]
    with store.transaction() as transaction:
        assert list(transaction.add(orders)) == [Added.ADDED, Added.ADDED]
    assert store.get([order.rid for order in orders]) == {
        order.rid: Record(
            id=number,
            rid=order.rid,
            owner=order.owner,
            method=order.method,
            name=order.name,
            type=order.type,
            status=Status.QUEUED,
            created_at=order.now,
            queued_at=order.now,
            updated_at=order.now,
            rerun=order.rerun,
            max_run_seconds=order.max_run_seconds,
            retention_days=order.retention_days,
            parent=order.parent,
            request_body_name=order.request_body_name,
        )
        for number, order in enumerate(orders, start=1)
    }
    assert [taken.sealed_request for taken in claimed(store)] == [order.sealed_request for order in orders]


def test_add_refuses_what_is_over_the_limit_of_the_whole_queue_counting_its_own_call(store: Store) -> None:
    orders = [an_add(max_queued=3) for _ in range(4)]
    with store.transaction() as transaction:
        assert list(transaction.add(orders[:2])) == [Added.ADDED] * 2
        assert list(transaction.add(orders[2:])) == [Added.ADDED, Added.QUEUE_FULL]
    assert store.count_queued() == 3
    assert orders[3].rid not in store.get([orders[3].rid])


def test_add_refuses_what_is_over_a_callers_limit_and_lets_other_callers_in(store: Store) -> None:
    added(store, 1, owner="alice")
    orders = [an_add(owner=owner, max_queued_per_caller=2) for owner in ("alice", "alice", "bob", "bob", "bob")]
    with store.transaction() as transaction:
        outcomes = list(transaction.add(orders))
    assert outcomes == [Added.ADDED, Added.CALLER_QUEUE_FULL, Added.ADDED, Added.ADDED, Added.CALLER_QUEUE_FULL]


def test_anonymous_callers_have_no_limit_of_their_own(store: Store) -> None:
    with store.transaction() as transaction:
        outcomes = transaction.add([an_add(owner=None, max_queued_per_caller=1) for _ in range(3)])
    assert set(outcomes) == {Added.ADDED}


def test_limits_count_what_is_queued_and_nothing_else(store: Store) -> None:
    """One old request stays queued while those after it come and go: ids say nothing about the number then."""
    [oldest] = added(store, owner="alice")
    for _ in range(5):
        rid = added(store, owner="alice")[0]
        with store.transaction() as transaction:
            transaction.cancel([Cancel(rid=rid, now=1.0)])
    claimed(store, limit=1)
    with store.transaction() as transaction:
        transaction.release([a_release(oldest, Status.QUEUED)])
        outcomes = transaction.add([an_add(owner="alice", max_queued=3, max_queued_per_caller=2) for _ in range(2)])
    assert list(outcomes) == [Added.ADDED, Added.CALLER_QUEUE_FULL]
    with store.transaction() as transaction:
        outcomes = transaction.add([an_add(owner="bob", max_queued=3, max_queued_per_caller=2) for _ in range(2)])
    assert list(outcomes) == [Added.ADDED, Added.QUEUE_FULL]


def test_limits_see_many_owners_at_once(store: Store) -> None:
    owners = [f"owner {number}" for number in range(700)]
    with store.transaction() as transaction:
        transaction.add([an_add(owner=owner) for owner in owners])
        outcomes = transaction.add([an_add(owner=owner, max_queued_per_caller=1) for owner in [*owners, "new"]])
    assert list(outcomes) == [Added.CALLER_QUEUE_FULL] * 700 + [Added.ADDED]


# claim


def test_claim_gives_the_oldest_with_their_sealed_requests_and_marks_them(store: Store) -> None:
    rids = [added(store, sealed_request=b"sealed %d" % number)[0] for number in range(3)]
    before = record(store, rids[0])
    taken = claimed(store, limit=2)
    assert [(claim.record.rid, claim.sealed_request) for claim in taken] == [
        (rids[0], b"sealed 0"),
        (rids[1], b"sealed 1"),
    ]
    assert taken[0].record == record(store, rids[0])
    assert taken[0].record == replace(
        before,
        status=Status.RUNNING,
        worker=WORKER,
        lease_until=LEASE_UNTIL,
        started_at=1_001.0,
        updated_at=1_001.0,
        attempt=1,
    )
    assert record(store, rids[2]).status is Status.QUEUED


def test_claims_of_one_call_and_later_ones_never_give_the_same_request(store: Store) -> None:
    rids = added(store, 5)
    with store.transaction() as transaction:
        first, second, none = transaction.claim([a_claim("a", 2), a_claim("b", 2), a_claim("c", 0)])
    assert none == []
    assert [claim.record.rid for claim in [*first, *second, *claimed(store)]] == rids
    assert claimed(store) == []


def test_claim_clears_what_an_earlier_attempt_reported(store: Store) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.report([Report(rid=rid, worker=WORKER, now=1.0, progress=50.0, message="half", items=ITEMS)])
        transaction.release([a_release(rid, Status.QUEUED)])
    [again] = claimed(store)
    assert (again.record.attempt, again.record.progress, again.record.message, again.record.items) == (
        2,
        None,
        None,
        (),
    )


# renew and report


def test_renew_moves_the_lease_of_who_holds_the_request_and_tells_its_status(store: Store) -> None:
    rids = [running(store), running(store)]
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rids[1], now=1.0)])
    waiting = added(store)[0]
    orders = [Renew(rid=rid, worker=WORKER, lease_until=2_000.0) for rid in [*rids, waiting, "0" * 32]]
    with store.transaction() as transaction:
        assert list(transaction.renew(orders)) == [Status.RUNNING, Status.CANCELLING, None, None]
        assert list(transaction.renew([Renew(rid=rids[0], worker="another", lease_until=9_000.0)])) == [None]
    assert {record(store, rid).lease_until for rid in rids} == {2_000.0}


def test_report_records_what_is_given_and_leaves_the_rest(store: Store) -> None:
    rid = running(store)

    def reported() -> tuple[object, ...]:
        now = record(store, rid)
        return now.updated_at, now.progress, now.message, now.items

    with store.transaction() as transaction:
        order = Report(rid=rid, worker=WORKER, now=5.0, progress=12.5, message="rows", items=ITEMS)
        assert list(transaction.report([order])) == [True]
    assert reported() == (5.0, 12.5, "rows", ITEMS)
    with store.transaction() as transaction:
        transaction.report([Report(rid=rid, worker=WORKER, now=6.0)])
        transaction.report([Report(rid=rid, worker=WORKER, now=7.0, progress=13.0)])
    assert reported() == (7.0, 13.0, "rows", ITEMS)
    with store.transaction() as transaction:
        transaction.report([Report(rid=rid, worker=WORKER, now=7.0, items=())])
    assert reported() == (7.0, 13.0, "rows", ())


def test_only_the_holder_reports_also_while_cancelling(store: Store) -> None:
    rid = running(store)
    waiting = added(store)[0]
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=1.0)])
        orders = [Report(rid=rid, worker="another", now=9.0, progress=99.0)]
        orders += [Report(rid=of, worker=WORKER, now=2.0, progress=1.0) for of in (rid, waiting, "0" * 32)]
        assert list(transaction.report(orders)) == [False, True, False, False]
    assert (record(store, rid).progress, record(store, waiting).progress) == (1.0, None)


# note


def test_notes_keep_their_order_and_those_on_unknown_requests_are_dropped(store: Store) -> None:
    one, two = added(store, 2)
    with store.transaction() as transaction:
        transaction.note(
            [Note(rid=rid, at=float(at), text=f"n{at}") for at, rid in enumerate([one, two, one, "0" * 32, one])]
        )
        transaction.note([Note(rid=two, at=9.0, text="last")])
    assert [(detail.rid, detail.at, detail.text) for detail in store.details(one, 0, 10)] == [
        (one, 0.0, "n0"),
        (one, 2.0, "n2"),
        (one, 4.0, "n4"),
    ]
    assert texts(store, two) == ["n1", "last"]
    assert store.details("0" * 32, 0, 10) == []
    ids = [detail.id for rid in (one, two) for detail in store.details(rid, 0, 10)]
    first, second, third, fourth, fifth = ids
    assert first < fourth < second < third < fifth


def test_details_are_paged_by_id(store: Store) -> None:
    [rid] = added(store)
    with store.transaction() as transaction:
        transaction.note([Note(rid=rid, at=1.0, text=str(number)) for number in range(5)])
    first = store.details(rid, 0, 2)
    rest = store.details(rid, first[-1].id, 10)
    assert [detail.text for detail in [*first, *rest]] == ["0", "1", "2", "3", "4"]
    assert store.details(rid, 10**30, 10) == []
    assert store.details(rid, 0, -1) == []


# finish


def test_finish_records_the_response_and_wipes_the_request(store: Store) -> None:
    rid = running(store, request_body_name="some.body")
    before = record(store, rid)
    with store.transaction() as transaction:
        order = a_finish(rid, progress=100.0, message="all", items=ITEMS, notes=("one", "two"))
        assert list(transaction.finish([order])) == [Changed(done=True, before=before)]
    assert record(store, rid) == replace(
        before,
        status=Status.FINISHED,
        updated_at=1_002.0,
        finished_at=1_002.0,
        worker=None,
        lease_until=None,
        progress=100.0,
        message="all",
        items=ITEMS,
        has_request=False,
        request_body_name=None,
        http_status=200,
        content_type="text/csv; charset=utf-8",
        result_length=4,
    )
    assert store.captured([rid]) == {rid: a_captured()}
    assert [(detail.at, detail.text) for detail in store.details(rid, 0, 9)] == [(1_002.0, "one"), (1_002.0, "two")]


@pytest.mark.parametrize(
    "captured",
    [
        a_captured(inline=None, body_name="some.body", length=2**34),
        a_captured(inline=b"", length=0, headers=(), status=204),
        a_captured(inline=b"\x00" * 100_000, length=100_000),
    ],
    ids=["in a body", "empty", "large"],
)
def test_finish_keeps_any_response(store: Store, captured) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid, captured=captured)])
    assert store.captured([rid]) == {rid: captured}
    now = record(store, rid)
    assert (now.http_status, now.result_length, now.result_body_name) == (
        captured.status,
        captured.length,
        captured.body_name,
    )


@pytest.mark.parametrize("status", FINAL)
def test_finish_without_a_response_may_keep_the_request(store: Store, status: Status) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.report([Report(rid=rid, worker=WORKER, now=1.0, progress=50.0, message="half", items=ITEMS)])
        transaction.cancel([Cancel(rid=rid, now=1.5)])
        [changed] = transaction.finish([a_finish(rid, status=status, captured=None, keep_request=True)])
    assert changed.done
    now = record(store, rid)
    assert (now.status, now.has_request, now.http_status) == (status, True, None)
    assert (now.progress, now.message, now.items) == (50.0, "half", ITEMS)
    assert store.captured([rid]) == {}


def test_only_the_holder_finishes_and_only_once(store: Store) -> None:
    rid = running(store)
    before = record(store, rid)
    waiting = added(store)[0]
    with store.transaction() as transaction:
        orders = [
            a_finish(rid, worker="another", notes=("no",)),
            a_finish(waiting, notes=("no",)),
            a_finish("0" * 32, notes=("no",)),
            a_finish(rid, notes=("yes",)),
            a_finish(rid, status=Status.FAILED, now=5_000.0, captured=None, notes=("no",)),
        ]
        outcomes = list(transaction.finish(orders))
    assert [outcome.done for outcome in outcomes] == [False, False, False, True, False]
    assert [outcome.before for outcome in outcomes] == [
        before,
        record(store, waiting),
        None,
        before,
        record(store, rid),
    ]
    assert (texts(store, rid), texts(store, waiting)) == (["yes"], [])


def test_a_finish_that_names_a_lease_does_nothing_once_it_was_renewed(store: Store) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.renew([Renew(rid=rid, worker=WORKER, lease_until=2_000.1)])
        orders = [a_finish(rid, lease_until=lease_until) for lease_until in (LEASE_UNTIL, 2_000.1)]
        assert [outcome.done for outcome in transaction.finish(orders)] == [False, True]
    assert record(store, rid).status is Status.FINISHED


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.CANCELLING])
def test_finish_takes_no_status_that_is_not_final(store: Store, status: Status) -> None:
    rid = running(store)
    with pytest.raises(ValueError, match="final"), store.transaction() as transaction:
        transaction.finish([a_finish(rid, status=status)])
    assert record(store, rid).status is Status.RUNNING


# release


def test_release_to_the_queue_keeps_the_place_in_it_and_not_its_time(store: Store) -> None:
    rid = running(store)
    added(store)
    before = record(store, rid)
    with store.transaction() as transaction:
        assert list(transaction.release([a_release(rid, Status.QUEUED)])) == [Changed(done=True, before=before)]
    assert record(store, rid) == replace(
        before, status=Status.QUEUED, queued_at=1_002.0, updated_at=1_002.0, worker=None, lease_until=None
    )
    assert texts(store, rid) == ["let go"]
    [again] = claimed(store, limit=1)
    assert (again.record.rid, again.sealed_request) == (rid, b"sealed")


@pytest.mark.parametrize("status", [Status.LOST, Status.FAILED, Status.CANCELLED])
def test_release_to_a_final_status_counts_the_death_and_keeps_the_request(store: Store, status: Status) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=1.0)])
        [changed] = transaction.release([a_release(rid, status, died=True)])
    now = record(store, rid)
    assert changed.done
    assert (now.status, now.finished_at, now.deaths, now.has_request, now.worker, now.lease_until) == (
        (status, 1_002.0, 1, True, None, None)
    )


def test_what_was_to_be_cancelled_does_not_go_back_to_the_queue(store: Store) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=1.0)])
        [changed] = transaction.release([a_release(rid, Status.QUEUED)])
    now = record(store, rid)
    assert changed.done
    assert (now.status, now.finished_at, now.has_request) == (Status.CANCELLED, 1_002.0, True)
    assert claimed(store) == []


def test_only_what_its_worker_still_holds_is_released(store: Store) -> None:
    rid = running(store)
    before = record(store, rid)
    with store.transaction() as transaction:
        orders = [a_release(rid, Status.LOST, worker="another"), a_release("0" * 32, Status.LOST)]
        outcomes = list(transaction.release([*orders, a_release(rid, Status.QUEUED), a_release(rid, Status.LOST)]))
    assert [outcome.done for outcome in outcomes] == [False, False, True, False]
    assert [outcome.before for outcome in outcomes] == [before, None, before, record(store, rid)]
    with pytest.raises(ValueError, match="queued or final"), store.transaction() as transaction:
        transaction.release([a_release(rid, Status.RUNNING)])


def test_a_release_that_names_a_lease_does_nothing_once_it_was_renewed(store: Store) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.renew([Renew(rid=rid, worker=WORKER, lease_until=2_000.1)])
        orders = [a_release(rid, Status.LOST, lease_until=lease_until) for lease_until in (LEASE_UNTIL, 2_000.1)]
        assert [outcome.done for outcome in transaction.release(orders)] == [False, True]
    assert record(store, rid).status is Status.LOST


def test_the_clock_of_leases_goes_on(store: Store) -> None:
    times = [store.lease_now() for _ in range(20)]
    assert times == sorted(times)
    assert times[0] < times[-1]


# cancel, retry, delete


def test_cancel_ends_what_is_queued_and_keeps_its_request(store: Store) -> None:
    [rid] = added(store)
    before = record(store, rid)
    with store.transaction() as transaction:
        first, second = transaction.cancel([Cancel(rid=rid, now=3.0), Cancel(rid=rid, now=4.0)])
    after = replace(before, status=Status.CANCELLED, updated_at=3.0, finished_at=3.0)
    assert (first, second) == (Changed(done=True, before=before), Changed(done=False, before=after))
    assert record(store, rid) == after
    assert [(detail.at, detail.text) for detail in store.details(rid, 0, 9)] == [(3.0, "cancelled")]
    assert claimed(store) == []


def test_cancel_asks_what_is_running_to_stop(store: Store) -> None:
    rid = running(store)
    before = record(store, rid)
    with store.transaction() as transaction:
        outcomes = transaction.cancel(
            [Cancel(rid=rid, now=3.0), Cancel(rid=rid, now=4.0), Cancel(rid="0" * 32, now=1.0)]
        )
    after = replace(before, status=Status.CANCELLING, updated_at=3.0)
    assert list(outcomes) == [
        Changed(done=True, before=before),
        Changed(done=False, before=after),
        Changed(done=False, before=None),
    ]
    assert (record(store, rid), texts(store, rid)) == (after, [])


@pytest.mark.parametrize("status", FINAL)
def test_cancel_leaves_what_has_ended(store: Store, status: Status) -> None:
    rid = ended(store, status)
    before = record(store, rid)
    with store.transaction() as transaction:
        assert list(transaction.cancel([Cancel(rid=rid, now=9_000.0)])) == [Changed(done=False, before=before)]
    assert record(store, rid) == before


@pytest.mark.parametrize("status", [Status.FAILED, Status.LOST, Status.CANCELLED])
def test_retry_queues_again_and_forgets_the_outcome(store: Store, status: Status) -> None:
    rid = ended(store, status, progress=7.0, message="seven", items=ITEMS)
    before = record(store, rid)
    with store.transaction() as transaction:
        first, second = transaction.retry([Retry(rid=rid, now=3_000.0), Retry(rid=rid, now=3_001.0)])
    assert first == Changed(done=True, before=before)
    assert (second.done, second.before) == (False, record(store, rid))
    assert record(store, rid) == replace(
        before,
        status=Status.QUEUED,
        queued_at=3_000.0,
        updated_at=3_000.0,
        started_at=None,
        finished_at=None,
        progress=None,
        message=None,
        items=(),
        http_status=None,
        content_type=None,
        result_length=None,
    )
    assert store.captured([rid]) == {}
    assert texts(store, rid) == ["queued again"]
    [again] = claimed(store)
    assert (again.record.attempt, again.sealed_request) == (2, b"sealed")


def test_retry_forgets_deaths(store: Store) -> None:
    rid = running(store)
    with store.transaction() as transaction:
        transaction.release([a_release(rid, Status.LOST, died=True)])
        transaction.retry([Retry(rid=rid, now=1.0)])
    assert record(store, rid).deaths == 0


@pytest.mark.parametrize("status", [Status.FINISHED, Status.EXPIRED])
def test_retry_leaves_what_ended_otherwise(store: Store, status: Status) -> None:
    rid = ended(store, status)
    with store.transaction() as transaction:
        [changed] = transaction.retry([Retry(rid=rid, now=1.0)])
    assert (changed.done, record(store, rid).status) == (False, status)


def test_retry_needs_the_request(store: Store) -> None:
    rid = running(store)
    waiting = added(store)[0]
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid, status=Status.FAILED, captured=None)])
        outcomes = transaction.retry([Retry(rid=of, now=1.0) for of in (rid, waiting, "0" * 32)])
    assert [outcome.done for outcome in outcomes] == [False, False, False]
    assert record(store, rid).status is Status.FAILED


def test_delete_removes_record_and_details(store: Store) -> None:
    rid = ended(store, Status.FINISHED, notes=("done",))
    waiting, other = added(store, 2)
    with store.transaction() as transaction:
        transaction.note([Note(rid=other, at=1.0, text="stays")])
        befores = store.get([rid, waiting])
        outcomes = transaction.delete([Delete(rid=of) for of in (rid, waiting, rid, "0" * 32)])
    assert list(outcomes) == [
        Changed(done=True, before=befores[rid]),
        Changed(done=True, before=befores[waiting]),
        Changed(done=False, before=None),
        Changed(done=False, before=None),
    ]
    assert list(store.get([rid, waiting, other])) == [other]
    assert (texts(store, rid), texts(store, other), store.captured([rid])) == ([], ["stays"], {})
    assert store.count_queued() == 1
    with store.transaction() as transaction:
        transaction.note([Note(rid=rid, at=1.0, text="too late")])
    assert texts(store, rid) == []


def test_delete_leaves_what_a_worker_holds(store: Store) -> None:
    rids = [running(store), running(store)]
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rids[1], now=1.0)])
        outcomes = transaction.delete([Delete(rid=rid) for rid in rids])
    assert [outcome.done for outcome in outcomes] == [False, False]
    assert set(store.get(rids)) == set(rids)


def test_delete_that_names_an_end_leaves_what_was_queued_again_since(store: Store) -> None:
    rid, other = ended(store, Status.FAILED, now=5.0), ended(store, Status.FAILED, now=5.0)
    with store.transaction() as transaction:
        assert not transaction.delete([Delete(rid=rid, finished_at=4.0)])[0].done
        transaction.retry([Retry(rid=rid, now=6.0)])
        outcomes = transaction.delete([Delete(rid=rid, finished_at=5.0), Delete(rid=other, finished_at=5.0)])
    assert [outcome.done for outcome in outcomes] == [False, True]
    assert set(store.get([rid, other])) == {rid}


# expire and wipe


def test_expire_ends_the_oldest_that_waited_too_long(store: Store) -> None:
    old = [added(store, now=10.0, request_body_name="some.body")[0] for _ in range(3)]
    young = added(store, now=20.0)[0]
    befores = store.get(old)
    with store.transaction() as transaction:
        [first, none] = transaction.expire(
            [
                Expire(queued_before=20.0, now=30.0, limit=2, note="too long"),
                Expire(queued_before=10.0, now=30.0, limit=9),
            ]
        )
    assert list(first) == [befores[rid] for rid in old[:2]]
    assert none == []
    assert [texts(store, rid) for rid in old] == [["too long"], ["too long"], []]
    assert record(store, old[0]) == replace(
        befores[old[0]],
        status=Status.EXPIRED,
        updated_at=30.0,
        finished_at=30.0,
        has_request=False,
        request_body_name=None,
    )
    assert [record(store, rid).status for rid in (old[2], young)] == [Status.QUEUED, Status.QUEUED]


def test_expire_goes_by_the_time_of_the_last_queueing(store: Store) -> None:
    [rid] = added(store, now=10.0)
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=11.0)])
        transaction.retry([Retry(rid=rid, now=100.0)])
        assert transaction.expire([Expire(queued_before=50.0, now=60.0, limit=9)]) == [[]]
    claimed(store)
    with store.transaction() as transaction:
        assert transaction.expire([Expire(queued_before=500.0, now=600.0, limit=9)]) == [[]]
    assert record(store, rid).status is Status.RUNNING


def test_wipe_requests_takes_the_request_from_what_has_ended(store: Store) -> None:
    final = ended(store, Status.FAILED)
    held = running(store)
    [waiting] = added(store)
    before = record(store, final)
    with store.transaction() as transaction:
        outcomes = list(transaction.wipe_requests([final, held, waiting, final, "0" * 32]))
    after = replace(before, has_request=False, request_body_name=None)
    assert [outcome.done for outcome in outcomes] == [True, False, False, False, False]
    assert (outcomes[0].before, outcomes[3].before, record(store, final)) == (before, after, after)
    assert store.captured([final]) == {final: a_captured()}
    with store.transaction() as transaction:
        assert not transaction.retry([Retry(rid=final, now=1.0)])[0].done


# reading


def test_get_and_captured_answer_for_many_at_once_and_leave_out_the_unknown(store: Store) -> None:
    rids = added(store, 1_300)
    assert set(store.get([*rids, "0" * 32, rids[0]])) == set(rids)
    assert store.get([]) == store.get(["0" * 32]) == {}
    assert store.captured([]) == store.captured(rids) == {}


def test_list_pages_through_one_owners_requests_newest_first(store: Store) -> None:
    mine = [added(store, owner=owner)[0] for owner in ("alice", "bob", "alice", None, "Alice", "alice")]
    mine = [mine[0], mine[2], mine[5]]
    query = ListQuery(owner="alice", statuses=None, before_id=None, limit=2)
    first = store.list(query)
    rest = store.list(replace(query, before_id=first[-1].id))
    assert [one.rid for one in [*first, *rest]] == mine[::-1]
    assert store.list(replace(query, before_id=10**30, limit=0)) == []
    assert store.list(replace(query, before_id=0)) == []


def test_list_filters_by_status(store: Store) -> None:
    rids = added(store, 3, owner="alice")
    claimed(store, limit=1)
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rids[1], now=1.0)])

    def listed(*statuses: Status) -> list[str]:
        query = ListQuery(owner="alice", statuses=frozenset(statuses), before_id=None, limit=10)
        return [one.rid for one in store.list(query)]

    assert listed(Status.RUNNING, Status.CANCELLED) == [rids[1], rids[0]]
    assert listed(Status.QUEUED) == [rids[2]]
    assert listed(*Status) == rids[::-1]
    assert listed() == []


def test_count_queued_follows_every_change(store: Store) -> None:
    assert store.count_queued() == 0
    rids = added(store, 3)
    claimed(store, limit=1)
    assert store.count_queued() == 2
    with store.transaction() as transaction:
        transaction.delete([Delete(rid=rids[1])])
        transaction.release([a_release(rids[0], Status.QUEUED)])
    assert store.count_queued() == 2


def test_abandoned_are_those_held_with_a_lease_that_is_over(store: Store) -> None:
    rids = added(store, 5)
    for lease_until in (10.0, 20.0, 10.0, 10.0):
        claimed(store, limit=1, lease_until=lease_until)
    with store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rids[2], now=1.0)])
        transaction.finish([a_finish(rids[3])])
    late = store.abandoned(20.0, 0, PLENTY)
    assert [one.rid for one in late] == [rids[0], rids[2]]
    assert list(store.abandoned(20.0, late[0].id, PLENTY)) == list(late[1:])
    assert list(store.abandoned(20.0, 0, 1)) == list(late[:1])
    assert store.abandoned(10.0, 0, PLENTY) == []
    assert store.abandoned(20.0, 0, -1) == []


def test_wipeable_are_those_that_ended_with_their_request_kept_oldest_end_first(store: Store) -> None:
    late = ended(store, Status.FAILED, now=9.0)
    early = ended(store, Status.CANCELLED, now=5.0)
    retried = ended(store, Status.LOST, now=5.0)
    running(store)
    rid = running(store)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid, now=5.0)])
        transaction.retry([Retry(rid=retried, now=6.0)])
    assert [one.rid for one in store.wipeable(9.5, PLENTY)] == [early, late]
    assert list(store.wipeable(9.0, PLENTY)) == [record(store, early)]
    assert [one.rid for one in store.wipeable(9.5, 1)] == [early]
    assert store.wipeable(9.5, -1) == store.wipeable(5.0, PLENTY) == []
    with store.transaction() as transaction:
        transaction.wipe_requests([early])
    assert [one.rid for one in store.wipeable(9.5, PLENTY)] == [late]


def test_outdated_are_those_over_their_own_retention_the_most_overdue_first(store: Store) -> None:
    day = 86_400.0
    rids = [added(store, retention_days=days)[0] for days in (3.0, 1.0, 0.5, 3.0)]
    claimed(store)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid, now=10.0 + at) for at, rid in enumerate(rids[:3])])
    assert store.outdated(12.0 + 0.5 * day, PLENTY) == []
    assert list(store.outdated(12.5 + 0.5 * day, PLENTY)) == [record(store, rids[2])]
    assert [one.rid for one in store.outdated(10.5 + 3 * day, PLENTY)] == [rids[2], rids[1], rids[0]]
    assert [one.rid for one in store.outdated(1e12, 2)] == [rids[2], rids[1]]
    assert store.outdated(1e12, -1) == []


def test_ended_pages_through_what_has_ended_by_id(store: Store) -> None:
    rids = [ended(store, status, now=now) for status, now in zip(FINAL, (9.0, 5.0, 7.0, 1.0, 3.0), strict=True)]
    running(store)
    added(store)
    page = store.ended(8.0, 0, 2)
    assert list(page) == [record(store, rid) for rid in rids[1:3]]
    assert [one.rid for one in store.ended(8.0, page[-1].id, PLENTY)] == rids[3:]
    assert store.ended(8.0, 0, -1) == store.ended(1.0, 0, PLENTY) == []


def test_a_store_keeps_its_identity_and_shares_it_with_no_other(store: Store) -> None:
    identity = store.identity()
    assert identity is not None
    store.close()
    store.open()
    assert store.identity() == identity
    assert MemoryStore().identity() != identity
