"""The bounds of a server, as a client meets them: each has its clear answer, and the server goes on.

Those on what is asked for are in `test_accepted.py` (the queues), `test_replayed_requests.py` (bodies),
`test_bad_disk.py` (the floor of the disk) and `test_retention.py` (time in the queue).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrs_middleware import Rule

from .answer import Answer
from .bad_disks import body_files
from .door import Door

LIMITED = {"max_run_seconds": 0.5, "heartbeat_seconds": 0.05}
SHORT = Rule(path="/do/{steps:path}", methods=("GET",), background=False, max_run_seconds=0.1)


def is_failed(answer: Answer, rid: str) -> bool:
    """The answer for a request that has ended without a response."""
    assert answer.status == 500, answer
    assert answer.header("content-type") == "application/problem+json"
    return (answer.header("bgrs-status"), answer.json()["rid"]) == ("failed", rid)


# Time to run.


def test_a_run_over_its_time_fails_and_says_so_and_its_slot_is_given_back(open_door) -> None:
    door = open_door(concurrency=1, rules=(SHORT,), heartbeat_seconds=0.05)
    rid = door.ask("/do/gate:a")
    following = door.ask("/items")
    assert door.ended(rid)["status_name"] == "failed"
    assert is_failed(door.get(f"/bgrs/{rid}/result"), rid)
    assert door.details(rid) == ["started", "failed: it ran longer than max_run_seconds, 0.1 s"], "as the rule says"
    # A thread cannot be interrupted: under WSGI the slot is free when it returns.
    door.release("a")
    assert door.ended(following)["status_name"] == "finished"


def test_what_it_answers_after_its_time_changes_nothing_and_leaves_nothing(open_door, data_dir: Path) -> None:
    """Under WSGI it comes to its end undisturbed, under ASGI it holds on for a while."""
    door = open_door(**LIMITED)
    rid = door.ask("/do/stubborn:a/length:200000/send:200000")
    assert door.ended(rid)["status_name"] == "failed"
    before = door.get(f"/bgrs/{rid}")
    door.release("a")
    door.release("a-cleanup")
    while door.service._runs._time_is_up:
        assert is_failed(door.get(f"/bgrs/{rid}/result"), rid)
    door.clean_up()
    assert door.get(f"/bgrs/{rid}").body == before.body
    assert body_files(data_dir) == []


def test_it_can_be_run_again_by_its_owner(open_door) -> None:
    door = open_door(**LIMITED)
    rid = door.ask("/do/gate:a")
    assert door.ended(rid)["status_name"] == "failed"
    door.release("a")
    assert door.call("POST", f"/bgrs/{rid}/retry").status == 202
    assert door.result(rid).status == 200


# The response.


@pytest.mark.parametrize("steps", ["length:100001/send:100001", "length:100001/send:60000/send:40001"])
def test_a_response_over_its_limit_is_an_error_and_leaves_nothing(open_door, data_dir: Path, steps: str) -> None:
    door = open_door(max_result_bytes=100_000)
    rid = door.ask(f"/do/{steps}")
    assert door.ended(rid)["status_name"] == "failed"
    assert is_failed(door.get(f"/bgrs/{rid}/result"), rid)
    assert door.details(rid)[-1] == "failed: the response is longer than max_result_bytes, 100000 bytes"
    door.clean_up()
    assert body_files(data_dir) == []


def test_a_response_at_its_limit_is_a_result(open_door) -> None:
    door = open_door(max_result_bytes=100_000)
    assert len(door.result(door.ask("/do/length:100000/send:100000")).body) == 100_000


# Those who wait.


@pytest.fixture
def full(open_door) -> Door:
    """A door that holds as many as it may: one."""
    door: Door = open_door(max_waiters=1)
    rid = door.hold("a")
    door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    while door.service._waiting._count == 0:
        pass
    return door


def test_beyond_it_whoever_asks_is_answered_at_once(full: Door) -> None:
    """Nothing ends while these ask, so none of them was held."""
    rid = full.hold("b")
    asked = full.get("/do/gate:c?bgrs=yes&wait_for=25")
    assert asked.status == 202
    assert asked.header("retry-after") == "1"
    assert full.get(f"/bgrs/{rid}?wait_for=25").status == 200
    assert full.get(f"/bgrs/{rid}/result?wait_for=25").status == 202
    assert full.service._waiting._count == 1


def test_whose_wait_is_over_makes_room_for_another(full: Door) -> None:
    full.release("a")
    while full.service._waiting._count:
        pass
    assert full.get("/do/ask?bgrs=yes&wait_for=25").status == 200


def test_those_who_do_not_wait_do_not_count(full: Door) -> None:
    for _ in range(3):
        assert full.get("/items?bgrs=yes").status == 202
    assert full.service._waiting._count == 1
