"""The status document, key for key, and the details (CONTRACT, section 3)."""

from __future__ import annotations

import re

import pytest

from .door import Door

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
BEARS_KEYS = [
    "id", "rid", "user_id", "name", "created_dt", "status_id", "status_name", "progress", "finished_dt", "status",
    "content_type", "result",
]  # fmt: skip


def test_the_document_of_a_finished_request_is_bears_key_for_key(door: Door) -> None:
    rid = door.ask("/do/ask?name=x")
    door.ended(rid)
    answer = door.get(f"/bgrs/{rid}")
    assert answer.header("content-type") == "application/json"
    (document,) = answer.json()
    assert list(document)[:12] == BEARS_KEYS
    times = {name: document.pop(name) for name in ("created_dt", "finished_dt", "queued_dt", "started_dt")}
    assert all(TIME.fullmatch(time) for time in times.values())
    assert document == {
        "id": "1",
        "rid": rid,
        "user_id": None,
        "name": "/do/ask?name=x&bgrs=yes",
        "status_id": "4",
        "status_name": "finished",
        "progress": "100.00",
        "status": "200",
        "content_type": "application/json",
        "result": f"media/keep1m.bgrs.{rid}.result.json",
        "method": "GET",
        "type": "GET_DO_ASK",
        "parent": None,
        "attempt": "1",
        "message": None,
        "items": [],
    }


def test_what_is_not_known_yet_is_null(open_door) -> None:
    door = open_door(executor="worker")
    document = door.status(door.ask("/items"))
    assert (document["status_id"], document["status_name"], document["attempt"]) == ("1", "queued", "0")
    unknown = ("user_id", "progress", "finished_dt", "status", "content_type", "result", "started_dt", "message")
    assert [document[name] for name in unknown] == [None] * len(unknown)


def test_a_running_one_says_so(door: Door) -> None:
    document = door.status(door.hold("a"))
    assert (document["status_id"], document["status_name"], document["finished_dt"]) == ("2", "running", None)
    assert TIME.fullmatch(document["started_dt"])


def test_a_failed_one_has_no_response(door: Door) -> None:
    document = door.ended(door.ask("/do/progress:30/length:9/send:3"))
    assert (document["status_id"], document["status_name"], document["progress"]) == ("5", "failed", "30.00")
    assert (document["status"], document["content_type"], document["result"]) == (None, None, None)
    assert TIME.fullmatch(document["finished_dt"])


def test_ids_count_up_from_one(door: Door) -> None:
    assert [door.ended(door.ask("/items"))["id"] for _ in range(3)] == ["1", "2", "3"]


def test_values_of_secret_parameters_are_masked_in_the_name(door: Door) -> None:
    rid = door.ask("/items?api_key=abc&page=2&token=&access-token=d%20e")
    assert door.ended(rid)["name"] == "/items?api_key=***&page=2&token=&access-token=***&bgrs=yes"
    # The application gets them as they were sent.
    assert door.get(f"/bgrs/{rid}/result").json()["query"] == "api_key=abc&page=2&token=&access-token=d%20e"


@pytest.mark.parametrize(
    ("days", "kept"), [(30, "keep1m"), (7, "keep7d"), (365, "keep1y"), (60, "keep2m"), (0.5, "keep1d")]
)
def test_the_result_is_named_by_retention_and_type(open_door, days: float, kept: str) -> None:
    door = open_door(retention_days=days)
    rid = door.ask("/do/length:1/send:1")
    assert door.ended(rid)["result"] == f"media/{kept}.bgrs.{rid}.result.txt"


def test_the_documents_etag_changes_with_the_document_only(door: Door) -> None:
    rid = door.hold("a")
    first = door.get(f"/bgrs/{rid}")
    etag = first.header("etag") or ""
    again = door.get(f"/bgrs/{rid}", [("If-None-Match", etag)])
    assert (again.status, again.body, again.header("etag")) == (304, b"", etag)
    door.release("a")
    door.ended(rid)
    changed = door.get(f"/bgrs/{rid}", [("If-None-Match", etag)])
    assert changed.status == 200
    assert changed.header("etag") not in (None, etag)


def test_head_of_the_status_has_the_headers_of_get_and_no_body(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    got, head = door.get(f"/bgrs/{rid}"), door.call("HEAD", f"/bgrs/{rid}")
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")


def test_a_slash_at_the_end_is_tolerated(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    for path in (f"/bgrs/{rid}", f"/bgrs/{rid}/result", f"/bgrs/{rid}/details", "/bgrs"):
        assert door.get(f"{path}/").body == door.get(path).body


def test_each_turn_is_a_detail(door: Door) -> None:
    rid = door.ask("/do/progress:1:first/progress:2:second/progress:3:second/progress:4")
    door.ended(rid)
    assert door.details(rid) == ["started", "first", "second", "done"]


def test_details_have_bears_keys_and_are_continued_by_their_ids(door: Door) -> None:
    rid = door.ask("/do/progress:1:first/progress:2:second")
    door.ended(rid)
    entries = door.get(f"/bgrs/{rid}/details").json()
    assert all(list(entry) == ["id", "rid", "dt", "details"] for entry in entries)
    assert all(entry["rid"] == rid and TIME.fullmatch(entry["dt"]) for entry in entries)
    ids = [int(entry["id"]) for entry in entries]
    assert ids == sorted(set(ids))
    newer = door.get(f"/bgrs/{rid}/details?after={ids[1]}").json()
    assert newer == entries[2:]
    assert door.get(f"/bgrs/{rid}/details?after={ids[-1]}").json() == []


def test_details_of_a_running_request_are_there_as_soon_as_they_are_reported(door: Door) -> None:
    rid = door.ask("/do/progress:10:halfway there/gate:a")
    door.stage.gate("a").wait_until_reached()
    assert door.details(rid) == ["started", "halfway there"]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "%C2%B2"])
def test_an_after_that_is_no_id_is_refused(door: Door, after: str) -> None:
    rid = door.ask("/items")
    assert door.get(f"/bgrs/{rid}/details?after={after}").status == 400


def test_an_after_beyond_all_ids_finds_nothing(door: Door) -> None:
    rid = door.ask("/items")
    assert door.get(f"/bgrs/{rid}/details?after={'9' * 30}").json() == []


def test_why_it_failed_stands_in_the_details(door: Door) -> None:
    rid = door.ask("/do/length:9/send:3/raise:out of paper")
    door.ended(rid)
    assert "out of paper" in door.details(rid)[-1]
    assert door.details(rid)[-1].startswith("failed")


def test_withheld_headers_are_named_in_the_details(door: Door) -> None:
    plan = '{"way": "whole", "headers": [["Set-Cookie", "a=1"], ["Alt-Svc", "clear"]], "sizes": []}'
    rid = door.ask("/items", [("X-Plan", plan)])
    door.ended(rid)
    (told,) = [text for text in door.details(rid) if "set-cookie" in text]
    assert "alt-svc" in told
    assert "a=1" not in told
