"""Asking for the background (CONTRACT, section 1): marker, Prefer, rules, and what cannot be understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrs_middleware import Rule

from .answer import Answer
from .door import MIDDLEWARES, Door, Kind


def is_bad_request(answer: Answer, words: str) -> bool:
    if answer.status != 400 or answer.header("content-type") != "application/problem+json":
        return False
    return words in answer.json()["detail"]


@pytest.mark.parametrize("marker", ["bgrs=yes", "bgrs=1", "bgrs=true", "bgrs=YES", "bgrs=True", "bgrs=%79es"])
def test_each_spelling_of_yes_is_accepted(door: Door, marker: str) -> None:
    assert door.get(f"/items?a=1&{marker}").status == 202


def test_the_same_marker_twice_is_accepted(door: Door) -> None:
    assert door.get("/items?bgrs=yes&bgrs=1").status == 202


@pytest.mark.parametrize(
    "query", ["", "?bgrs=no", "?bgrs=0", "?bgrs=false", "?bgrs=NO", "?a=bgrs", "?bgrsx=yes", "?x=bgrs=yes"]
)
def test_an_ordinary_request_is_answered_by_the_application(door: Door, query: str) -> None:
    answer = door.get(f"/items{query}")
    assert answer.status == 200
    assert answer.json()["query"] == query.removeprefix("?")


@pytest.mark.parametrize(
    "query", ["bgrs=", "bgrs", "bgrs=maybe", "bgrs=2", "bgrs=yes&bgrs=no", "bgrs=%FF", "bgrs=+yes"]
)
def test_a_marker_without_a_meaning_is_refused(door: Door, query: str) -> None:
    answer = door.get(f"/items?{query}")
    assert is_bad_request(answer, "bgrs")


@pytest.mark.parametrize("wait", ["-1", "-0.5", "nan", "inf", "ten", "", "1,5", "0x10", "1_0", "%C2%B2", "1 2"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(door: Door, wait: str) -> None:
    assert is_bad_request(door.get(f"/items?bgrs=yes&wait_for={wait}"), "wait_for")


def test_two_different_waits_are_refused(door: Door) -> None:
    assert is_bad_request(door.get("/items?bgrs=yes&wait_for=1&wait_for=2"), "wait_for")


def test_what_is_refused_is_not_recorded(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    for query in ("bgrs=perhaps", "bgrs=yes&wait_for=-1", "bgrs=1&bgrs=0"):
        assert door.get(f"/items?{query}").status == 400
    second = door.ask("/items")
    # Ids count up by one: nothing came between.
    assert int(door.ended(second)["id"]) == int(door.ended(rid)["id"]) + 1


def test_another_parameter_name_can_be_the_marker(open_door) -> None:
    door = open_door(param="background")
    assert door.get("/items?background=yes").status == 202
    assert door.get("/items?bgrs=yes").status == 200
    assert is_bad_request(door.get("/items?background=x"), "background")


@pytest.mark.parametrize("wait", ["0", "0.0", ".5", "2", "1e-1"])
def test_decimals_are_taken_as_waits(door: Door, wait: str) -> None:
    rid_or_answer = door.get(f"/items?bgrs=yes&wait_for={wait}")
    assert rid_or_answer.status in (200, 202)


def test_with_no_wait_the_202_comes_at_once_even_if_the_work_never_ends(door: Door) -> None:
    answer = door.get("/do/gate:a?bgrs=yes&wait_for=0")
    assert answer.status == 202
    door.release("a")


def test_the_answer_itself_comes_within_the_wait(door: Door) -> None:
    answer = door.get("/do/me?bgrs=yes&wait_for=25")
    assert answer.status == 200
    assert answer.header("bgrs-request") == answer.json()[0]["rid"]


def test_a_wait_that_runs_out_ends_in_a_202(door: Door) -> None:
    answer = door.get("/do/gate:a?bgrs=yes&wait_for=0.01")
    assert answer.status == 202
    assert door.status(answer.rid)["status_name"] in ("queued", "running")


def test_a_wait_longer_than_allowed_is_cut(open_door) -> None:
    door = open_door(max_wait_seconds=0.01)
    assert door.get("/do/gate:a?bgrs=yes&wait_for=9999999").status == 202


def test_the_default_wait_holds_where_the_client_says_nothing(open_door) -> None:
    door = open_door(default_wait_seconds=25)
    assert door.get("/do/ask?bgrs=yes").json() == [False]
    assert door.get("/do/gate:a?bgrs=yes&wait_for=0").status == 202


@pytest.mark.parametrize(
    "lines",
    [
        ["respond-async"],
        ["Respond-Async"],
        ["handling=lenient", "respond-async"],
        ['x="a,b", respond-async; y=1, wait=0'],
        ["respond-async , wait=nonsense"],
    ],
)
def test_prefer_asks_for_the_background_and_is_said_to_be_applied(door: Door, lines: list[str]) -> None:
    answer = door.get("/items", [("Prefer", line) for line in lines])
    assert answer.status == 202
    assert answer.header("preference-applied") == "respond-async"


@pytest.mark.parametrize(
    "line", ["wait=5", "handling=lenient", "respond-asynchronously", 'x="respond-async"', "respond-async=no"]
)
def test_other_preferences_ask_for_nothing(door: Door, line: str) -> None:
    assert door.get("/items", [("Prefer", line)]).status == 200


def test_prefer_can_ask_for_a_wait(door: Door) -> None:
    answer = door.get("/do/ask", [("Prefer", "respond-async, wait=25")])
    assert (answer.status, answer.json()) == (200, [False])


def test_the_marker_no_goes_before_prefer_and_rules(open_door) -> None:
    door = open_door(rules=(Rule(path="/items", methods=("GET",)),))
    assert door.get("/items?bgrs=no", [("Prefer", "respond-async")]).status == 200
    assert door.get("/items").status == 202


def test_the_marker_alone_is_no_applied_preference(door: Door) -> None:
    assert door.get("/items?bgrs=yes").header("preference-applied") is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_any_method_can_be_run(door: Door, method: str) -> None:
    rid = door.ask("/items", method=method)
    assert door.result(rid).json()["method"] == method


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options_are_passed_on_with_their_query(door: Door, method: str) -> None:
    answer = door.call(method, "/items?bgrs=yes", [("Prefer", "respond-async")])
    assert answer.status == 200
    assert answer.header("bgrs-request") is None
    if method == "OPTIONS":
        assert answer.json()["query"] == "bgrs=yes"


def test_a_replay_starts_no_other_even_where_a_rule_matches_it_again(open_door, kind: Kind, tmp_path: Path) -> None:
    rules = (Rule(path="/do/{steps:path}", methods=("GET",)),)
    unused = tmp_path / "unused"
    door = open_door(
        rules=rules, lifespan=False, wrap=lambda app: MIDDLEWARES[kind](app, rules=rules, data_dir=str(unused))
    )
    rid = door.get("/do/me").rid
    assert door.result(rid).json()[0]["rid"] == rid
    assert not unused.exists()


def test_no_header_of_a_client_makes_its_request_a_replay(door: Door) -> None:
    names = ("Bgrs-Request", "X-Bgrs-Replay", "bgrs_middleware.replay", "BGRS-MIDDLEWARE.REPLAY")
    assert door.get("/do/me?bgrs=no", [(name, "1") for name in names]).json() == []
    assert door.get("/items?bgrs=yes", [(name, "1") for name in names]).status == 202
