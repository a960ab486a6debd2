"""Retry and delete (CONTRACT, section 3), and the states that only a dead worker or a long queue lead to."""

from __future__ import annotations

import os
import time

import pytest

from bgrs_middleware.models import Status
from bgrs_middleware.orders import Claim, Expire, Release

from .door import Door


def body_files(door: Door) -> list[str]:
    return [name for _, _, names in os.walk(door.data_dir / "bodies") for name in names]


def retry(door: Door, rid: str):
    return door.call("POST", f"/bgrs/{rid}/retry")


def lose(door: Door, rid: str) -> None:
    """What happens to a request whose worker died."""
    now = time.time()
    claimed = door.service._ledger.claim(Claim(worker="w" * 32, limit=1, now=now, lease_until=now + 60)).wait()
    assert [each.record.rid for each in claimed] == [rid]
    release = Release(rid=rid, worker="w" * 32, status=Status.LOST, now=now, died=True, note="lost")
    assert door.service._ledger.release(release).wait().done


def test_a_failed_one_runs_again_under_its_id(door: Door) -> None:
    rid = door.ask("/do/length:5/send:4")
    assert door.ended(rid)["status_name"] == "failed"
    answer = retry(door, rid)
    assert (answer.status, answer.json()) == (202, {"request": rid})
    ended = door.when(rid, lambda document: document["attempt"] == "2" and document["status_name"] == "failed")
    assert ended["id"] == "1"
    details = door.details(rid)
    assert [details[0], details[2], details[3]] == ["started", "queued again", "started, attempt 2"]


def test_a_cancelled_one_runs_again_to_its_end(open_door) -> None:
    door = open_door(concurrency=1)
    door.hold("first")
    body = os.urandom(100_000)
    rid = door.ask("/items?a=%C3%A9", method="POST", body=body)
    door.call("POST", f"/bgrs/{rid}/cancel")
    door.release("first")
    assert retry(door, rid).status == 202
    answer = door.result(rid)
    assert (answer.status, answer.json()["length"], answer.json()["query"]) == (200, 100_000, "a=%C3%A9")
    assert door.status(rid)["status_name"] == "finished"


def test_a_lost_one_says_so_and_runs_again(open_door) -> None:
    first = open_door(executor="worker")
    rid = first.ask("/do/ask", method="POST")
    lose(first, rid)
    answer = first.get(f"/bgrs/{rid}/result")
    assert (answer.status, answer.header("bgrs-status"), answer.json()["rid"]) == (500, "lost", rid)
    assert first.status(rid)["status_id"] == "7"
    assert retry(first, rid).status == 202
    assert first.status(rid)["status_name"] == "queued"
    second = open_door()
    assert second.get("/bgrs").status == 200
    assert second.result(rid).body == b"[false]"


def test_an_expired_one_is_gone_and_cannot_run_again(open_door) -> None:
    door = open_door(executor="worker")
    rid = door.ask("/items")
    now = time.time()
    assert len(door.service._ledger.expire(Expire(queued_before=now + 1, now=now, limit=9)).wait()) == 1
    answer = door.get(f"/bgrs/{rid}/result")
    assert (answer.status, answer.header("bgrs-status"), answer.json()["rid"]) == (410, "expired", rid)
    assert door.status(rid)["status_id"] == "8"
    assert retry(door, rid).status == 409


def test_a_finished_or_running_or_queued_one_cannot_be_retried(open_door) -> None:
    door = open_door(concurrency=1)
    finished = door.ask("/items")
    door.ended(finished)
    running = door.hold("a")
    queued = door.ask("/items")
    for rid in (finished, running, queued):
        answer = retry(door, rid)
        assert (answer.status, answer.json()["rid"]) == (409, rid)


def test_one_whose_request_is_no_longer_kept_cannot_be_retried(door: Door) -> None:
    rid = door.ask("/do/length:2/send:1")
    door.ended(rid)
    assert door.service._ledger.wipe_request(rid).wait().done
    answer = retry(door, rid)
    assert answer.status == 409
    assert "no longer kept" in answer.json()["detail"]


def test_the_first_attempts_progress_is_not_the_seconds(open_door) -> None:
    door = open_door(executor="worker")
    rid = door.ask("/do/ask", method="POST")
    lose(door, rid)
    retry(door, rid)
    document = door.status(rid)
    assert [document[name] for name in ("progress", "message", "started_dt", "finished_dt")] == [None] * 4
    assert document["attempt"] == "1"


def test_delete_removes_record_details_and_bodies(door: Door) -> None:
    rid = door.ask("/do/length:200000/send:200000", method="POST", body=b"x" * 100_000)
    door.ended(rid)
    assert len(body_files(door)) >= 1
    answer = door.call("DELETE", f"/bgrs/{rid}")
    assert (answer.status, answer.body) == (204, b"")
    unknown = door.get(f"/bgrs/{'0' * 32}")
    for path in (f"/bgrs/{rid}", f"/bgrs/{rid}/details", f"/bgrs/{rid}/result"):
        again = door.get(path)
        assert (again.status, again.headers, again.body) == (404, unknown.headers, unknown.body)
    door.clean_up()
    assert body_files(door) == []


def test_what_runs_cannot_be_deleted(door: Door) -> None:
    rid = door.hold("a")
    answer = door.call("DELETE", f"/bgrs/{rid}")
    assert (answer.status, answer.json()["rid"]) == (409, rid)
    assert door.status(rid)["status_name"] == "running"


def test_what_is_queued_is_deleted_with_its_body_and_never_runs(open_door) -> None:
    door = open_door(concurrency=1)
    door.hold("first")
    rid = door.ask("/do/see:it ran", method="POST", body=b"x" * 100_000)
    assert len(body_files(door)) == 1
    assert door.call("DELETE", f"/bgrs/{rid}").status == 204
    door.release("first")
    door.ended(door.ask("/items"))
    assert door.stage.seen == []
    door.clean_up()
    assert body_files(door) == []


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_ended_without_a_response_can_be_deleted_with_its_kept_request(open_door, state: str) -> None:
    door = open_door(concurrency=1)
    door.hold("first")
    rid = door.ask("/do/length:2/send:1", method="POST", body=b"x" * 100_000)
    if state == "cancelled":
        door.call("POST", f"/bgrs/{rid}/cancel")
    door.release("first")
    assert door.ended(rid)["status_name"] == state
    assert len(body_files(door)) == 1
    assert door.call("DELETE", f"/bgrs/{rid}").status == 204
    door.clean_up()
    assert body_files(door) == []
