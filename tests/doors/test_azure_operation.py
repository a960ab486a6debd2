"""The document at `Operation-Location` (CONTRACT, section 5): what it says at each turn, and to whom."""

from __future__ import annotations

import re

import pytest

from .door import Door

KEYS = ["id", "status", "percentComplete", "createdDateTime", "resourceLocation"]
ANN, BEN = [("Authorization", "Bearer ann")], [("Authorization", "Bearer ben")]


def operation(door: Door, rid: str):
    answer = door.get(f"/bgrs/{rid}/operation")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert (answer.header("cache-control"), answer.header("x-content-type-options")) == ("no-store", "nosniff")
    return answer


def test_the_202_leads_to_it(door: Door) -> None:
    accepted = door.get("/items?bgrs=yes")
    found = accepted.header("operation-location") or ""
    answer = door.get(found.removeprefix("http://api.example.com"))
    assert answer.json()["id"] == accepted.rid
    assert answer.json()["resourceLocation"] == accepted.header("location")


def test_one_that_runs_has_its_progress_and_when_to_ask_again(door: Door) -> None:
    rid = door.ask("/do/progress:40/gate:a")
    door.stage.gate("a").wait_until_reached()
    answer = operation(door, rid)
    document = answer.json()
    assert list(document) == KEYS
    assert (document["id"], document["status"], document["percentComplete"]) == (rid, "Running", 40.0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", document["createdDateTime"])
    assert answer.header("retry-after") == door.get(f"/bgrs/{rid}/result").header("retry-after")
    assert int(answer.header("retry-after") or 0) >= 1


def test_one_that_waits_has_not_started(open_door) -> None:
    door = open_door(executor="worker")
    answer = operation(door, door.ask("/items"))
    assert (answer.json()["status"], answer.json()["percentComplete"]) == ("NotStarted", None)
    assert answer.header("retry-after") == "1"


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/items", "Succeeded", None),
        ("/do/progress:30/length:9/send:3", "Failed", "REQUEST_FAILED"),
        ("/do/raise:so", "Failed", "HTTP_500"),
    ],
)
def test_one_that_has_ended_says_how_and_that_there_is_nothing_to_wait_for(
    door: Door, target: str, status: str, code: str | None
) -> None:
    rid = door.ask(target)
    door.ended(rid)
    answer = operation(door, rid)
    document = answer.json()
    assert document["status"] == status
    assert document.get("error", {}).get("code") == code
    assert list(document) == KEYS + ["error"] * (code is not None)
    assert answer.header("retry-after") is None


def test_one_that_is_cancelled_stays_running_until_it_has_stopped(door: Door) -> None:
    rid = door.hold("a")
    door.call("POST", f"/bgrs/{rid}/cancel")
    assert operation(door, rid).json()["status"] in ("Running", "Canceled")
    door.release("a")
    ended = door.ended(rid)["status_name"]
    # A WSGI handler that never asks has done its work.
    assert operation(door, rid).json()["status"] == {"cancelled": "Canceled", "finished": "Succeeded"}[ended]


def test_head_has_the_headers_of_get_and_no_body(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    head = door.call("HEAD", f"/bgrs/{rid}/operation")
    assert (head.status, head.headers, head.body) == (200, operation(door, rid).headers, b"")


@pytest.mark.parametrize(
    ("access", "for_nobody", "for_ben"), [("link", 200, 200), ("authenticated", 404, 200), ("owner", 404, 404)]
)
def test_who_may_read_the_status_may_read_it(open_door, access: str, for_nobody: int, for_ben: int) -> None:
    door = open_door(access=access)
    rid = door.ask("/items", ANN)
    found = [door.get(f"/bgrs/{rid}/operation", headers) for headers in (ANN, [], BEN)]
    assert [answer.status for answer in found] == [200, for_nobody, for_ben]
    unknown = door.get(f"/bgrs/{'0' * 32}/operation")
    assert {answer.body for answer in found if answer.status == 404} <= {unknown.body}
    assert unknown.status == 404


def test_it_can_only_be_read(door: Door) -> None:
    answer = door.call("POST", f"/bgrs/{door.ask('/items')}/operation")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
