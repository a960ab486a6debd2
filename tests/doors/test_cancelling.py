"""Cancelling (CONTRACT, section 3): told to the application, and `cancelling` until the work has really stopped."""

from __future__ import annotations

import os
import time

import pytest

from bgrs_middleware.orders import Claim

from .door import Door


def cancel(door: Door, rid: str):
    return door.call("POST", f"/bgrs/{rid}/cancel")


def test_what_is_queued_is_cancelled_at_once_and_never_run(open_door) -> None:
    door = open_door(concurrency=1)
    door.hold("first")
    rid = door.ask("/do/see:it ran")
    answer = cancel(door, rid)
    assert answer.status == 200
    assert (answer.json()[0]["status_name"], answer.header("bgrs-status")) == ("cancelled", "cancelled")
    door.release("first")
    door.ended(door.ask("/items"))
    assert door.stage.seen == []
    assert door.details(rid) == ["cancelled"]


def test_an_asgi_handler_sees_the_cancelled_error_and_is_waited_for(open_door, kind: str) -> None:
    door = open_door()
    rid = door.ask("/do/stubborn:a/see:it went on")
    door.stage.gate("a").wait_until_reached()
    answer = cancel(door, rid)
    assert answer.status == 202
    assert answer.json()[0]["status_name"] == "cancelling"
    assert int(answer.header("retry-after") or 0) >= 1
    if kind == "asgi":
        door.stage.gate("a-cleanup").wait_until_reached()
        assert door.stage.seen == ["CancelledError at a"]
    # It has not stopped, so it does not say so.
    assert door.status(rid)["status_name"] == "cancelling"
    assert cancel(door, rid).status == 202
    assert door.get(f"/bgrs/{rid}/result").status == 202
    door.release("a")
    door.release("a-cleanup")
    ended = door.ended(rid)
    if kind == "asgi":
        assert (ended["status_id"], ended["status_name"]) == ("6", "cancelled")
        assert "it went on" not in door.stage.seen
    else:
        # A thread cannot be interrupted, and this one never asked: its whole answer is its result.
        assert ended["status_name"] == "finished"
        assert door.stage.seen == ["it went on"]


def test_an_application_that_asks_is_told_and_ends_as_cancelled(open_door, kind: str) -> None:
    door = open_door()
    rid = door.hold("a", "ask", "see:answered")
    cancel(door, rid)
    door.release("a")
    assert door.ended(rid)["status_name"] == "cancelled"
    answer = door.get(f"/bgrs/{rid}/result")
    assert (answer.status, answer.header("bgrs-status"), answer.json()["rid"]) == (409, "cancelled", rid)
    assert door.stage.seen == (["CancelledError at a"] if kind == "asgi" else ["answered"])
    assert door.details(rid)[-1] == "cancelled"


def test_a_stream_stops_between_two_pieces(door: Door) -> None:
    rid = door.ask("/do/length:20/send:10/gate:a/send:5/send:5/see:to the end")
    door.stage.gate("a").wait_until_reached()
    assert cancel(door, rid).status == 202
    door.release("a")
    assert door.ended(rid)["status_name"] == "cancelled"
    assert "to the end" not in door.stage.seen


def test_a_large_response_that_is_cancelled_leaves_no_file(door: Door) -> None:
    rid = door.ask("/do/length:900000/send:500000/gate:a/send:400000")
    door.stage.gate("a").wait_until_reached()
    cancel(door, rid)
    door.release("a")
    assert door.ended(rid)["status_name"] == "cancelled"
    assert [name for _, _, names in os.walk(door.data_dir / "bodies") for name in names] == []


def test_cancelling_again_says_that_it_is_cancelled(open_door) -> None:
    door = open_door(executor="worker")
    rid = door.ask("/items")
    assert [cancel(door, rid).status for _ in range(2)] == [200, 200]


def test_what_has_finished_or_failed_cannot_be_cancelled(door: Door) -> None:
    for target, state in (("/items", "finished"), ("/do/length:2/send:1", "failed")):
        rid = door.ask(target)
        door.ended(rid)
        answer = cancel(door, rid)
        assert (answer.status, answer.json()["rid"]) == (409, rid)
        assert state in answer.json()["detail"]
        assert door.status(rid)["status_name"] == state


def test_who_waits_hears_of_the_cancelling(door: Door) -> None:
    rid = door.hold("a")
    held = door.start("GET", f"/bgrs/{rid}?wait_for=25")
    while door.service._waiting._count == 0:
        assert not held.done()
    cancel(door, rid)
    assert held.result(20).json()[0]["status_name"] in ("cancelling", "cancelled")


def test_a_cancel_through_another_process_reaches_the_one_that_runs_it(open_door, kind: str) -> None:
    running, other = open_door(), open_door(executor="worker")
    rid = running.hold("a", "ask")
    assert cancel(other, rid).status == 202
    assert other.status(rid)["status_name"] == "cancelling"
    if kind == "wsgi":
        running.when(rid, lambda document: document["status_name"] == "cancelling")
        running.release("a")
    assert other.ended(rid)["status_name"] == "cancelled"


def test_what_another_process_holds_stays_cancelling_until_that_one_says(open_door) -> None:
    door = open_door(executor="worker")
    rid = door.ask("/items")
    now = time.time()
    door.service._ledger.claim(Claim(worker="w" * 32, limit=1, now=now, lease_until=now + 60)).wait()
    assert cancel(door, rid).status == 202
    assert door.status(rid)["status_name"] == "cancelling"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_cancel_is_a_post(door: Door, method: str) -> None:
    rid = door.ask("/items")
    answer = door.call(method, f"/bgrs/{rid}/cancel")
    assert (answer.status, answer.header("allow")) == (405, "POST")
