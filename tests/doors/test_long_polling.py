"""Waiting for a change or a result (CONTRACT, sections 3 and 4): woken at once, never held too long."""

from __future__ import annotations

import pytest

from bgrs_middleware import Rule

from .door import Door

RULE = Rule(
    path="/processing/{workflow}",
    wait_seconds=25,
    id_field="processing_id",
    results_path="/processing/results/{id}",
    type="PROCESSING",
)


def test_a_result_is_answered_as_soon_as_it_is_there(door: Door) -> None:
    rid = door.hold("a")
    held = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    door.release("a")
    answer = held.result(20)
    assert (answer.status, answer.header("bgrs-status")) == (200, "finished")


def test_many_who_wait_are_all_answered(door: Door) -> None:
    rid = door.hold("a")
    held = [door.start("GET", f"/bgrs/{rid}/result?wait_for=25") for _ in range(5)]
    door.release("a")
    assert [each.result(20).status for each in held] == [200] * 5


def test_a_status_is_held_until_it_changes(door: Door) -> None:
    rid = door.hold("a")
    held = door.start("GET", f"/bgrs/{rid}?wait_for=25")
    door.release("a")
    assert held.result(20).json()[0]["status_name"] == "finished"


def test_a_change_by_another_process_is_seen(open_door) -> None:
    """Here a second door, which runs what the first one only accepts."""
    accepting, running = open_door(executor="worker"), open_door()
    # Its first request of ours opens it, where there is no lifespan.
    assert running.get("/bgrs").status == 200
    rid = accepting.ask("/do/ask")
    answer = accepting.get(f"/bgrs/{rid}/result?wait_for=25")
    assert (answer.status, answer.body) == (200, b"[false]")
    assert running.status(rid)["status_name"] == "finished"


def test_time_that_runs_out_gives_what_is_known(door: Door) -> None:
    rid = door.hold("a")
    assert door.get(f"/bgrs/{rid}?wait_for=0.02").json()[0]["status_name"] == "running"
    assert door.get(f"/bgrs/{rid}/result?wait_for=0.02").status == 202


def test_a_longer_wait_than_allowed_is_cut(open_door) -> None:
    door = open_door(max_wait_seconds=0.02)
    assert door.get(f"/bgrs/{door.hold('a')}/result?wait_for=9999").status == 202


def test_what_has_ended_is_never_held(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    assert door.get(f"/bgrs/{rid}?wait_for=25").status == 200
    assert door.get(f"/bgrs/{rid}/result?wait_for=25").status == 200


@pytest.mark.parametrize("wait", ["-1", "nan", "x", ""])
def test_a_wait_that_is_no_number_of_seconds_is_refused(door: Door, wait: str) -> None:
    rid = door.ask("/items")
    for path in (f"/bgrs/{rid}", f"/bgrs/{rid}/result"):
        assert door.get(f"{path}?wait_for={wait}").status == 400


def test_beyond_the_most_waiters_nobody_is_held(open_door) -> None:
    door = open_door(max_waiters=1)
    rid = door.hold("a")
    held = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    while door.service._waiting._count == 0:
        assert not held.done()
    assert door.get(f"/bgrs/{rid}/result?wait_for=25").status == 202
    door.release("a")
    assert held.result(20).status == 200


def test_a_request_that_is_deleted_while_someone_waits_is_not_found(open_door) -> None:
    door = open_door(executor="worker")
    rid = door.ask("/items")
    held = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    while door.service._waiting._count == 0:
        assert not held.done()
    assert door.call("DELETE", f"/bgrs/{rid}").status == 204
    assert held.result(20).status == 404


def test_natifs_request_waits_and_is_answered_with_the_result_itself(open_door) -> None:
    door = open_door(rules=(RULE,))
    answer = door.call("POST", "/processing/invoice?pages=all", [], b"scan")
    assert (answer.status, answer.json()["query"], answer.json()["length"]) == (200, "pages=all", 4)


def test_natifs_request_with_no_wait_is_answered_with_its_id(open_door) -> None:
    door = open_door(rules=(RULE,))
    answer = door.call("POST", "/processing/invoice?wait_for=0", [], b"scan")
    assert answer.status == 202
    assert list(answer.json()) == ["processing_id"]
    rid = answer.json()["processing_id"]
    assert door.ended(rid)["type"] == "PROCESSING"
    assert door.status(rid)["name"] == "/processing/invoice?wait_for=0"


@pytest.mark.parametrize(
    "path", ["/processing/results/{rid}", "/processing/{{workflow}}/{rid}", "/processing/invoice/{rid}"]
)
def test_natifs_own_loop_ends_with_the_result(open_door, path: str) -> None:
    steps = Rule(path="/do/{steps:path}", methods=("POST",), id_field="processing_id", results_path="/do-results/{id}")
    door = open_door(rules=(RULE, steps))
    rid = door.call("POST", "/do/gate:a/me?wait_for=0").json()["processing_id"]
    url = path.format(rid=rid)
    assert door.get(f"{url}?wait_for=0").status == 202
    door.release("a")
    response = door.get(url)
    while response.status == 202:
        response = door.get(url)
    assert (response.status, response.json()[0]["rid"]) == (200, rid)


def test_a_rules_results_are_held_by_default_for_as_long_as_its_wait(open_door) -> None:
    door = open_door(rules=(RULE,))
    rid = door.ask("/do/gate:a")
    held = door.start("GET", f"/processing/results/{rid}")
    while door.service._waiting._count == 0:
        assert not held.done()
    door.release("a")
    assert held.result(20).status == 200


def test_paths_beside_the_rules_belong_to_the_application(open_door) -> None:
    door = open_door(rules=(RULE,))
    assert door.get("/processing/invoice").json()["path"] == "/processing/invoice"
    assert door.get("/processing/invoice/of-may").json()["path"] == "/processing/invoice/of-may"
    assert door.get("/processing/results/no-rid").status == 404


def test_a_rule_that_is_not_for_the_background_only_sets_what_holds(open_door) -> None:
    door = open_door(rules=(Rule(path="/items", methods=("GET",), background=False, type="LISTING"),))
    assert door.get("/items").status == 200
    assert door.ended(door.ask("/items"))["type"] == "LISTING"
