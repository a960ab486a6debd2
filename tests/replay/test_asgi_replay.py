"""Replays against raw ASGI applications: the scope, the two channels, and how every ending is recorded."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.errors import BodyError, DiskFull
from bgrs_middleware.pending import Pending
from bgrs_middleware.progress import Run, current_request, current_run, report_progress
from bgrs_middleware.replay.asgi import start_replay
from bgrs_middleware.replay.base import REPLAY_KEY
from replay.helpers import (
    BODY_NAME,
    MIB,
    RID,
    GivenBody,
    Stage,
    head_of,
    read_request,
    replay_on_loop,
    send_response,
    stage,
)

SERVER_ERROR = (
    500,
    ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")),
    b"Internal Server Error",
)


def outcome_of(on: Stage) -> tuple[int, Any, bytes]:
    return on.heard.response.status, on.heard.response.headers, on.content


# The scope.


def test_the_scope_is_that_of_the_request_built_afresh(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send_response(send, b"ok")

    head = head_of(
        "PATCH", "/root/a é", b"b=%2F&a&b=1", ((b"x-a", b"1"), (b"x-b", b"\xff"), (b"x-a", b"2")),
        root_path="/root", raw_path=b"/root/a%20%C3%A9", scheme="https", http_version="2",
        client=("203.0.113.9", 7), server=("shop.example", None),
    )  # fmt: skip
    on = replay_on_loop(app, stage(tmp_path, head))
    assert seen == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": "PATCH",
        "scheme": "https",
        "path": "/root/a é",
        "raw_path": b"/root/a%20%C3%A9",
        "query_string": b"b=%2F&a&b=1",
        "root_path": "/root",
        "headers": [(b"host", b"shop.example"), (b"x-a", b"1"), (b"x-b", b"\xff"), (b"x-a", b"2")],
        "client": ("203.0.113.9", 7),
        "server": ("shop.example", None),
        REPLAY_KEY: on.run,
    }


def test_an_application_further_out_is_entered_by_its_own_root(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send_response(send)

    head = head_of(path="/proxy/mount/x", root_path="/proxy/mount", gateway=(("root_path", "/proxy"),))
    replay_on_loop(app, stage(tmp_path, head))
    assert (seen["root_path"], seen["path"]) == ("/proxy", "/proxy/mount/x")


def test_state_is_copied_shallowly(tmp_path: Path) -> None:
    pool = object()
    state = {"pool": pool}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["state"]["pool"] is pool
        scope["state"]["mine"] = 1
        scope["headers"].append((b"x", b"y"))
        await send_response(send)

    on = replay_on_loop(app, stage(tmp_path), state)
    assert on.heard.response.status == 200
    assert state == {"pool": pool}


leaked: contextvars.ContextVar[str] = contextvars.ContextVar("leaked")


def test_nothing_of_the_callers_context_is_visible_and_nothing_leaks_into_it(tmp_path: Path) -> None:
    on = stage(tmp_path)
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(leaked.get(None))
        seen.append(current_run.get())
        seen.append(await asyncio.to_thread(current_request))
        leaked.set("the replay")
        await send_response(send)

    async def main() -> None:
        leaked.set("the request")
        await start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())
        assert leaked.get() == "the request"
        assert current_run.get() is None

    asyncio.run(main())
    assert seen == [None, on.run, on.run]


# The channel of the request.


@pytest.mark.parametrize(
    ("length", "pieces_of", "expected"),
    [(0, 65_536, [0]), (5, 65_536, [5]), (65_536, 65_536, [65_536]), (65_537, 65_536, [65_536, 1]), (5, 2, [2, 2, 1])],
)
def test_receive_gives_the_body_once(tmp_path: Path, length: int, pieces_of: int, expected: list[int]) -> None:
    data = bytes(index % 251 for index in range(length))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, lengths = await read_request(receive)
        assert body == data
        await send_response(send, repr(lengths).encode())

    on = replay_on_loop(app, stage(tmp_path, body=GivenBody(data, pieces_of)))
    assert on.content == repr(expected).encode()
    assert on.body.closed == 1  # type: ignore[attr-defined]  # it is the GivenBody of two lines above


def test_after_the_body_receive_blocks_until_the_response_is_complete(tmp_path: Path) -> None:
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

        async def listen() -> None:
            events.append((await receive())["type"])

        listener = asyncio.create_task(listen())
        await send({"type": "http.response.start", "status": 200})
        for _ in range(20):
            await asyncio.sleep(0)
        events.append("still working")
        await send({"type": "http.response.body", "body": b"ok"})
        await listener
        events.append((await receive())["type"])

    replay_on_loop(app, stage(tmp_path))
    assert events == ["still working", "http.disconnect", "http.disconnect"]


def test_an_application_that_reads_a_large_body_does_not_keep_the_loop(tmp_path: Path) -> None:
    turns = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        await read_request(receive)
        counter.cancel()
        await send_response(send)

    replay_on_loop(app, stage(tmp_path, body=bytes(2 * MIB)))
    assert turns >= 30


class BadBody(GivenBody):
    """Breaks at its second piece."""

    def pieces(self) -> Iterator[bytes]:
        yield self.data[:10]
        raise BodyError("the disk is gone")


class ShortBody(GivenBody):
    """Ends before its length."""

    def pieces(self) -> Iterator[bytes]:
        yield self.data[:10]


@pytest.mark.parametrize("kind", [BadBody, ShortBody])
def test_a_stored_body_that_cannot_be_read_is_no_500(tmp_path: Path, kind: type[GivenBody]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await read_request(receive)
        except BodyError:
            await send_response(send, b"never mind")

    on = replay_on_loop(app, stage(tmp_path, body=kind(bytes(20))))
    assert (on.heard.reason, on.heard.stopped) in [
        ("the disk is gone", False),
        ("the stored request body ended after 10 of 20 bytes", False),
    ]


# The channel of the response.


def test_the_whole_response_is_captured_before_send_returns(tmp_path: Path) -> None:
    on = stage(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_response(
            send, b"a", b"b", status=201, headers=((b"X-A", b"1"), (b"Set-Cookie", b"c"), (b"x-a", b"2"))
        )
        on.heard.events.append("background task")

    async def main() -> None:
        pending: Pending[None] = Pending()
        on.heard.committing = lambda: pending
        task = start_replay(app, on.job, state=None, loop=asyncio.get_running_loop())
        for _ in range(50):
            await asyncio.sleep(0)
        assert on.heard.events == []
        pending.set(None)
        await task

    asyncio.run(main())
    assert on.heard.events == ["captured", "background task"]
    assert outcome_of(on) == (201, ((b"X-A", b"1"), (b"x-a", b"2")), b"ab")
    assert on.notes == ["withheld from the response: set-cookie"]


def test_a_large_response_goes_to_disk_and_every_write_gives_the_loop_a_turn(tmp_path: Path) -> None:
    turns = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(2 * MIB), "more_body": True})
        assert turns >= 30, "one huge message"
        turns = 0
        for _ in range(32):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
        assert turns >= 30, "many messages"
        counter.cancel()
        await send({"type": "http.response.body"})

    on = replay_on_loop(app, stage(tmp_path))
    assert on.content == bytes(4 * MIB)
    assert on.files == [BODY_NAME]


def test_messages_of_several_tasks_do_not_mix(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def piece(letter: bytes, length: int) -> None:
            await send({"type": "http.response.body", "body": letter * length, "more_body": True})

        await asyncio.gather(piece(b"a", MIB), piece(b"b", 10), piece(b"c", MIB), piece(b"d", 10))
        await send({"type": "http.response.body"})

    on = replay_on_loop(app, stage(tmp_path))
    assert on.content == b"a" * MIB + b"b" * 10 + b"c" * MIB + b"d" * 10


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([{"type": "http.response.body", "body": b"x"}], "Expected ASGI message 'http.response.start'"),
        ([{"type": "http.response.debug"}], "Expected ASGI message 'http.response.start'"),
        ([{"type": "http.response.early_hint", "links": []}], "Expected ASGI message 'http.response.start'"),
    ],
)
def test_messages_out_of_order_are_a_server_error(tmp_path: Path, messages: list[Any], match: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    on = replay_on_loop(app, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert match in "".join(on.notes)


@pytest.mark.parametrize("kind", ["http.response.start", "http.response.pathsend", "http.response.trailers"])
def test_a_wrong_message_in_the_middle_raises_into_the_application_which_may_go_on(tmp_path: Path, kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        with pytest.raises(RuntimeError, match=r"Expected ASGI message 'http\.response\.body', but got"):
            await send({"type": kind, "status": 201, "path": "/etc/passwd", "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    assert replay_on_loop(app, stage(tmp_path)).content == b"fine"


def test_a_message_after_the_end_is_told_beside_the_response(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_response(send, b"whole")
        await send({"type": "http.response.trailers", "headers": []})

    on = replay_on_loop(app, stage(tmp_path))
    assert on.content == b"whole"
    (note,) = on.notes
    assert note.startswith("after the end of its response the application raised RuntimeError: Unexpected ASGI message")


# How it can end.


def test_an_exception_before_the_response_is_the_servers_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("boom")

    on = replay_on_loop(app, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert on.notes == ["the application raised ValueError: boom"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("bgrs_middleware.replay", logging.ERROR)
    assert RID in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError


@pytest.mark.parametrize(
    "error", [SystemExit(3), BaseExceptionGroup("several", [SystemExit(1)]), asyncio.CancelledError()]
)
def test_what_is_no_exception_is_the_servers_500_as_well(tmp_path: Path, error: BaseException) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    on = replay_on_loop(app, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert type(error).__name__ in on.notes[0]


def test_returning_without_a_response_is_the_servers_500(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Nothing."""

    on = replay_on_loop(app, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert on.notes == ["the application returned without starting a response"]


def test_an_exception_whose_text_raises_is_still_told(tmp_path: Path) -> None:
    class Worse(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise Worse

    logging.getLogger("bgrs_middleware.replay").propagate = False  # pytest's own handler would format it
    try:
        on = replay_on_loop(app, stage(tmp_path))
    finally:
        logging.getLogger("bgrs_middleware.replay").propagate = True
    assert on.notes == ["the application raised Worse"]


@pytest.mark.parametrize("length", [3, 3 * MIB])
def test_an_exception_in_the_middle_leaves_no_response(tmp_path: Path, length: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(length), "more_body": True})
        raise ValueError("boom")

    on = replay_on_loop(app, stage(tmp_path))
    assert on.heard.reason == "the application raised ValueError: boom before the end of its response"
    assert on.heard.stopped is False
    assert on.files == []


def test_returning_in_the_middle_leaves_no_response(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    on = replay_on_loop(app, stage(tmp_path))
    assert on.heard.reason == "the application returned before the end of its response"


def test_an_exception_after_the_response_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_response(send, b"whole")
        raise ValueError("late")

    on = replay_on_loop(app, stage(tmp_path))
    assert on.content == b"whole"
    assert on.notes == ["after the end of its response the application raised ValueError: late"]
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize(
    ("pieces", "declared", "reason"),
    [
        ((b"12345", b"67"), b"6", "the response is longer than its Content-Length, 6 bytes"),
        ((b"12345",), b"6", "the response ended after 5 bytes, its Content-Length is 6"),
        ((), b"6", "the response ended after 0 bytes, its Content-Length is 6"),
        ((bytes(MIB),), b"2000000", "the response ended after 1048576 bytes, its Content-Length is 2000000"),
    ],
)
@pytest.mark.parametrize("swallows", [False, True])
def test_a_length_that_does_not_hold_leaves_no_response_whatever_the_application_does(
    tmp_path: Path, pieces: tuple[bytes, ...], declared: bytes, reason: str, swallows: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send_response(send, *pieces, headers=((b"content-length", declared),))
        except Exception:
            if not swallows:
                raise

    on = replay_on_loop(app, stage(tmp_path))
    assert (on.heard.reason, on.heard.stopped) == (reason, False)
    assert on.files == []


def test_storage_that_fails_decides_the_outcome_even_where_the_application_answers_500(tmp_path: Path) -> None:
    def create(_: str) -> Any:
        raise DiskFull("The disk is at its floor.")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            with pytest.raises(DiskFull):
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})

    on = replay_on_loop(app, stage(tmp_path, create_body=create))
    assert (on.heard.reason, on.heard.stopped) == ("The disk is at its floor.", False)


def test_a_response_beyond_the_limit_is_cut(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})

    on = replay_on_loop(app, stage(tmp_path, max_result_bytes=MIB))
    assert on.heard.reason == "the response is longer than max_result_bytes, 1048576 bytes"
    assert on.files == []


def test_what_the_listener_raises_reaches_the_owner_of_the_task(tmp_path: Path) -> None:
    on = stage(tmp_path)
    failed: Pending[None] = Pending()
    failed.fail(LookupError("no store"))
    on.heard.committing = lambda: failed

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_response(send, b"whole")

    with pytest.raises(LookupError):
        replay_on_loop(app, on)
    assert on.heard.events == []


def test_progress_that_the_application_reports_goes_before_what_is_derived(tmp_path: Path) -> None:
    seen: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        run: Run = scope[REPLAY_KEY]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        seen.append(run.progress)
        report_progress(10)
        await send({"type": "http.response.body", "body": b"bc", "more_body": True})
        seen.append(run.progress)
        await send({"type": "http.response.body", "body": b"d"})

    replay_on_loop(app, stage(tmp_path))
    assert seen == [25.0, 10.0]
