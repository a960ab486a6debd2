"""Stopping an ASGI replay: who is told, what is recorded, and that the work has really ended by then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bgrs_middleware.pending import Pending
from bgrs_middleware.progress import cancelled
from bgrs_middleware.replay.asgi import start_replay
from replay.helpers import MIB, AsgiApp, Stage, send_response, stage


def cancel_when(
    app: AsgiApp, on: Stage, ready: Callable[[], Coroutine[Any, Any, None]], *, times: int = 1
) -> asyncio.Task[None]:
    """Start a replay, cancel it as the service does once `ready()` returns, and wait for its end."""

    async def main() -> asyncio.Task[None]:
        task = start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())
        await ready()
        on.run.cancel()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait((task,))
        return task

    return asyncio.run(main())


class Gate:
    """An event of whatever loop waits for it first."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def open(self) -> None:
        self.event.set()

    async def passed(self) -> None:
        await self.event.wait()


def assert_stopped(on: Stage, task: asyncio.Task[None]) -> None:
    assert (on.heard.reason, on.heard.stopped) == ("it was stopped while it ran", True)
    assert task.cancelled()
    assert on.files == []


def test_a_handler_gets_cancelled_error_and_cleans_up_in_peace(tmp_path: Path) -> None:
    gate, on, events = Gate(), stage(tmp_path), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            gate.open()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            events.append("cleaned up")
            raise

    task = cancel_when(app, on, gate.passed)
    assert events == ["cleaned up"]
    assert_stopped(on, task)


def test_in_the_middle_of_a_stream_what_came_is_discarded(tmp_path: Path) -> None:
    gate, on = Gate(), stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
        gate.open()
        await asyncio.sleep(60)

    assert_stopped(on, cancel_when(app, on, gate.passed))


def test_a_replay_that_is_cancelled_before_its_first_step_is_told(tmp_path: Path) -> None:
    on = stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("never called")

    async def main() -> None:
        task = start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())
        task.cancel()
        await asyncio.wait((task,))
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    asyncio.run(main())
    assert on.heard.stopped is True


def test_a_whole_response_after_a_swallowed_cancellation_is_captured(tmp_path: Path) -> None:
    gate, on = Gate(), stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            gate.open()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await send_response(send, b"as far as ", b"I came")

    task = cancel_when(app, on, gate.passed)
    assert on.content == b"as far as I came"
    assert not task.cancelled()


def test_a_message_that_was_cut_off_spoils_the_response(tmp_path: Path) -> None:
    """A response with a hole is not whole, even if the application swallows the cancellation and goes on."""
    gate, on = Gate(), stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gate.open()
        try:
            await send({"type": "http.response.body", "body": bytes(200 * MIB), "more_body": True})
        except asyncio.CancelledError:
            with pytest.raises(RuntimeError, match="cancelled while it was sent"):
                await send({"type": "http.response.body", "body": b"the end"})

    cancel_when(app, on, gate.passed)
    assert (on.heard.events, on.heard.stopped) == (["broken"], True)
    assert on.files == []


def test_an_application_that_never_stops_keeps_its_replay(tmp_path: Path) -> None:
    """`cancelling` stays until the work has really stopped: every further cancellation is passed on."""
    gate, on = Gate(), stage(tmp_path)
    seen: list[list[str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        gate.open()
        while len(seen) < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append(on.heard.events.copy())

    async def main() -> None:
        task = start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())
        await gate.passed()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0.005)

    asyncio.run(main())
    assert seen == [[], [], []]
    assert on.heard.events == ["broken"]


def test_a_response_that_is_being_committed_is_not_lost(tmp_path: Path) -> None:
    on, pending, gate = stage(tmp_path), Pending[None](), Gate()

    def committing() -> Pending[None]:
        gate.open()
        asyncio.get_running_loop().call_later(0.02, pending.set, None)
        return pending

    on.heard.committing = committing

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_response(send, bytes(MIB))

    cancel_when(app, on, gate.passed, times=3)
    assert on.heard.events == ["captured"]
    assert on.content == bytes(MIB)


def test_a_second_cancellation_while_the_first_is_written_down_loses_nothing(tmp_path: Path) -> None:
    on, pending, begun = stage(tmp_path), Pending[None](), Gate()

    def committing() -> Pending[None]:
        begun.open()
        return pending

    on.heard.committing = committing

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())
        await asyncio.sleep(0)
        task.cancel()
        await begun.passed()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        pending.set(None)
        await asyncio.wait((task,))
        assert task.cancelled()

    asyncio.run(main())
    assert on.heard.events == ["broken"]


def test_a_send_that_the_application_itself_gives_up_is_recorded(tmp_path: Path) -> None:
    """A timeout of the application's around its own last message."""
    on, pending = stage(tmp_path), Pending[None]()
    on.heard.committing = lambda: pending

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_later(0.05, pending.set, None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_response(send, b"whole"), 0.01)

    async def main() -> None:
        await start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())

    asyncio.run(main())
    assert on.content == b"whole"


def test_background_tasks_are_cancelled_and_the_result_stays(tmp_path: Path) -> None:
    gate, on = Gate(), stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_response(send, b"whole")
        gate.open()
        await asyncio.sleep(60)

    assert cancel_when(app, on, gate.passed).cancelled()
    assert on.heard.events == ["captured"]


def test_the_end_of_the_loop_is_recorded(tmp_path: Path) -> None:
    """uvicorn's last act, and asyncio.run's: every task is cancelled."""
    gate, on = Gate(), stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        gate.open()
        await asyncio.sleep(60)

    tasks = []

    async def main() -> None:
        tasks.append(start_replay(app, on.job, state=None, loop=asyncio.get_running_loop()))
        await gate.passed()

    asyncio.run(main())
    assert_stopped(on, tasks[0])


def test_a_starlette_stream_is_told_by_a_disconnect(tmp_path: Path) -> None:
    gate, on, events = Gate(), stage(tmp_path), []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            gate.open()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(pieces())

    cancel_when(Starlette(routes=[Route("/", endpoint)]), on, gate.passed)
    assert events == ["cancelled"]
    assert (on.heard.events, on.heard.stopped) == (["broken"], True)


def test_a_sync_endpoint_in_a_thread_is_waited_for_and_its_answer_captured(tmp_path: Path) -> None:
    """A thread cannot be stopped: it sees `cancelled()`, and the replay lasts as long as it does."""
    on = stage(tmp_path)
    begun, finished = threading.Event(), threading.Event()
    app = FastAPI()

    @app.get("/")
    def endpoint() -> dict[str, bool]:
        begun.set()
        while not cancelled():
            finished.wait(0.005)
        finished.wait(0.3)
        assert on.heard.events == []
        return {"stopped early": True}

    async def ready() -> None:
        await asyncio.to_thread(begun.wait)

    cancel_when(app, on, ready)
    assert on.run.cancel_seen
    assert on.content == b'{"stopped early":true}'


def test_a_sync_endpoint_that_does_not_look_ends_before_the_replay_does(tmp_path: Path) -> None:
    on, events = stage(tmp_path), []
    begun, go_on = threading.Event(), threading.Event()

    def endpoint(_: Request) -> Response:
        begun.set()
        go_on.wait()
        events.append("endpoint over")
        on.heard.events.append("endpoint over")
        return PlainTextResponse("done")

    async def ready() -> None:
        await asyncio.to_thread(begun.wait)
        asyncio.get_running_loop().call_later(0.2, go_on.set)

    cancel_when(Starlette(routes=[Route("/", endpoint)]), on, ready)
    assert on.heard.events == ["endpoint over", "captured"]
