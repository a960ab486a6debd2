"""`Idempotency-Key` through the doors (CONTRACT, section 6): who repeats a request gets the first, and starts none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware import Rule

from .answer import Answer
from .door import Door

KEY = ("Idempotency-Key", '"8e03978e-40d5-43dd-bc93-6894a57f9324"')
BIG = b"x" * 300_000


def bodies(data_dir: Path) -> list[str]:
    """The stored bodies of requests, whole or not."""
    return [file.name for file in (data_dir / "bodies").rglob("*.request*")]


def post(door: Door, target: str = "/do/see:started?bgrs=yes", body: bytes = b"", *more: tuple[str, str]) -> Answer:
    return door.call("POST", target, [KEY, *more], body)


def test_a_repeat_gets_the_same_rid_while_it_runs_and_when_it_has_ended(door: Door) -> None:
    target = "/do/see:started/gate:a?bgrs=yes"
    first = post(door, target)
    door.stage.gate("a").wait_until_reached()
    running = post(door, target)
    door.release("a")
    door.ended(first.rid)
    ended = post(door, target)
    assert [answer.status for answer in (first, running, ended)] == [202, 202, 202]
    assert first.rid == running.rid == ended.rid
    assert first.header("location") == ended.header("location")
    assert door.stage.seen == ["started"]


def test_a_repeat_that_waits_gets_the_response_itself_as_the_first_would_have(door: Door) -> None:
    target = "/do/see:started/me?bgrs=yes&wait_for=20"
    first, again = post(door, target), post(door, target)
    assert (first.status, first.body) == (again.status, again.body)
    assert first.header("bgrs-request") == again.header("bgrs-request")
    assert door.stage.seen == ["started"]


def test_a_repeat_may_wait_for_another_time_and_ask_in_another_way(door: Door) -> None:
    first = post(door, "/do/see:started/me?bgrs=yes&wait_for=0&a=1")
    again = post(door, "/do/see:started/me?a=1&wait_for=20&bgrs=1")
    preferred = post(door, "/do/see:started/me?a=1", b"", ("Prefer", "respond-async, wait=20"))
    assert (first.status, again.status, preferred.status) == (202, 200, 200)
    assert again.header("bgrs-request") == preferred.header("bgrs-request") == first.rid
    assert door.stage.seen == ["started"]


def test_a_repeat_waits_for_what_still_runs(door: Door) -> None:
    target = "/do/gate:a/me?bgrs=yes&wait_for=20"
    first = door.start("POST", target, [KEY])
    door.stage.gate("a").wait_until_reached()
    again = door.start("POST", target, [KEY])
    door.release("a")
    assert first.result().body == again.result().body
    assert first.result().status == again.result().status == 200


@pytest.mark.parametrize("body", [b"a=1", BIG])
def test_another_request_with_the_key_is_refused_and_nothing_of_it_is_kept(
    door: Door, data_dir: Path, body: bytes
) -> None:
    rid = post(door, body=body).rid
    refused = [
        post(door, body=body + b"!"),
        post(door, "/do/see:other?bgrs=yes", body),
        post(door, "/do/see:started?bgrs=yes&a=1", body),
        door.call("PUT", "/do/see:started?bgrs=yes", [KEY], body),
    ]
    assert {answer.status for answer in refused} == {422}
    document = refused[0].json()
    assert (document["title"], document["status"]) == ("Unprocessable Content", 422)
    assert "Idempotency-Key" in document["detail"]
    assert rid not in refused[0].body.decode(), "who asks for something else is told nothing of the first"
    assert "rid" not in document
    assert post(door, body=body).rid == rid
    door.ended(rid)
    door.clean_up()
    assert door.stage.seen == ["started"]
    assert bodies(data_dir) == []


def test_the_body_of_a_repeat_is_dropped_and_that_of_the_first_is_replayed(door: Door, data_dir: Path) -> None:
    gate = door.hold("occupied")
    rids = {post(door, "/echo?bgrs=yes", BIG).rid for _ in range(3)}
    door.release("occupied")
    [rid] = rids
    assert door.result(rid).json()["length"] == len(BIG)
    door.ended(gate)
    door.clean_up()
    assert bodies(data_dir) == []


@pytest.mark.parametrize("value", ["abc", "", '""', '"a', '"' + "k" * 256 + '"', '"a", "b"', "1"])
def test_a_key_that_cannot_be_understood_is_refused_and_nothing_is_recorded(door: Door, value: str) -> None:
    answer = door.call("POST", "/do/see:started?bgrs=yes", [("Idempotency-Key", value)])
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json()["detail"]
    assert door.ended(door.ask("/items"))["id"] == "1", "the first that is recorded"
    assert door.stage.seen == []


def test_two_lines_with_different_keys_are_refused_and_two_equal_ones_are_one(door: Door) -> None:
    assert post(door, "/items?bgrs=yes", b"", ("Idempotency-Key", '"other"')).status == 400
    assert post(door, "/items?bgrs=yes", b"", KEY).rid == post(door, "/items?bgrs=yes").rid


def test_an_ordinary_request_passes_with_whatever_key_it_has(door: Door) -> None:
    for value in ("abc", '"a"'):
        answer = door.call("POST", "/items", [("Idempotency-Key", value)])
        assert answer.status == 200
        assert ["idempotency-key", value] in lowered(answer.json()["headers"])


def test_the_header_is_replayed_as_it_was_received(door: Door) -> None:
    value = '"a\\"b";v=1'
    rid = door.call("POST", "/items?bgrs=yes", [("Idempotency-Key", value)]).rid
    assert ["idempotency-key", value] in lowered(door.result(rid).json()["headers"])


def lowered(headers: Any) -> list[list[str]]:
    return [[str(name).lower().removeprefix("http_").replace("_", "-"), str(value)] for name, value in headers]


def test_callers_do_not_see_each_others_keys_and_anonymous_ones_share_theirs(door: Door) -> None:
    alice, bob = ("Authorization", "Bearer a"), ("Authorization", "Bearer b")
    rids = [post(door, "/items?bgrs=yes", b"", *who).rid for who in ([alice], [bob], [], [alice], [bob], [])]
    assert rids[:3] == rids[3:]
    assert len(set(rids)) == 3
    assert post(door, "/other?bgrs=yes", b"", ("Authorization", "Bearer c")).status == 202


def test_an_anonymous_caller_with_other_cookies_gets_nothing_of_another_ones(door: Door) -> None:
    first = post(door, "/do/see:started/me?bgrs=yes", b"", ("Cookie", "session=ann"))
    door.ended(first.rid)
    assert post(door, "/do/see:started/me?bgrs=yes", b"", ("Cookie", "session=ben")).status == 422
    assert post(door, "/do/see:started/me?bgrs=yes", b"", ("Cookie", "session=ann")).rid == first.rid
    assert door.stage.seen == ["started"]


def test_a_caller_keeps_their_keys_when_the_secret_keys_are_rotated(open_door: Callable[..., Door]) -> None:
    old, new = "old-secret-old-secret", "new-secret-new-secret"
    alice = ("Authorization", "Bearer a")
    first = open_door(secret_keys=(old,))
    rid = post(first, "/items?bgrs=yes", b"", alice).rid
    first.ended(rid)
    first.close()
    later = open_door(secret_keys=(new, old))
    assert post(later, "/items?bgrs=yes", b"", alice).rid == rid
    assert post(later, "/items?bgrs=yes&a=1", b"", alice).status == 422


def test_the_key_lives_as_long_as_the_record(door: Door) -> None:
    rid = post(door, "/items?bgrs=yes").rid
    door.ended(rid)
    assert door.call("DELETE", f"/bgrs/{rid}").status == 204
    again = post(door, "/other?bgrs=yes").rid
    assert again != rid
    door.ended(again)


def test_a_repeat_is_never_refused_for_a_full_queue(open_door: Callable[..., Door]) -> None:
    door = open_door(concurrency=1, max_queued=1)
    door.hold("a")
    first = post(door, "/items?bgrs=yes")
    assert first.status == 202
    assert door.get("/items?bgrs=yes").status == 503
    assert post(door, "/items?bgrs=yes").rid == first.rid
    assert post(door, "/other?bgrs=yes").status == 422
    door.release("a")
    door.ended(first.rid)


def test_a_request_that_was_cancelled_is_still_what_its_key_stands_for(door: Door) -> None:
    target = "/do/gate:a?bgrs=yes"
    rid = post(door, target).rid
    door.stage.gate("a").wait_until_reached()
    door.call("POST", f"/bgrs/{rid}/cancel")
    door.release("a")
    door.ended(rid)
    assert post(door, target).rid == rid


def test_natifs_mode_takes_the_key_and_answers_with_its_own_name_for_the_rid(open_door: Callable[..., Door]) -> None:
    door = open_door(rules=(Rule(path="/do/{steps:path}", id_field="processing_id", wait_seconds=20.0),))
    first, again = (post(door, "/do/see:started?wait_for=0") for _ in range(2))
    assert first.status == again.status == 202
    assert first.json() == again.json() == {"processing_id": first.json()["processing_id"]}
    other = ("Idempotency-Key", '"other"')
    waited, repeated = (door.call("POST", "/do/see:waited/me", [other]) for _ in range(2))
    assert waited.status == repeated.status == 200
    assert waited.body == repeated.body
    door.ended(first.json()["processing_id"])
    assert sorted(door.stage.seen) == ["started", "waited"]


def test_a_rule_that_returns_operations_returns_the_same_one(open_door: Callable[..., Door]) -> None:
    door = open_door(rules=(Rule(path="/do/{steps:path}", returns_operation=True),))
    first, again = (post(door, "/do/see:started/gate:a") for _ in range(2))
    assert first.status == again.status == 200
    assert first.json()["name"] == again.json()["name"]
    door.release("a")
    door.ended(first.json()["name"].rpartition("/")[2])
    assert post(door, "/do/see:started/gate:a").json()["done"] is True
    assert door.stage.seen == ["started"]


def test_a_preference_takes_the_key_and_is_told_that_it_was_applied(door: Door) -> None:
    prefer = ("Prefer", "respond-async")
    first, again = (post(door, "/do/see:started", b"", prefer) for _ in range(2))
    assert first.rid == again.rid
    assert first.header("preference-applied") == again.header("preference-applied") == "respond-async"
    door.ended(first.rid)
    assert door.stage.seen == ["started"]
