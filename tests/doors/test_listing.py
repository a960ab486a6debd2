"""The list of a caller's requests (CONTRACT, section 3): their own, newest first, in pages."""

from __future__ import annotations

import pytest

from .door import Door

ANN = [("Authorization", "Bearer ann")]
BEN = [("Authorization", "Bearer ben")]


def rids(document) -> list[str]:
    return [entry["rid"] for entry in document["requests"]]


def test_the_list_has_the_callers_own_newest_first(open_door) -> None:
    door = open_door(executor="worker")
    mine = [door.ask("/items", ANN) for _ in range(3)]
    door.ask("/items", BEN)
    door.ask("/items")
    answer = door.get("/bgrs", ANN)
    assert answer.status == 200
    assert rids(answer.json()) == mine[::-1]
    assert answer.json()["next_page_token"] is None
    assert answer.json()["requests"][0] == door.status(mine[-1], ANN)


def test_an_anonymous_callers_list_is_empty(open_door) -> None:
    door = open_door(executor="worker")
    door.ask("/items")
    assert door.get("/bgrs").json() == {"requests": [], "next_page_token": None}


def test_pages_follow_one_another_to_the_end(open_door) -> None:
    door = open_door(executor="worker")
    mine = [door.ask("/items", ANN) for _ in range(5)]
    found: list[str] = []
    token = ""
    while True:
        page = door.get(f"/bgrs?page_size=2&page_token={token}", ANN).json()
        assert len(page["requests"]) <= 2
        found += rids(page)
        # What comes meanwhile does not move the pages.
        door.ask("/items", ANN)
        token = page["next_page_token"]
        if token is None:
            break
    assert found == mine[::-1]


def test_states_can_be_chosen_by_name_and_number(open_door) -> None:
    door = open_door(executor="worker")
    kept = door.ask("/items", ANN)
    cancelled = door.ask("/items", ANN)
    door.call("POST", f"/bgrs/{cancelled}/cancel", ANN)
    assert rids(door.get("/bgrs?status=cancelled", ANN).json()) == [cancelled]
    assert rids(door.get("/bgrs?status=1", ANN).json()) == [kept]
    assert rids(door.get("/bgrs?status=queued,cancelled", ANN).json()) == [cancelled, kept]
    assert rids(door.get("/bgrs?status=finished", ANN).json()) == []


@pytest.mark.parametrize("query", ["status=sleeping", "page_size=-1", "page_size=x", "page_size=1.5", "page_token=x"])
def test_what_is_not_understood_is_refused(door: Door, query: str) -> None:
    assert door.get(f"/bgrs?{query}", ANN).status == 400


@pytest.mark.parametrize(("size", "expected"), [("0", 50), ("1000", 200), ("9" * 40, 200), ("", 50)])
def test_the_page_size_has_a_default_and_a_limit(open_door, size: str, expected: int) -> None:
    door = open_door(executor="worker", max_queued_per_caller=1000)
    for _ in range(expected + 1):
        door.ask("/items", ANN)
    page = door.get(f"/bgrs?page_size={size}", ANN).json()
    assert len(page["requests"]) == expected
    assert page["next_page_token"] is not None


def test_a_page_token_is_for_its_owner_and_its_states_only(open_door) -> None:
    door = open_door(executor="worker")
    for _ in range(3):
        door.ask("/items", ANN)
        door.ask("/items", BEN)
    token = door.get("/bgrs?page_size=1", ANN).json()["next_page_token"]
    assert door.get(f"/bgrs?page_size=1&page_token={token}", ANN).status == 200
    assert door.get(f"/bgrs?page_size=1&page_token={token}", BEN).status == 400
    assert door.get(f"/bgrs?page_size=1&page_token={token}&status=queued", ANN).status == 400
    assert door.get(f"/bgrs?page_size=1&page_token={token[:-2]}", ANN).status == 400


def test_a_running_one_shows_its_progress_of_this_moment(door: Door) -> None:
    rid = door.ask("/do/progress:42:sorting/gate:a", ANN)
    door.stage.gate("a").wait_until_reached()
    (entry,) = door.get("/bgrs", ANN).json()["requests"]
    assert (entry["rid"], entry["progress"], entry["message"]) == (rid, "42.00", "sorting")


def test_head_of_the_list_has_no_body(door: Door) -> None:
    got, head = door.get("/bgrs", ANN), door.call("HEAD", "/bgrs", ANN)
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_the_list_is_read_only(door: Door, method: str) -> None:
    answer = door.call(method, "/bgrs", ANN)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST")
