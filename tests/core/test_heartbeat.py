"""The heartbeat: a worker that cannot keep its claim stops its work by itself, and what must end does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Record, Status
from bgrs_middleware.orders import Cancel, Renew
from bgrs_middleware.pending import Pending
from bgrs_middleware.service.heartbeat import Heartbeat
from bgrs_middleware.service.outcome import Active
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.base import Store
from core.test_claims import WAIT_SECONDS, House
from stores.orders import texts


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    yield built
    built.close()


def beat(house: House) -> None:
    house.service._heartbeat._renew_all(time.monotonic())


def beat_until(house: House, has_happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not has_happened():
        assert time.monotonic() < deadline
        beat(house)


def not_renewed_for(house: House, active: Active, share: float) -> None:
    """As if the store had not answered for this share of a lease."""
    active.renewed = time.monotonic() - share * house.service.settings.lease_seconds


@pytest.mark.parametrize(
    ("method", "status", "note"),
    [
        ("GET", Status.QUEUED, "handed back: its worker could not keep its claim"),
        ("POST", Status.LOST, "lost: its worker could not keep its claim, and it is not safe to run again"),
    ],
)
def test_a_worker_that_could_not_renew_for_two_thirds_of_its_lease_stops_its_work_itself(
    house: House, method: str, status: Status, note: str
) -> None:
    rid, active, done = house.running(method)
    not_renewed_for(house, active, 0.6)
    house.service._heartbeat.look()
    assert active.stop_reason is None
    not_renewed_for(house, active, 2 / 3)
    house.service._heartbeat.look()
    assert active.run.ask_cancelled()
    house.work.let_go(1)
    assert done.wait(WAIT_SECONDS)
    found = house.record(rid)
    assert (found.status, found.deaths, found.http_status) == (status, 0, None)
    assert texts(house.other, rid)[-1] == note


def test_the_clock_on_the_wall_has_no_say_in_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, active, _ = house.running()
    monkeypatch.setattr(time, "time", lambda: 9e9)
    house.service._heartbeat.look()
    assert active.stop_reason is None


def test_a_renewal_counts_from_when_it_was_sent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, active, _ = house.running()
    late: list[Pending[Status | None]] = []

    def renew(order: Renew) -> Pending[Status | None]:
        late.append(Pending())
        return late[-1]

    monkeypatch.setattr(house.service._ledger, "renew", renew)
    sent = time.monotonic()
    house.service._heartbeat._renew_all(sent)
    late[0].set(Status.RUNNING)
    assert active.renewed == sent


def test_what_another_took_over_is_stopped_and_writes_nothing(house: House) -> None:
    rid, active, done = house.running("POST")
    house.is_taken_over(rid)
    beat_until(house, lambda: active.stop_reason is not None)
    assert active.stop_reason == "another worker took it over"
    house.work.let_go(1)
    assert done.wait(WAIT_SECONDS)
    found = house.record(rid)
    assert (found.status, found.deaths) == (Status.QUEUED, 1)
    assert set(texts(house.other, rid)) == {"started", "taken over"}


def test_a_cancel_through_another_process_comes_with_a_renewal(house: House) -> None:
    rid, active, _ = house.running()
    with house.other.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=1.0)])
    beat_until(house, lambda: active.run.is_cancelled)


def test_what_has_its_outcome_on_the_way_to_the_store_is_not_stopped(house: House) -> None:
    _, active, _ = house.running()
    active.ending = True
    not_renewed_for(house, active, 2.0)
    house.service._heartbeat.look()
    assert active.stop_reason is None
    active.ending = False


def test_what_was_told_to_stop_and_does_not_fails_at_its_limit(house: House) -> None:
    """Or its lease would be renewed for ever."""
    rid, active, _ = house.running("POST")
    not_renewed_for(house, active, 1.0)
    house.service._heartbeat.look()
    assert active.stop_reason is not None
    active.started -= active.record.max_run_seconds
    house.service._heartbeat.look()
    until_status(house, rid, Status.FAILED)
    assert texts(house.other, rid)[-1] == "failed: it ran longer than max_run_seconds, 3600 s"


def until_status(house: House, rid: str, status: Status) -> Record:
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := house.record(rid)).status is not status:
        assert time.monotonic() < deadline, f"it is {found.status.label}"
    return found


class DisturbingRuns:
    """Raises at the first look; tells of the second."""

    def __init__(self) -> None:
        self.looks = 0
        self.looked_again = threading.Event()

    def active(self) -> list[Active]:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("the event loop is closed")
        self.looked_again.set()
        return []


def test_nothing_ends_it_but_its_process(caplog: pytest.LogCaptureFixture) -> None:
    runs = DisturbingRuns()
    nobody: Any = None
    heartbeat = Heartbeat(
        settings=Settings(heartbeat_seconds=0.01),
        runs=cast(Any, runs),
        ledger=cast(Ledger, nobody),
        store=cast(Store, nobody),
    )
    heartbeat.start()
    assert runs.looked_again.wait(WAIT_SECONDS)
    heartbeat.stop()
    assert "it goes on" in caplog.text
