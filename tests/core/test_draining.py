"""A drain meets a claim on its way: what that brings is handed back, not started, and the drain waits for it."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Claim, Status
from bgrs_middleware.pending import Pending, in_thread
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
    while not service._runs._draining:
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
