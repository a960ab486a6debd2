"""Who asks far too fast gets a 429 that says when to ask again; who waits, or asks for what has ended, never does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bgrs_middleware import Rule
from bgrs_middleware.models import DEFAULT_OPERATIONS_PARENT

from .answer import Answer
from .door import Door

OPERATION = f"/bgrs/v1/{DEFAULT_OPERATIONS_PARENT}/operations/{{rid}}"
POLLED = ("/bgrs/{rid}", "/bgrs/{rid}/details", "/bgrs/{rid}/result", "/bgrs/{rid}/operation", OPERATION)
RULE = Rule(path="/processing/{workflow}", id_field="processing_id", results_path="/processing/results/{id}")
OpenDoor = Callable[..., Door]


def statuses(door: Door, target: str, times: int) -> list[int]:
    return [door.get(target).status for _ in range(times)]


@pytest.fixture
def strict(open_door: OpenDoor) -> Door:
    """A door that takes two polls at once, and then one a second."""
    return open_door(max_polls_per_second=1, rules=(RULE,))


@pytest.mark.parametrize("target", POLLED)
def test_each_route_that_tells_of_one_counts(strict: Door, target: str) -> None:
    rid = strict.hold("a")
    answers = [strict.get(target.format(rid=rid)) for _ in range(6)]
    refused = [answer for answer in answers if answer.status == 429]
    assert [answer.status for answer in answers[:2] if answer.status not in (200, 202)] == []
    assert refused
    assert all(int(answer.header("retry-after") or "") >= 1 for answer in refused)


def test_the_routes_are_counted_together(strict: Door) -> None:
    rid = strict.hold("a")
    assert 429 in [strict.get(target.format(rid=rid)).status for target in POLLED]


def test_the_refusal_is_a_problem_that_says_what_is_better(strict: Door) -> None:
    rid = strict.hold("a")
    answer = refusal_of(strict, f"/bgrs/{rid}")
    assert answer.header("content-type") == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["title"], document["rid"]) == (429, "Too Many Requests", rid)
    assert "wait_for" in document["detail"]


def test_to_googles_clients_it_is_resource_exhausted(strict: Door) -> None:
    rid = strict.hold("a")
    error = refusal_of(strict, OPERATION.format(rid=rid)).json()["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")


def refusal_of(door: Door, target: str) -> Answer:
    for _ in range(20):
        answer = door.get(target)
        if answer.status == 429:
            return answer
    raise AssertionError("nothing was refused")


def test_what_another_process_runs_is_counted_too(open_door: OpenDoor) -> None:
    """It is answered by the reader's thread."""
    door = open_door(executor="worker", max_polls_per_second=1)
    rid = door.ask("/do/ask")
    assert 429 in statuses(door, f"/bgrs/{rid}", 6)
    assert statuses(door, f"/bgrs/{rid[::-1]}", 6) == [404] * 6


def test_what_has_ended_is_read_as_often_as_one_likes(strict: Door) -> None:
    rid = strict.hold("a")
    refusal_of(strict, f"/bgrs/{rid}")
    strict.release("a")
    strict.get(f"/bgrs/{rid}/result?wait_for=25")
    for target in POLLED:
        assert statuses(strict, target.format(rid=rid), 5) == [200] * 5


def test_callers_do_not_count_for_each_other(strict: Door) -> None:
    rid = strict.hold("a")
    refusal_of(strict, f"/bgrs/{rid}")
    assert strict.get(f"/bgrs/{rid}", [("authorization", "Bearer other")]).status == 200


def test_waiting_costs_nothing(strict: Door) -> None:
    rid = strict.hold("a")
    held = [strict.start("GET", f"/bgrs/{rid}{end}?wait_for=1") for end in ("", "/result") * 4]
    assert sorted(each.result(60).status for each in held) == [200] * 4 + [202] * 4
    assert strict.get(f"/bgrs/{rid}").status == 200


def test_a_wait_that_is_none_costs_as_much_as_not_waiting(strict: Door) -> None:
    rid = strict.hold("a")
    assert 429 in statuses(strict, f"/bgrs/{rid}?wait_for=0.001", 6)


def test_a_wait_for_which_there_is_no_room_costs_as_much_as_not_waiting(open_door: OpenDoor) -> None:
    door = open_door(max_polls_per_second=1, max_waiters=1)
    rid = door.hold("a")
    held = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    while not door.service._waiting._count:
        pass
    assert 429 in statuses(door, f"/bgrs/{rid}/result?wait_for=25", 6)
    door.release("a")
    assert held.result(60).status == 200


def test_zero_is_no_limit(open_door: OpenDoor) -> None:
    door = open_door(max_polls_per_second=0)
    rid = door.hold("a")
    assert statuses(door, f"/bgrs/{rid}", 150) == [200] * 150


def test_the_usual_limit_is_far_from_who_polls_ten_times_a_second(door: Door) -> None:
    """A hundred at once are taken."""
    rid = door.hold("a")
    assert statuses(door, f"/bgrs/{rid}", 90) == [200] * 90
    assert 429 in statuses(door, f"/bgrs/{rid}", 1_000)


@pytest.mark.parametrize("wait_seconds", [None, 0.0])
@pytest.mark.parametrize("target", ["/processing/results/{rid}", "/processing/invoice/{rid}"])
def test_natifs_loop_without_a_pause_ends_with_the_result(
    open_door: OpenDoor, wait_seconds: float | None, target: str
) -> None:
    """Even where its rule lets nobody wait: the loop takes every other status for the end."""
    natif = Rule(path=RULE.path, results_path=RULE.results_path, wait_seconds=wait_seconds)
    door = open_door(max_polls_per_second=1, max_wait_seconds=0.01, rules=(natif,))
    rid = door.hold("a")
    found = []
    while (answer := door.get(target.format(rid=rid))).status == 202:
        found.append(answer.status)
        if len(found) == 20:
            door.release("a")
    assert (answer.status, len(found) >= 20) == (200, True)


def test_natifs_path_with_a_wait_of_nothing_is_counted(strict: Door) -> None:
    rid = strict.hold("a")
    assert 429 in statuses(strict, f"/processing/results/{rid}?wait_for=0", 6)
