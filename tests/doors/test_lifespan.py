"""The lifespan of an ASGI process: opened at startup, drained at shutdown, answered where the application has none."""

from __future__ import annotations

import contextvars
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.asgi import BgrsMiddleware

from .asgi_gateway import AsgiGateway
from .door import Door
from .wsgi_gateway import close_service


def make(data_dir: Path, app: Any, **settings: Any) -> BgrsMiddleware:
    return BgrsMiddleware(app, data_dir=str(data_dir), min_free_bytes=0, **settings)


class WithState:
    """An application with a lifespan resource, which its endpoint uses."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        state = scope["state"]
        state["requests"] = state.get("requests", 0) + 1
        state["pool"].append(scope["path"])
        body = json.dumps({"pool": state["pool"], "requests": state["requests"]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["state"]["pool"] = []
        self.told.append("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.told.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


def test_a_replay_has_the_lifespan_state_as_a_call_has_it(data_dir: Path) -> None:
    app = WithState()
    with AsgiGateway(make(data_dir, app)) as gateway:
        assert gateway.call("GET", "/one").json() == {"pool": ["/one"], "requests": 1}
        # The pool is the same one; what a call puts beside it is its own.
        answer = gateway.call("GET", "/two?bgrs=yes&wait_for=25")
        assert answer.json() == {"pool": ["/one", "/two"], "requests": 1}
    assert app.told == ["startup", "shutdown"]


def test_the_store_is_open_after_the_startup_and_closed_after_the_shutdown(data_dir: Path) -> None:
    middleware = make(data_dir, WithState())
    gateway = AsgiGateway(middleware)
    with gateway:
        assert middleware._doorway.service.is_open
        assert data_dir.exists()
    assert not middleware._doorway.service.is_open


async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise ValueError("Django can only handle ASGI/HTTP connections")
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def silent_in_lifespan(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await without_lifespan(scope, receive, send)


@pytest.mark.parametrize("app", [without_lifespan, silent_in_lifespan])
def test_an_application_without_lifespan_gets_one_around_it(data_dir: Path, app: Any) -> None:
    middleware = make(data_dir, app)
    with AsgiGateway(middleware) as gateway:
        assert middleware._doorway.service.is_open
        assert gateway.call("GET", "/?bgrs=yes&wait_for=25").status == 204
    assert not middleware._doorway.service.is_open


def test_a_server_without_lifespan_is_served_all_the_same(data_dir: Path) -> None:
    middleware = make(data_dir, without_lifespan)
    with AsgiGateway(middleware, lifespan=False) as gateway:
        assert gateway.call("GET", "/?bgrs=yes&wait_for=25").status == 204
        close_service(middleware)


def shut_down(door: Door) -> ThreadPoolExecutor:
    """Begin the server's shutdown, in a thread that waits for its end."""
    thread = ThreadPoolExecutor(1)
    thread.submit(door.gateway.close)
    while door.service._waiting._timers == []:
        assert door.service.is_open
    return thread


def test_what_runs_at_the_shutdown_may_finish(data_dir: Path) -> None:
    door = Door("asgi", data_dir)
    rid = door.hold("a", "see:to the end")
    thread = shut_down(door)
    door.release("a")
    thread.shutdown()
    assert door.stage.seen == ["to the end"]
    door.close_after_gateway()
    later = Door("asgi", data_dir, executor="worker")
    assert later.status(rid)["status_name"] == "finished"
    later.close()


@pytest.mark.parametrize(("method", "state"), [("GET", "queued"), ("POST", "lost")])
def test_what_does_not_finish_in_time_is_handed_back_if_that_is_safe(data_dir: Path, method: str, state: str) -> None:
    door = Door("asgi", data_dir, drain_seconds=0.05)
    rid = door.ask("/do/gate:a/ask", method=method)
    door.stage.gate("a").wait_until_reached()
    door.gateway.close()
    assert door.stage.seen == ["CancelledError at a"]
    door.close_after_gateway()
    later = Door("asgi", data_dir, executor="worker")
    assert later.status(rid)["status_name"] == state
    assert "the server stopped" in later.details(rid)[-1]
    later.close()


def test_who_waits_at_the_shutdown_is_let_go(data_dir: Path) -> None:
    door = Door("asgi", data_dir, drain_seconds=0.05)
    rid = door.hold("a")
    held = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    while door.service._waiting._count == 0:
        assert not held.done()
    door.gateway.close()
    assert held.result(20).status in (202, 503)
    door.close_after_gateway()


TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")


def test_a_replay_has_a_context_of_its_own(data_dir: Path) -> None:
    """What the finished request had set is not seen in its replay, such as its trace."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(TRACE.get())
        TRACE.set("left behind")
        await without_lifespan(scope, receive, send)

    middleware = make(data_dir, app)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        TRACE.set("of the request")
        await middleware(scope, receive, send)

    with AsgiGateway(outer) as gateway:
        for _ in range(2):
            assert gateway.call("GET", "/?bgrs=yes&wait_for=25").status == 204
        gateway.call("GET", "/")
    assert seen[-3:] == ["none", "none", "of the request"]
