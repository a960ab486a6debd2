"""Refusals (CONTRACT, section 3): problem+json, and one 404 for all that a caller may not know."""

from __future__ import annotations

import pytest

from .answer import Answer
from .door import Door

ANN = [("Authorization", "Bearer ann")]
BEN = [("Authorization", "Bearer ben")]
UNKNOWN = "0" * 32


def seen(answer: Answer) -> tuple[object, ...]:
    """All that a client can tell two answers apart by."""
    return answer.status, answer.headers, answer.body


def test_a_refusal_is_a_problem_with_the_four_members(door: Door) -> None:
    answer = door.get(f"/bgrs/{UNKNOWN}")
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such background request.",
    }


@pytest.mark.parametrize(
    "rid",
    ["x", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 31 + "%00", "%30" * 31 + "g", "0" * 31 + "\xe9",
     "..%2F" + "0" * 27, "0" * 31 + "%0A", "0" * 31 + "%20", "null"],
)  # fmt: skip
@pytest.mark.parametrize("action", ["", "/details", "/result"])
def test_unknown_and_malformed_ids_are_the_same_404(door: Door, rid: str, action: str) -> None:
    unknown = door.get(f"/bgrs/{UNKNOWN}{action}")
    assert unknown.status == 404
    assert seen(door.get(f"/bgrs/{rid}{action}")) == seen(unknown)


@pytest.mark.parametrize(("method", "action"), [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")])
def test_the_same_404_for_what_changes_something(door: Door, method: str, action: str) -> None:
    unknown = seen(door.get(f"/bgrs/{UNKNOWN}"))
    assert seen(door.call(method, f"/bgrs/{UNKNOWN}{action}")) == unknown
    assert seen(door.call(method, f"/bgrs/no-rid{action}")) == unknown


def test_what_the_caller_may_not_see_is_the_same_404(open_door) -> None:
    door = open_door(access="owner")
    unknown = seen(door.get(f"/bgrs/{UNKNOWN}"))
    rid = door.ask("/items", ANN)
    door.ended(rid, ANN)
    for headers in ([], BEN):
        for path in (f"/bgrs/{rid}", f"/bgrs/{rid}/result", f"/bgrs/{rid}/details", f"/bgrs/{rid}/result?wait_for=1"):
            assert seen(door.get(path, headers)) == unknown
        for method, path in (
            ("POST", f"/bgrs/{rid}/cancel"),
            ("POST", f"/bgrs/{rid}/retry"),
            ("DELETE", f"/bgrs/{rid}"),
        ):
            assert seen(door.call(method, path, headers)) == unknown
        conditional = [*headers, ("If-None-Match", "*"), ("Range", "bytes=0-0")]
        assert seen(door.get(f"/bgrs/{rid}/result", conditional)) == unknown
    assert door.get(f"/bgrs/{rid}", ANN).status == 200


@pytest.mark.parametrize(
    "path", ["/bgrs/{rid}/nothing", "/bgrs/{rid}/result/more", "/bgrs//{rid}", "/bgrs/{rid}//", "/bgrs//"]
)
def test_what_is_no_route_is_not_found(door: Door, path: str) -> None:
    rid = door.ask("/items")
    assert door.get(path.format(rid=rid)).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/bgrs/{rid}", "GET, HEAD, DELETE"),
        ("PUT", "/bgrs/{rid}", "GET, HEAD, DELETE"),
        ("POST", "/bgrs/{rid}/details", "GET, HEAD"),
        ("DELETE", "/bgrs/{rid}/result", "GET, HEAD"),
        ("OPTIONS", "/bgrs/{rid}/result", "GET, HEAD"),
        ("GET", "/bgrs/{rid}/cancel", "POST"),
        ("HEAD", "/bgrs/{rid}/retry", "POST"),
    ],
)
def test_another_method_is_refused_and_the_right_ones_are_named(
    door: Door, method: str, path: str, allowed: str
) -> None:
    for rid in (door.ask("/items"), UNKNOWN, "no-rid"):
        answer = door.call(method, path.format(rid=rid))
        assert (answer.status, answer.header("allow")) == (405, allowed)


def test_a_refused_head_has_no_body(door: Door) -> None:
    for path in (f"/bgrs/{UNKNOWN}", "/bgrs/x/result", f"/bgrs/{UNKNOWN}/cancel", "/bgrs?page_size=x"):
        got, head = door.get(path), door.call("HEAD", path)
        assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def test_paths_that_only_begin_alike_belong_to_the_application(door: Door) -> None:
    for path in ("/bgrsx", f"/bgrs{UNKNOWN}", f"/api/bgrs/{UNKNOWN}", "/xbgrs/", "/BGRS/x"):
        answer = door.get(path)
        assert (answer.status, answer.json()["path"]) == (200, path)


def test_an_encoded_path_is_ours_as_the_application_would_see_it(door: Door) -> None:
    rid = door.ask("/items")
    assert door.get(f"/%62grs/{rid}").json()[0]["rid"] == rid


def test_a_marker_on_our_own_routes_means_nothing(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    assert door.get(f"/bgrs/{rid}?bgrs=yes").json()[0]["rid"] == rid
    assert door.get(f"/bgrs/{rid}", [("Prefer", "respond-async")]).json()[0]["rid"] == rid
    assert door.get(f"/bgrs/{rid}?bgrs=nonsense").status == 200
