"""`GET /bgrs/health`: whoever asks, in time whatever the store does, and what it says of what runs here."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine

from bgrs_middleware.models import Status
from bgrs_middleware.orders import Release
from bgrs_middleware.service import health as module
from bgrs_middleware.service import runs
from bgrs_middleware.stores.base import Backlog, Transaction
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore

from .answer import Answer
from .bad_disks import url_of
from .door import Door

PATIENCE_SECONDS = 60.0


class HangingStore(MemoryStore):
    """A store that does not come back from some of its calls until it is let go."""

    def __init__(self, *hanging: str) -> None:
        super().__init__()
        self.hanging = set(hanging)
        self.let_go = threading.Event()

    def hang(self, call: str) -> None:
        if call in self.hanging:
            assert self.let_go.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        self.hang("open")

    def backlog(self) -> Backlog:
        self.hang("backlog")
        return super().backlog()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as transaction:
            yield transaction
            self.hang("transaction")


@pytest.fixture(autouse=True)
def always_a_new_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)


@pytest.fixture
def soon_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOUND_SECONDS", 0.05)


def health(door: Door) -> dict[str, Any]:
    """The document, whatever the status."""
    document: dict[str, Any] = door.get("/bgrs/health").json()
    return document


def when(door: Door, holds: Callable[[Mapping[str, Any]], bool]) -> Answer:
    """The first answer whose document is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds((answer := door.get("/bgrs/health")).json()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)
    return answer


def test_all_is_well_and_says_how_much_there_is_to_do(open_door) -> None:
    door = open_door(concurrency=1)
    door.hold("a")
    door.ask("/items")
    answer = door.get("/bgrs/health")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert (answer.header("cache-control"), answer.header("retry-after")) == ("no-store", None)
    document = answer.json()
    waited = document["store"].pop("oldest_queued_seconds")
    assert 0 <= waited < PATIENCE_SECONDS
    assert document == {
        "status": "pass",
        "reasons": [],
        "store": {"state": "ok", "queued": 1, "running": 1},
        "host": {"processes": 1, "slots": 1, "running": 1, "stuck": 0, "lease_losses": 0},
    }


def test_a_head_has_the_headers_alone(door: Door) -> None:
    got, head = door.get("/bgrs/health"), door.call("HEAD", "/bgrs/health")
    assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def test_another_method_and_what_is_below_it_are_refused(door: Door) -> None:
    answer = door.call("POST", "/bgrs/health")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
    assert door.get("/bgrs/health/").status == 200
    for path in ("/bgrs/health/details", "/bgrs/health/x", "/bgrs/Health"):
        assert door.get(path).status == 404


def test_nobody_is_asked_who_they_are(open_door) -> None:
    asked: list[object] = []
    door = open_door(access="owner", identify=asked.append, authorize=asked.append)
    assert door.get("/bgrs/health").status == 200
    assert asked == []


def test_a_web_process_that_leaves_the_running_to_others_has_no_slots(open_door) -> None:
    door = open_door(executor="worker")
    door.ask("/items")
    document = health(door)
    assert (document["store"]["queued"], document["host"]["slots"]) == (1, 0)
    assert document["status"] == "pass"


def test_processes_of_one_host_are_told_of_together(open_door) -> None:
    """Here two doors, each as a process."""
    accepting, running = open_door(executor="worker"), open_door(concurrency=3)
    assert {accepting.get("/bgrs").status, running.get("/bgrs").status} == {200}
    running.hold("a")
    when(accepting, lambda document: document["host"]["running"] == 1)
    for door in (accepting, running):
        answer = when(door, lambda document: document["host"]["processes"] == 2)
        assert answer.json()["host"]["slots"] == 3
    running.release("a")
    when(accepting, lambda document: document["host"]["running"] == 0)


# The store.


def test_a_store_that_cannot_be_written_is_a_503_that_still_says_what_waits(open_door, data_dir: Path) -> None:
    door = open_door(store=SqlStore(url_of(data_dir), busy_seconds=0.05), executor="worker")
    door.ask("/items")
    with closing(sqlite3.connect(data_dir / "bgrs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = door.get("/bgrs/health")
        assert (answer.status, answer.header("retry-after")) == (503, "10")
        assert answer.json()["reasons"] == ["The store is locked by another program."]
        assert answer.json()["store"] | {"oldest_queued_seconds": 0} == {
            "state": "unwritable", "queued": 1, "oldest_queued_seconds": 0, "running": 0,
        }  # fmt: skip
        other.execute("ROLLBACK")
    assert door.get("/bgrs/health").status == 200


def test_a_store_that_cannot_be_opened_is_a_503_until_it_can(open_door, data_dir: Path) -> None:
    data_dir.write_text("not a folder")
    door = open_door()
    answer = door.get("/bgrs/health")
    assert answer.status == 503
    assert answer.json()["store"]["state"] == "unavailable"
    assert answer.json()["reasons"] == ["The store's file cannot be opened or created."]
    data_dir.unlink()
    assert door.get("/bgrs/health").status == 200


def test_a_setting_that_turns_out_to_be_unusable_is_a_503_that_does_not_name_it(open_door, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "secret.key").write_text("no key")
    answer = open_door().get("/bgrs/health")
    assert answer.status == 503
    assert answer.json()["reasons"] == ["A setting is unusable; the log says which."]


def test_a_disk_at_its_floor_is_a_503(open_door) -> None:
    door = open_door(min_free_bytes=1 << 62)
    assert health(door)["reasons"] == ["The disk is full, or at its floor (min_free_bytes)."]


@pytest.mark.parametrize("call", ["backlog", "transaction"])
@pytest.mark.usefixtures("soon_late")
def test_a_store_that_hangs_is_a_503_while_it_does(open_door, call: str) -> None:
    store = HangingStore()
    door = open_door(store=store)
    assert door.get("/bgrs/health").status == 200
    store.hanging.add(call)
    for _ in range(3):
        answer = door.get("/bgrs/health")
        assert answer.status == 503
        assert answer.json()["reasons"] == ["The store does not answer."]
        assert answer.json()["host"]["processes"] == 1
    store.let_go.set()
    assert when(door, lambda document: document["status"] == "pass").status == 200


@pytest.mark.usefixtures("soon_late")
def test_a_store_whose_opening_hangs_is_a_503_while_it_does(open_door) -> None:
    store = HangingStore("open")
    door = open_door(store=store, lifespan=False)
    others = [door.start("GET", "/bgrs") for _ in range(4)]
    for _ in range(2):
        assert door.get("/bgrs/health").status == 503
    assert not any(other.done() for other in others)
    store.let_go.set()
    assert when(door, lambda document: document["status"] == "pass").status == 200
    assert {other.result(PATIENCE_SECONDS).status for other in others} == {200}


@pytest.mark.usefixtures("soon_late")
def test_a_database_that_is_blocked_is_a_503_while_it_is(
    open_door, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "BOUND_SECONDS", PATIENCE_SECONDS)
        door = open_door(store=postgres_url, executor="worker")
        assert door.get("/bgrs/health").status == 200
    engine = create_engine(postgres_url, poolclass=NullPool)
    with engine.begin() as other:
        other.exec_driver_sql("LOCK TABLE bgrs_request IN ACCESS EXCLUSIVE MODE")
        for _ in range(3):
            answer = door.get("/bgrs/health")
            assert answer.status == 503
            assert answer.json()["reasons"] == ["The store does not answer."]
    monkeypatch.setattr(module, "BOUND_SECONDS", PATIENCE_SECONDS)
    assert when(door, lambda document: document["status"] == "pass").status == 200


# What is stuck.


@pytest.mark.parametrize(("concurrency", "status"), [(1, 503), (2, 200)])
def test_an_application_that_does_not_return_is_stuck_until_it_does(
    open_door, monkeypatch: pytest.MonkeyPatch, concurrency: int, status: int
) -> None:
    """Under WSGI a handler that blocks, under ASGI one that swallows its CancelledError."""
    monkeypatch.setattr(runs, "STUCK_SECONDS", 0.0)
    door = open_door(concurrency=concurrency, max_run_seconds=0.1, heartbeat_seconds=0.05)
    rid = door.ask("/do/stubborn:a")
    assert door.ended(rid)["status_name"] == "failed"
    # Its request has ended, and its slot is not free.
    answer = when(door, lambda document: (document["host"]["stuck"], document["host"]["running"]) == (1, 0))
    assert answer.status == status
    door.release("a")
    door.release("a-cleanup")
    assert when(door, lambda document: document["host"]["stuck"] == 0).status == 200
    assert door.ended(rid)["status_name"] == "failed"


def test_one_that_stops_in_time_is_never_stuck(open_door, kind: str) -> None:
    door = open_door(max_run_seconds=0.1, heartbeat_seconds=0.05)
    rid = door.ask("/do/gate:a")
    assert door.ended(rid)["status_name"] == "failed"
    if kind == "wsgi":
        door.release("a")
    while door.service._runs._time_is_up:
        assert health(door)["host"]["stuck"] == 0
    assert health(door)["status"] == "pass"


def test_work_after_the_response_counts_where_it_goes_beyond_the_limit(
    open_door, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "STUCK_SECONDS", 0.0)

    def and_more(app: Any) -> Any:
        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if scope["type"] == "http" and scope["path"] == "/items":
                await door.stage.gate("after").pass_through_async()

        def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
            yield from app(environ, start_response)
            if environ["PATH_INFO"] == "/items":
                door.stage.gate("after").pass_through()

        return asgi if kind == "asgi" else wsgi

    door = open_door(wrap=and_more, max_run_seconds=0.1, heartbeat_seconds=0.05)
    rid = door.ask("/items")
    expected = "finished" if kind == "asgi" else "failed"
    assert door.ended(rid)["status_name"] == expected
    when(door, lambda document: document["host"]["stuck"] == 1)
    door.release("after")
    when(door, lambda document: document["host"]["stuck"] == 0)


# Leases that were lost.


def take_over(door: Door, data_dir: Path, rid: str) -> None:
    """As another process does that takes this one for dead."""
    store = SqlStore(url_of(data_dir))
    worker = store.get([rid])[rid].worker
    assert worker is not None
    with store.transaction() as transaction:
        order = Release(rid=rid, worker=worker, status=Status.LOST, now=time.time(), died=True, note="taken over")
        [changed] = transaction.release([order])
    assert changed.done
    store.close()


def test_a_claim_that_another_took_over_is_counted_and_stays_so(open_door, data_dir: Path) -> None:
    door = open_door(heartbeat_seconds=0.05)
    rid = door.hold("a")
    take_over(door, data_dir, rid)
    when(door, lambda document: document["host"]["lease_losses"] == 1)
    door.release("a")
    when(door, lambda document: document["host"]["running"] == 0)
    assert health(door)["host"]["lease_losses"] == 1


def test_a_claim_whose_loss_shows_only_at_the_end_is_counted(open_door, data_dir: Path) -> None:
    door = open_door(heartbeat_seconds=30)
    rid = door.hold("a")
    take_over(door, data_dir, rid)
    assert health(door)["host"]["lease_losses"] == 0
    door.release("a")
    when(door, lambda document: document["host"]["lease_losses"] == 1)


def test_a_claim_that_could_not_be_renewed_is_counted(open_door, data_dir: Path) -> None:
    store = SqlStore(url_of(data_dir), busy_seconds=0.05)
    door = open_door(store=store, lease_seconds=0.3, heartbeat_seconds=0.05)
    door.hold("a")
    with closing(sqlite3.connect(data_dir / "bgrs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        when(door, lambda document: document["host"]["lease_losses"] == 1)
        other.execute("ROLLBACK")
    door.release("a")


# Start and end.


def test_to_ask_for_it_begins_the_work_where_nothing_else_has(open_door, data_dir: Path) -> None:
    """A WSGI server tells of no start, so what waits in the store waits for the first request that concerns us."""
    accepting = open_door(executor="worker")
    rid = accepting.ask("/items")
    running = open_door(lifespan=False)
    assert running.get("/bgrs/health").status == 200
    assert accepting.ended(rid)["status_name"] == "finished"
    assert running.service._heeds_signals or running.kind == "asgi"


def test_to_ask_for_it_does_not_begin_anew_what_has_ended(open_door) -> None:
    door = open_door()
    assert door.get("/bgrs/health").status == 200
    door.service.close()
    answer = door.get("/bgrs/health")
    assert (answer.status, answer.json()["reasons"]) == (503, ["The server is shutting down."])
    assert not door.service.is_open
