"""Replays against raw WSGI applications: everything that PEP 3333 allows, and how every ending is recorded."""

from __future__ import annotations

import contextvars
import io
import logging
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.errors import BodyError, DiskFull
from bgrs_middleware.pending import Pending
from bgrs_middleware.progress import cancelled, current_request, current_run
from bgrs_middleware.replay.base import REPLAY_KEY
from replay.helpers import BODY_NAME, MIB, RID, GivenBody, Stage, head_of, replay_in_thread, stage

SERVER_ERROR = (
    500,
    ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")),
    b"Internal Server Error",
)


def outcome_of(on: Stage) -> tuple[int, Any, bytes]:
    return on.heard.response.status, on.heard.response.headers, on.content


class Pieces:
    """An iterable with a `close()` that is remembered."""

    def __init__(self, pieces: Iterator[Any], events: list[str]) -> None:
        self.pieces = pieces
        self.events = events

    def __iter__(self) -> Iterator[Any]:
        return self.pieces

    def close(self) -> None:
        self.events.append("closed")


# The environ.


def test_the_environ_is_built_from_what_is_allowed(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> Any:
        seen.update(environ)
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    head = head_of(
        "POST", "/shop/a b", b"b=%2F&a",
        ((b"x-a", b"1"), (b"cookie", b"a=1"), (b"x-a", b"\xff"), (b"cookie", b"b=2"), (b"content-type", b"text/csv"),
         (b"content-length", b"3"), (b"transfer-encoding", b"chunked"), (b"x_a", b"evil")),
        root_path="/shop", raw_path=b"/shop/a%20b",
        gateway=(
            ("SCRIPT_NAME", "/shop"), ("SERVER_NAME", "10.0.0.1"), ("SERVER_PORT", "8000"),
            ("SERVER_PROTOCOL", "HTTP/1.0"), ("REMOTE_ADDR", "203.0.113.9"), ("REMOTE_PORT", "7"),
            ("REMOTE_USER", "ann"), ("SSL_CLIENT_S_DN", "CN=ann"), ("HTTPS", "on"), ("AUTH_TYPE", "Basic"),
            ("RAW_URI", "/shop/a%20b?bgrs=yes&b=%2F&a"), ("REQUEST_URI", "x"),
            ("gunicorn.socket", "no"), ("uwsgi.version", "no"), ("wsgi.file_wrapper", "no"), ("PATH_INFO", "/no"),
        ),
    )  # fmt: skip
    on = replay_in_thread(app, stage(tmp_path, head, b"1,2"))
    assert on.content == b"1,2"
    assert isinstance(seen.pop("wsgi.input"), io.BufferedIOBase)
    assert seen == {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/shop", "PATH_INFO": "/a b", "QUERY_STRING": "b=%2F&a",
        "SERVER_NAME": "10.0.0.1", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.0",
        "REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": "7", "REMOTE_USER": "ann", "SSL_CLIENT_S_DN": "CN=ann",
        "HTTPS": "on", "AUTH_TYPE": "Basic", "RAW_URI": "/shop/a%20b?b=%2F&a", "REQUEST_URI": "/shop/a%20b?b=%2F&a",
        "CONTENT_TYPE": "text/csv", "CONTENT_LENGTH": "3",
        "HTTP_HOST": "shop.example", "HTTP_X_A": "1,\xff", "HTTP_COOKIE": "a=1; b=2",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input_terminated": True, "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False, REPLAY_KEY: on.run,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ((), b"", None),
        (((b"content-length", b"0"),), b"", "0"),
        (((b"transfer-encoding", b"chunked"),), b"", "0"),
        (((b"transfer-encoding", b"chunked"),), b"12345", "5"),
        ((), b"12345", "5"),
        (((b"content-length", b"99"),), b"12345", "5"),
    ],
)
def test_content_length_is_the_length_of_the_body(tmp_path: Path, headers: Any, body: bytes, expected: Any) -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ.get("CONTENT_LENGTH"))
        start_response("200 OK", [])
        return []

    replay_in_thread(app, stage(tmp_path, head_of("POST", headers=headers), body))
    assert seen == [expected]


leaked: contextvars.ContextVar[str] = contextvars.ContextVar("leaked")


def test_nothing_of_the_threads_context_is_visible_and_nothing_leaks_into_it(tmp_path: Path) -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.extend([leaked.get(None), current_request()])
        leaked.set("the replay")
        start_response("200 OK", [])

        def pieces() -> Iterator[bytes]:
            seen.append(leaked.get())
            yield b"x"

        return pieces()

    on = stage(tmp_path)

    def thread() -> None:
        leaked.set("the request")
        replay_in_thread(app, on)
        seen.extend([leaked.get(), current_run.get()])

    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    assert seen == [None, on.run, "the replay", "the request", None]


# wsgi.input.


@pytest.mark.parametrize("pieces_of", [1, 7, 65_536])
def test_the_input_reads_like_a_file(tmp_path: Path, pieces_of: int) -> None:
    data = b"first\nsecond\n\nlast without end"

    def app(environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        start_response("200 OK", [])
        seen = [
            stream.read(2),
            stream.readline(),
            stream.readline(3),
            stream.readlines(),
            stream.read(),
            stream.read(1),
        ]
        return [repr(seen).encode()]

    on = replay_in_thread(app, stage(tmp_path, head_of("POST"), GivenBody(data, pieces_of)))
    expected = [b"fi", b"rst\n", b"sec", [b"ond\n", b"\n", b"last without end"], b"", b""]
    assert on.content == repr(expected).encode()


def test_the_input_is_iterated_line_by_line(tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % number for number in range(50_000))

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [str(sum(int(line) for line in environ["wsgi.input"])).encode()]

    assert replay_in_thread(app, stage(tmp_path, head_of("POST"), data)).content == str(sum(range(50_000))).encode()


class BadBody(GivenBody):
    def pieces(self) -> Iterator[bytes]:
        yield self.data[:10]
        raise BodyError("the disk is gone")


class ShortBody(GivenBody):
    def pieces(self) -> Iterator[bytes]:
        yield self.data[:10]


class NoBody(GivenBody):
    def pieces(self) -> Iterator[bytes]:
        raise BodyError("the disk is gone")


@pytest.mark.parametrize("kind", [BadBody, ShortBody, NoBody])
def test_a_stored_body_that_cannot_be_read_is_no_500(tmp_path: Path, kind: type[GivenBody]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            return [environ["wsgi.input"].read()]
        except BodyError:
            return [b"never mind"]

    on = replay_in_thread(app, stage(tmp_path, head_of("POST"), kind(bytes(20))))
    assert (on.heard.reason, on.heard.stopped) in [
        ("the disk is gone", False),
        ("the stored request body ended 10 bytes too early", False),
    ]
    assert on.body.closed == 1  # type: ignore[attr-defined]  # it is the GivenBody of above


# How a response may come.


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "iterator", "empty"])
def test_any_iterable_is_a_body(tmp_path: Path, kind: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("201 Made so", [("X-A", "1"), ("Set-Cookie", "a=b"), ("x-a", "\xe9")])
        pieces = [b"", b"a", b"", b"b" * MIB]
        return {
            "list": pieces,
            "tuple": tuple(pieces),
            "generator": (piece for piece in pieces),
            "iterator": iter(pieces),
            "empty": [],
        }[kind]

    on = replay_in_thread(app, stage(tmp_path))
    expected = b"" if kind == "empty" else b"a" + b"b" * MIB
    assert outcome_of(on) == (201, ((b"X-A", b"1"), (b"x-a", b"\xe9")), expected)
    assert on.notes == ["withheld from the response: set-cookie"]
    assert on.files == ([] if kind == "empty" else [BODY_NAME])


def test_start_response_may_come_with_the_first_piece(tmp_path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        yield b""
        start_response("200 OK", [("X-A", "1")])
        yield b"late"

    assert outcome_of(replay_in_thread(app, stage(tmp_path))) == (200, ((b"X-A", b"1"),), b"late")


def test_what_write_is_given_goes_before_the_pieces(tmp_path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"written ")
        write(b"first, ")
        return [b"then returned"]

    assert replay_in_thread(app, stage(tmp_path)).content == b"written first, then returned"


def test_exc_info_replaces_what_was_started(tmp_path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X-A", "1"), ("Content-Length", "2")])
        try:
            raise ValueError("boom")
        except ValueError:
            start_response("500 Oops", [("X-B", "2")], sys.exc_info())
        return [b"sorry"]

    assert outcome_of(replay_in_thread(app, stage(tmp_path))) == (500, ((b"X-B", b"2"),), b"sorry")


def test_exc_info_is_raised_again_once_bytes_have_come(tmp_path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"bytes"
        try:
            raise ValueError("boom")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        yield b"never"

    on = replay_in_thread(app, stage(tmp_path))
    assert on.heard.reason == "the application raised ValueError: boom before the end of its response"


def test_a_second_start_without_exc_info_is_a_fault_of_the_application(tmp_path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return [b""]

    on = replay_in_thread(app, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert "second time" in on.notes[0]


@pytest.mark.parametrize("status", ["", "OK", "20 OK", "2000 OK", "200 O\nK", "200OK", 200])
def test_a_status_line_that_is_none_is_a_server_error(tmp_path: Path, status: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [])
        return [b""]

    assert outcome_of(replay_in_thread(app, stage(tmp_path))) == SERVER_ERROR


@pytest.mark.parametrize("status", ["200 OK", "200", "200 "])
def test_a_reason_phrase_may_be_missing(tmp_path: Path, status: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [])
        return [b"ok"]

    assert outcome_of(replay_in_thread(app, stage(tmp_path))) == (200, (), b"ok")


# close().


def test_close_is_called_after_the_result_is_recorded(tmp_path: Path) -> None:
    on = stage(tmp_path)
    pending: Pending[None] = Pending()
    on.heard.committing = lambda: pending

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        threading.Timer(0.02, pending.set, (None,)).start()
        return Pieces(iter([b"ok"]), on.heard.events)

    replay_in_thread(app, on)
    assert on.heard.events == ["captured", "closed"]


def pieces_that_fail(after: list[bytes]) -> Iterator[bytes]:
    yield from after
    raise ValueError("boom")


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (lambda: iter([b"ok"]), "captured"),
        (lambda: pieces_that_fail([]), "captured"),
        (lambda: pieces_that_fail([b"x"]), "broken"),
        (lambda: iter([b"x", "text"]), "broken"),
        (lambda: iter([b"too long"]), "broken"),
        (lambda: iter([]), "broken"),
    ],
)
def test_close_is_called_however_it_ends(tmp_path: Path, pieces: Any, told: str) -> None:
    on = stage(tmp_path)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "2")])
        return Pieces(pieces(), on.heard.events)

    replay_in_thread(app, on)
    assert on.heard.events == [told, "closed"]


def test_close_is_called_even_where_the_listener_fails(tmp_path: Path) -> None:
    on = stage(tmp_path)
    failed: Pending[None] = Pending()
    failed.fail(LookupError("no store"))
    on.heard.committing = lambda: failed

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Pieces(iter([b"ok"]), on.heard.events)

    with pytest.raises(LookupError):
        replay_in_thread(app, on)
    assert on.heard.events == ["closed"]


def test_a_close_that_raises_is_told_beside_the_result(tmp_path: Path) -> None:
    class Bad(Pieces):
        def close(self) -> None:
            raise ValueError("stuck")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Bad(iter([b"ok"]), [])

    on = replay_in_thread(app, stage(tmp_path))
    assert on.content == b"ok"
    assert on.notes == ["after the end of its response the application raised ValueError: stuck"]


# How it can end.


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3)])
@pytest.mark.parametrize("started", [False, True])
def test_an_exception_before_the_first_byte_is_the_servers_500(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: BaseException, started: bool
) -> None:
    """Servers hold the headers back until the first byte."""

    def app(environ: Any, start_response: Any) -> Any:
        if started:
            start_response("200 OK", [("X-A", "1"), ("Content-Length", "5")])
        raise error

    on = replay_in_thread(app, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert on.notes == [f"the application raised {type(error).__name__}: {error}"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("bgrs_middleware.replay", logging.ERROR)
    assert RID in record.getMessage()
    assert record.exc_info is not None


def test_no_start_response_at_all_is_the_servers_500(tmp_path: Path) -> None:
    on = replay_in_thread(lambda environ, start_response: [], stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR
    assert on.notes == ["the application returned without starting a response"]


@pytest.mark.parametrize("result", [[b"x"], None, 7])
def test_a_body_without_a_start_or_no_iterable_is_the_servers_500(tmp_path: Path, result: Any) -> None:
    on = replay_in_thread(lambda environ, start_response: result, stage(tmp_path))
    assert outcome_of(on) == SERVER_ERROR


@pytest.mark.parametrize("length", [3, 3 * MIB])
def test_an_exception_in_the_middle_leaves_no_response(tmp_path: Path, length: int) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return pieces_that_fail([bytes(length)])

    on = replay_in_thread(app, stage(tmp_path))
    assert on.heard.reason == "the application raised ValueError: boom before the end of its response"
    assert on.heard.stopped is False
    assert on.files == []


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"12345", b"67"], "the response is longer than its Content-Length, 6 bytes"),
        ([b"12345"], "the response ended after 5 bytes, its Content-Length is 6"),
    ],
)
def test_a_length_that_does_not_hold_leaves_no_response(tmp_path: Path, pieces: list[bytes], reason: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "6")])
        return pieces

    on = replay_in_thread(app, stage(tmp_path))
    assert (on.heard.reason, on.heard.stopped) == (reason, False)


def test_storage_that_fails_decides_the_outcome_even_where_the_application_swallows_it(tmp_path: Path) -> None:
    def create(_: str) -> Any:
        raise DiskFull("The disk is at its floor.")

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        for _ in range(3):
            with pytest.raises(DiskFull):
                write(bytes(MIB))
        return []

    on = replay_in_thread(app, stage(tmp_path, create_body=create))
    assert (on.heard.reason, on.heard.stopped) == ("The disk is at its floor.", False)


# Cancelling.


def test_a_stream_that_is_cancelled_is_stopped_at_its_next_piece_and_closed(tmp_path: Path) -> None:
    on = stage(tmp_path)

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            if number == 5:
                on.run.cancel()
            on.heard.events.append(str(number))
            yield bytes(MIB)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Pieces(pieces(), on.heard.events)

    replay_in_thread(app, on)
    assert on.heard.events == ["0", "1", "2", "3", "4", "5", "broken", "closed"]
    assert (on.heard.reason, on.heard.stopped) == ("it was stopped while it ran", True)
    assert on.files == []


def test_a_cancelled_stream_stays_stopped_where_the_application_swallows_it(tmp_path: Path) -> None:
    on = stage(tmp_path)

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"one")
        on.run.cancel()
        for _ in range(3):
            try:
                write(b"two")
            except BaseException:  # such applications exist
                on.heard.events.append("swallowed")
                # To know it now is too late: a piece is missing already.
                assert cancelled()
        return []

    replay_in_thread(app, on)
    assert on.heard.events == ["swallowed"] * 3 + ["broken"]
    assert on.heard.stopped is True


def test_a_whole_response_after_a_cancellation_is_captured(tmp_path: Path) -> None:
    """A handler that does not stream cannot be stopped in the middle; what it answers is whole."""
    on = stage(tmp_path)

    def app(environ: Any, start_response: Any) -> Any:
        on.run.cancel()
        start_response("200 OK", [])
        return (piece for piece in [b"whole"])

    assert replay_in_thread(app, on).content == b"whole"


def test_a_handler_that_saw_the_cancellation_ends_its_stream_itself(tmp_path: Path) -> None:
    on = stage(tmp_path)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"one "
        on.run.cancel()
        assert cancelled()
        yield b"two "
        yield b"stopped here"

    assert replay_in_thread(app, on).content == b"one two stopped here"


def test_random_bytes_of_any_size_come_out_as_they_went_in(tmp_path: Path) -> None:
    chance = random.Random(3)
    pieces = [chance.randbytes(chance.randrange(200_000)) for _ in range(60)]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", str(sum(map(len, pieces))))])
        return iter(pieces)

    assert replay_in_thread(app, stage(tmp_path)).content == b"".join(pieces)
