"""A drain meets a claim on its way: what that brings is handed back, not started, and the drain waits for it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Status
from bgrs_middleware.orders import Claim
from bgrs_middleware.pending import Pending, in_thread
from bgrs_middleware.service.draining import Drain
from bgrs_middleware.waiting import Waiting
from bgrs_middleware.wsgi import BgrsMiddleware

started: list[str] = []


def application(environ: Any, start_response: Any) -> list[bytes]:
    started.append(environ["PATH_INFO"])
    start_response("204 No Content", [])
    return []


class Late:
    """Lets claims through to the store, and their answers back when it is told to."""

    def __init__(self, ledger: Ledger) -> None:
        self._claim = ledger.claim
        self.sent = threading.Event()
        self.let_through = threading.Event()

    def claim(self, order: Claim) -> Pending[Any]:
        late: Pending[Any] = Pending()

        def answer() -> None:
            claimed = self._claim(order).wait()
            self.sent.set()
            self.let_through.wait()
            late.set(claimed)

        threading.Thread(target=answer, daemon=True).start()
        return late


def ask(middleware: BgrsMiddleware) -> str:
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/work", "QUERY_STRING": "bgrs=yes",
        "SERVER_NAME": "here", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": "0",
        "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http",
    }  # fmt: skip
    [body] = middleware(environ, lambda *_: None)
    rid: str = json.loads(body)["request"]
    return rid


def test_what_a_late_claim_brings_is_handed_back(tmp_path: Path, monkeypatch: Any) -> None:
    middleware = BgrsMiddleware(
        application, data_dir=str(tmp_path), min_free_bytes=0, drain_seconds=60, executor="worker"
    )
    service = middleware._doorway.service
    service.open()
    late = Late(service._ledger)
    monkeypatch.setattr(service._ledger, "claim", late.claim)
    rid = ask(middleware)
    service._runs.claim_and_run(1, lambda count: None, lambda: None)
    assert late.sent.wait(30)
    drain = threading.Thread(target=lambda: in_thread(service.drain()))
    drain.start()
    while not service._runs._drain.has_begun:
        assert drain.is_alive()
    assert drain.is_alive(), "it waits for the claim"
    late.let_through.set()
    drain.join(30)
    assert not drain.is_alive()
    record = service._reader.get(rid).wait()
    service.close()
    assert record is not None
    assert record.status is Status.QUEUED
    assert started == []


def test_a_claim_after_the_drain_began_is_none(tmp_path: Path) -> None:
    middleware = BgrsMiddleware(application, data_dir=str(tmp_path), min_free_bytes=0, executor="worker")
    service = middleware._doorway.service
    service.open()
    in_thread(service.drain())
    ask(middleware)
    counts: list[int] = []
    service._runs.claim_and_run(1, counts.append, lambda: None)
    service.close()
    assert counts == [0]


@contextmanager
def a_drain(*, is_idle: bool = False) -> Iterator[tuple[Drain, list[bool]]]:
    waiting, idle = Waiting(lambda rids: {}, 10), [is_idle]
    yield Drain(waiting, lambda: idle[0]), idle
    waiting.close()


def test_several_who_drain_wait_for_the_same_end() -> None:
    with a_drain() as (drain, idle), ThreadPoolExecutor(2) as threads:
        before = drain.has_begun
        drain.begin(3600)
        drain.begin(0)
        assert (before, drain.has_begun) == (False, True)
        waits = [threads.submit(in_thread, drain.all_ended()) for _ in range(2)]
        drain.look()
        assert not any(wait.done() for wait in waits)
        idle[0] = True
        drain.look()
        assert [wait.result(30) for wait in waits] == [True, True]


def test_the_time_counts_from_the_first_word_of_it() -> None:
    with a_drain() as (drain, _):
        drain.begin(0)
        drain.begin(3600)
        assert in_thread(drain.all_ended()) is False
        assert in_thread(drain.all_ended(0.01)) is False


def test_where_nothing_runs_nobody_waits() -> None:
    with a_drain(is_idle=True) as (drain, _):
        drain.begin(3600)
        assert in_thread(drain.all_ended()) is True


def test_a_hurried_drain_waits_for_nothing_now_or_later() -> None:
    with a_drain() as (drain, _), ThreadPoolExecutor(1) as threads:
        drain.begin(3600)
        wait = threads.submit(in_thread, drain.all_ended())
        while not drain._waits:
            assert not wait.done()
        drain.hurry()
        assert wait.result(30) is False
        assert in_thread(drain.all_ended(3600)) is False
