"""What a client sees of what waited too long, and of what was kept for its time."""

from __future__ import annotations

import time

from bgrs_middleware.service.retention import CautiousClock
from bgrs_middleware.stores.base import boot_seconds

from .door import Door

DAY = 86_400.0


def sweep_as_if_after(door: Door, seconds: float) -> None:
    """What the process does by itself, with clocks that are ahead."""
    retention = door.service._retention
    retention._clock = CautiousClock(lambda: time.time() + seconds, lambda: boot_seconds() + seconds)
    retention.sweep()


def test_one_that_waited_too_long_is_gone_for_good_and_says_why(open_door) -> None:
    door = open_door(executor="worker", max_queue_seconds=DAY)
    rid = door.ask("/items")
    held = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    sweep_as_if_after(door, DAY + 1)
    for answer in (held.result(), door.get(f"/bgrs/{rid}/result")):
        assert (answer.status, answer.header("bgrs-status"), answer.json()["rid"]) == (410, "expired", rid)
    assert door.details(rid) == ["expired: it waited in the queue longer than max_queue_seconds, 86400 s"]


def test_an_old_one_is_as_unknown_as_one_that_never_was(door: Door) -> None:
    rid = door.ask("/items")
    assert door.result(rid).status == 200
    sweep_as_if_after(door, 29 * DAY)
    assert door.get(f"/bgrs/{rid}/result").status == 200
    sweep_as_if_after(door, 31 * DAY)
    unknown = door.get(f"/bgrs/{'0' * 32}/result")
    for path in ("/result", "", "/details"):
        answer = door.get(f"/bgrs/{rid}{path}")
        assert (answer.status, answer.body) == (404, unknown.body)


def test_a_failed_one_can_be_retried_for_its_time_and_no_longer(open_door) -> None:
    door = open_door(retry_seconds=DAY)
    rid = door.ask("/do/length:2/send:1")
    assert door.ended(rid)["status_name"] == "failed"
    sweep_as_if_after(door, DAY + 1)
    answer = door.call("POST", f"/bgrs/{rid}/retry")
    assert answer.status == 409
    assert "no longer kept" in answer.json()["detail"]
    assert door.get(f"/bgrs/{rid}/result").status == 500
