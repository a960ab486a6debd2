"""The application's side: progress, items, cancellation, its own request, and log records, from wherever it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from .door import Door


@pytest.fixture
def shop_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(level)


def running(door: Door, *steps: str) -> dict[str, Any]:
    """The status document of work that did these steps and stands at a gate."""
    rid = door.ask("/do/" + "/".join((*steps, "gate:here")))
    door.stage.gate("here").wait_until_reached()
    return door.status(rid)


def test_progress_and_message_are_there_at_once(door: Door) -> None:
    document = running(door, "progress:12.5:reading", "progress:25")
    assert (document["progress"], document["message"]) == ("25.00", "reading")


@pytest.mark.parametrize(("percent", "shown"), [("-5", "0.00"), ("250", "100.00"), ("99.999", "99.99"), ("0", "0.00")])
def test_progress_is_within_its_bounds(door: Door, percent: str, shown: str) -> None:
    assert running(door, f"progress:{percent}")["progress"] == shown


def test_progress_that_is_no_number_is_the_applications_error(door: Door) -> None:
    rid = door.ask("/do/progress:nan")
    assert door.result(rid).status == 500


def test_items_are_listed_in_the_order_of_their_first_report(door: Door) -> None:
    document = running(door, "item:a:running", "item:b:failed:no stock", "item:a:done")
    assert document["items"] == [
        {"name": "a", "state": "done", "message": None},
        {"name": "b", "state": "failed", "message": "no stock"},
    ]


def test_items_and_message_outlive_the_run(door: Door) -> None:
    document = door.ended(door.ask("/do/item:a:done/progress:50:half"))
    assert [item["state"] for item in document["items"]] == ["done"]
    assert (document["message"], document["progress"]) == ("half", "100.00")


def test_track_yields_everything_and_reports(door: Door) -> None:
    rid = door.ask("/do/track:4:counting/gate:a")
    door.stage.gate("a").wait_until_reached()
    document = door.status(rid)
    assert (document["progress"], document["message"]) == ("100.00", "counting")
    door.release("a")
    assert door.result(rid).json() == [[0, 1, 2, 3]]


def test_a_thread_of_the_application_reports_too(door: Door) -> None:
    document = running(door, "thread:progress=40=in a thread", "thread:item=a=done")
    assert (document["progress"], document["message"]) == ("40.00", "in a thread")
    assert [item["name"] for item in document["items"]] == ["a"]


def test_the_application_knows_its_request(door: Door) -> None:
    rid = door.ask("/do/me/thread:me", method="POST")
    mine = {"rid": rid, "attempt": 1, "method": "POST", "name": "/do/me/thread:me?bgrs=yes"}
    assert door.result(rid).json() == [mine, mine]


def test_in_a_foreground_call_nothing_happens_and_nobody_minds(door: Door) -> None:
    answer = door.get("/do/progress:5:x/item:a:done/track:2/ask/me/thread:me")
    assert answer.json() == [[0, 1], False]


def test_progress_is_derived_from_the_bytes_sent(door: Door) -> None:
    rid = door.ask("/do/length:200/send:50/gate:a/send:150")
    door.stage.gate("a").wait_until_reached()
    assert door.status(rid)["progress"] == "25.00"
    door.release("a")
    assert door.ended(rid)["progress"] == "100.00"


def test_the_applications_own_word_goes_before_derived_progress(door: Door) -> None:
    rid = door.ask("/do/progress:10/length:200/send:150/gate:a/send:50")
    door.stage.gate("a").wait_until_reached()
    assert door.status(rid)["progress"] == "10.00"


def test_another_process_sees_progress_within_its_second(open_door) -> None:
    door, other = open_door(), open_door(executor="worker")
    rid = door.ask("/do/progress:30:far away/item:a:done/gate:a")
    document = other.when(rid, lambda document: document["progress"] is not None, poll_seconds=0.1)
    assert (document["progress"], document["message"], len(document["items"])) == ("30.00", "far away", 1)


def test_a_million_reports_are_a_few_writes(door: Door) -> None:
    rid = door.ask("/do/track:100000")
    assert door.ended(rid)["status_name"] == "finished"
    assert door.details(rid) == ["started", "done"]


@pytest.mark.usefixtures("shop_logger")
def test_log_records_become_details_from_the_chosen_level_on(open_door) -> None:
    door = open_door(capture_logging="INFO")
    rid = door.ask("/do/log:shop:DEBUG:unseen/log:shop:INFO:packing/thread:log=shop=WARNING=out of tape")
    door.ended(rid)
    assert door.details(rid) == ["started", "INFO shop: packing", "WARNING shop: out of tape", "done"]
    # What a foreground call logs belongs to no request.
    door.get("/do/log:shop:INFO:in the shop")
    assert len(door.details(rid)) == 4


@pytest.mark.usefixtures("shop_logger")
def test_by_default_log_records_are_no_details(door: Door) -> None:
    rid = door.ask("/do/log:shop:ERROR:on fire")
    door.ended(rid)
    assert door.details(rid) == ["started", "done"]


def test_two_requests_at_a_time_report_for_themselves(door: Door) -> None:
    first = door.ask("/do/progress:10:one/gate:a/me")
    second = door.ask("/do/progress:20:two/gate:b/me")
    door.stage.gate("a").wait_until_reached()
    door.stage.gate("b").wait_until_reached()
    assert (door.status(first)["message"], door.status(second)["message"]) == ("one", "two")
    door.stage.open_all()
    assert door.result(first).json()[0]["rid"] == first
    assert door.result(second).json()[0]["rid"] == second


def test_work_beyond_the_concurrency_waits(open_door) -> None:
    door = open_door(concurrency=2)
    door.hold("a")
    door.hold("b")
    third = door.ask("/do/see:third")
    assert door.status(third)["status_name"] == "queued"
    door.release("a")
    assert door.ended(third)["status_name"] == "finished"
