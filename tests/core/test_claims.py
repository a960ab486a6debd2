"""One process and its claims: what it lost and claimed again, what came too late to be started, what cannot start."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bgrs_middleware.errors import StoreDataError
from bgrs_middleware.models import Record, Status
from bgrs_middleware.orders import Claim, Release, Renew
from bgrs_middleware.pending import Pending
from bgrs_middleware.progress import current_request
from bgrs_middleware.replay import wsgi_replayer
from bgrs_middleware.service import runs
from bgrs_middleware.service.outcome import Active
from bgrs_middleware.service.service import Service
from bgrs_middleware.stores.sql import SqlStore
from bgrs_middleware.wsgi import BgrsMiddleware
from stores.orders import texts

WAIT_SECONDS = 30


class Work:
    """A WSGI application whose runs, known by their attempt, end when they are told to."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.told_to_stop: set[int] = set()
        self._started: dict[int, threading.Event] = {}
        self._go: dict[int, threading.Event] = {}

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        run = current_request()
        assert run is not None
        self.started.append(run.attempt)
        self.event(self._started, run.attempt).set()
        assert self.event(self._go, run.attempt).wait(WAIT_SECONDS)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"attempt %d" % run.attempt]

    @staticmethod
    def event(events: dict[int, threading.Event], attempt: int) -> threading.Event:
        return events.setdefault(attempt, threading.Event())

    def until_started(self, attempt: int) -> None:
        assert self.event(self._started, attempt).wait(WAIT_SECONDS)

    def let_go(self, attempt: int) -> None:
        self.event(self._go, attempt).set()


class House:
    """One process's service, which claims when it is told to; and a store that is another process's."""

    def __init__(self, folder: Path) -> None:
        self.work = Work()
        self.middleware = BgrsMiddleware(
            self.work, data_dir=str(folder), min_free_bytes=0, executor="worker", max_run_seconds=3_600
        )
        self.service: Service = self.middleware._doorway.service
        self.service.open()
        self.runs = self.service._runs
        self.other = SqlStore(f"sqlite:///{folder / 'bgrs.sqlite3'}")
        self.other.open()

    def close(self) -> None:
        for attempt in range(1, 4):
            self.work.let_go(attempt)
        self.service.close()
        self.other.close()

    def ask(self, method: str = "GET") -> str:
        environ = {
            "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": "/work", "QUERY_STRING": "bgrs=yes",
            "SERVER_NAME": "here", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": "0",
            "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http",
        }  # fmt: skip
        [body] = self.middleware(environ, lambda *_: None)
        rid: str = json.loads(body)["request"]
        return rid

    def claim(self) -> threading.Event:
        """Claim one request and start it; the event tells when its slot is free again."""
        claimed, done = threading.Event(), threading.Event()
        self.runs.claim_and_run(1, lambda count: claimed.set(), done.set)
        assert claimed.wait(WAIT_SECONDS)
        return done

    def running(self, method: str = "GET") -> tuple[str, Active, threading.Event]:
        """A request that this process runs."""
        rid = self.ask(method)
        done = self.claim()
        self.work.until_started(1)
        [active] = self.runs.active()
        return rid, active, done

    def is_taken_over(self, rid: str) -> None:
        """Another process thinks that this one is dead."""
        record = self.record(rid)
        order = Release(
            rid=rid, worker=record.worker or "", status=Status.QUEUED, now=time.time(), died=True, note="taken over"
        )
        with self.other.transaction() as transaction:
            assert transaction.release([order])[0].done

    def record(self, rid: str) -> Record:
        return self.other.get([rid])[rid]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    yield built
    built.close()


@pytest.mark.parametrize("listens", [True, False])
def test_what_is_left_of_an_earlier_claim_writes_nothing_for_the_later_one_of_the_same_process(
    house: House, listens: bool
) -> None:
    rid, earlier, earlier_done = house.running()
    house.is_taken_over(rid)
    later_done = house.claim()
    house.work.until_started(2)
    assert earlier.claim_lost
    if listens:
        assert earlier.run.ask_cancelled(), "it is told to stop"

    house.work.let_go(1)
    assert earlier_done.wait(WAIT_SECONDS)
    found = house.record(rid)
    assert (found.status, found.attempt, found.http_status) == (Status.RUNNING, 2, None)
    assert [active.record.attempt for active in house.runs.active()] == [2]
    snapshot = house.runs.snapshot(rid)
    assert snapshot is not None
    assert snapshot.attempt == 2

    house.work.let_go(2)
    assert later_done.wait(WAIT_SECONDS)
    found = house.record(rid)
    assert (found.status, found.deaths) == (Status.FINISHED, 1)
    assert house.other.captured([rid])[rid].inline == b"attempt 2"
    assert house.work.started == [1, 2]
    assert house.runs.active() == []


def test_reports_and_renewals_of_an_earlier_claim_do_not_count_for_the_later_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rid, earlier, earlier_done = house.running()
    house.is_taken_over(rid)
    house.claim()
    house.work.until_started(2)
    earlier.run.report(66.0)
    house.runs.reporter.flush()
    assert house.record(rid).progress is None
    renewals: list[Renew] = []

    def renew(order: Renew) -> Pending[Status | None]:
        renewals.append(order)
        return Pending()

    monkeypatch.setattr(house.service._ledger, "renew", renew)
    house.service._heartbeat._renew_all(time.monotonic())
    assert {(order.rid, order.attempt) for order in renewals} == {(rid, 1), (rid, 2)}
    house.work.let_go(1)
    assert earlier_done.wait(WAIT_SECONDS)


def test_a_run_whose_claim_is_lost_is_told_by_the_store_not_from_memory(house: House) -> None:
    rid, earlier, _ = house.running()
    assert house.runs.snapshot(rid) is not None
    house.is_taken_over(rid)
    house.runs.lose(earlier, "another worker took it over")
    assert house.runs.snapshot(rid) is None
    assert house.runs.run_of(rid) is None


def test_the_sweeper_looks_after_a_claim_that_is_not_this_processes_though_the_request_still_runs_here(
    house: House,
) -> None:
    rid, _, _ = house.running()
    house.is_taken_over(rid)
    with house.other.transaction() as transaction:
        transaction.claim([Claim(worker="dead", limit=1, now=time.time(), lease_until=house.other.lease_now() - 1)])
    house.service._sweeper.sweep()
    assert house.record(rid).status is Status.FAILED
    assert texts(house.other, rid)[-1] == "failed: 2 workers died while they ran it"


def test_a_claim_that_took_most_of_its_lease_to_come_back_is_not_started(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was frozen, perhaps: others may take it over at any moment."""
    rid = house.ask("POST")
    two_thirds = house.service.settings.lease_seconds * 2 / 3
    long_ago = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() - two_thirds)
    monkeypatch.setattr(runs, "time", long_ago)
    done = house.claim()
    assert done.wait(WAIT_SECONDS)
    assert house.record(rid).status is Status.QUEUED
    assert texts(house.other, rid) == ["handed back before it was started"]
    monkeypatch.undo()
    house.work.let_go(2)
    assert house.claim().wait(WAIT_SECONDS)
    assert (house.record(rid).status, house.work.started) == (Status.FINISHED, [2])


class NoThread(threading.Thread):
    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def test_where_no_thread_can_be_started_the_request_waits_and_the_process_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rid = house.ask("POST")
    monkeypatch.setattr(wsgi_replayer, "threading", SimpleNamespace(Thread=NoThread))
    assert house.claim().wait(WAIT_SECONDS)
    assert house.record(rid).status is Status.QUEUED
    monkeypatch.undo()
    house.work.let_go(2)
    assert house.claim().wait(WAIT_SECONDS)
    assert (house.record(rid).status, house.work.started) == (Status.FINISHED, [2])


def test_an_outcome_that_the_store_refuses_takes_nothing_else_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What becomes of the request is left to the sweepers."""
    rid = house.ask("POST")

    class Harm(threading.Thread):
        def start(self) -> None:
            with house.other._links().writing() as connection:
                connection.exec_driver_sql("UPDATE bgrs_request SET items = '['")
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wsgi_replayer, "threading", SimpleNamespace(Thread=Harm))
    assert house.claim().wait(WAIT_SECONDS)
    assert house.runs.active() == []
    with pytest.raises(StoreDataError):
        house.record(rid)
    assert house.record(house.ask()).status is Status.QUEUED


def test_a_stored_request_that_names_an_impossible_body_fails_alone(house: House) -> None:
    rid = house.ask()
    with house.other._links().writing() as connection:
        connection.exec_driver_sql("UPDATE bgrs_request SET request_body_name = '../../somewhere'")
    assert house.claim().wait(WAIT_SECONDS)
    assert house.record(rid).status is Status.FAILED
    assert "cannot be read" in texts(house.other, rid)[-1]
    assert house.record(house.ask()).status is Status.QUEUED
