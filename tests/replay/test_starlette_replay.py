"""Starlette and FastAPI in a replay: what works in a call works here, unmodified."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, UploadFile
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bgrs_middleware.progress import cancelled, current_request, report_item, report_progress
from replay.helpers import BODY_NAME, MIB, RID, head_of, replay_on_loop, stage


def app_of(endpoint: Any, **options: Any) -> Starlette:
    return Starlette(routes=[Route("/{rest:path}", endpoint, methods=["GET", "POST"])], **options)


def test_a_streamed_response_is_captured_whole(tmp_path: Path) -> None:
    """An early disconnect would end the stream; Starlette listens for one beside it."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0.002)
            yield b"row\n"

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(pieces(), media_type="text/csv")

    on = replay_on_loop(app_of(endpoint), stage(tmp_path))
    assert on.content == b"row\n" * 5
    assert on.heard.response.headers == ((b"content-type", b"text/csv; charset=utf-8"),)


def test_a_sync_generator_is_captured_whole(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(40):
            yield bytes([number]) * 65_536

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(pieces())

    on = replay_on_loop(app_of(endpoint), stage(tmp_path))
    assert on.content == b"".join(pieces())
    assert on.files == [BODY_NAME]


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
def test_a_file_response_is_captured_whole(tmp_path: Path, size: int) -> None:
    """With `extensions` in the scope it would send the path of the file instead of its bytes."""
    path = tmp_path / "report.bin"
    path.write_bytes(bytes(index % 251 for index in range(size)))

    async def endpoint(_: Request) -> Response:
        return FileResponse(path)

    on = replay_on_loop(app_of(endpoint), stage(tmp_path))
    assert on.content == path.read_bytes()
    assert dict(on.heard.response.headers)[b"content-length"] == str(size).encode()


def test_an_exception_is_the_500_of_the_application_once(tmp_path: Path) -> None:
    """Starlette sends its 500 and raises again."""

    async def endpoint(_: Request) -> Response:
        raise ValueError("boom")

    async def on_error(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 500)

    on = replay_on_loop(app_of(endpoint, exception_handlers={Exception: on_error}), stage(tmp_path))
    assert (on.heard.response.status, on.content) == (500, b'{"error":"boom"}')
    assert on.notes == ["after the end of its response the application raised ValueError: boom"]


def test_an_http_exception_is_its_response(tmp_path: Path) -> None:
    async def endpoint(_: Request) -> Response:
        raise HTTPException(418, "short and stout", {"X-A": "1"})

    on = replay_on_loop(app_of(endpoint), stage(tmp_path))
    assert (on.heard.response.status, on.content) == (418, b"short and stout")
    assert (b"x-a", b"1") in on.heard.response.headers


def test_background_tasks_run_after_the_result_is_there(tmp_path: Path) -> None:
    on = stage(tmp_path)

    async def later() -> None:
        await asyncio.sleep(0)
        on.heard.events.append("background task")

    async def endpoint(_: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(later))

    replay_on_loop(app_of(endpoint), on)
    assert on.heard.events == ["captured", "background task"]


def test_the_body_is_read_through_a_middleware_of_the_old_kind(tmp_path: Path) -> None:
    class Old(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            request.state.seen = len(await request.body())
            response: Response = await call_next(request)
            return response

    async def endpoint(request: Request) -> Response:
        chunks = [chunk async for chunk in request.stream()]
        assert not await request.is_disconnected()
        return JSONResponse([request.state.seen, sum(map(len, chunks))])

    app = app_of(endpoint, middleware=[Middleware(Old)])
    on = replay_on_loop(app, stage(tmp_path, head_of("POST"), b"x" * 200_000))
    assert on.content == b"[200000,200000]"


def test_asking_whether_the_client_is_there_says_yes(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        await request.body()
        for _ in range(3):
            assert not await request.is_disconnected()
            await asyncio.sleep(0)
        return PlainTextResponse("ok")

    assert replay_on_loop(app_of(endpoint), stage(tmp_path, head_of("POST"), b"x")).content == b"ok"


def test_a_session_is_read_and_what_it_sets_is_withheld(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return JSONResponse(request.session)

    cookie = TimestampSigner("secret").sign(b"eyJ2aXNpdHMiOiA0MX0=")  # {"visits": 41}
    app = app_of(endpoint, middleware=[Middleware(SessionMiddleware, secret_key="secret")])
    on = replay_on_loop(app, stage(tmp_path, head_of(headers=((b"cookie", b"session=" + cookie),))))
    assert on.content == b'{"visits":42}'
    assert b"set-cookie" not in dict(on.heard.response.headers)
    assert on.notes == ["withheld from the response: set-cookie"]


def test_lifespan_state_and_request_state_are_there(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        request.state.mine = "mine"
        return PlainTextResponse(f"{request.state.pool} {request.state.mine} {request.client} {request.url}")

    state = {"pool": "pool"}
    on = replay_on_loop(app_of(endpoint), stage(tmp_path, head_of(path="/a", query=b"b=%2F&b")), state)
    assert on.content == b"pool mine Address(host='203.0.113.9', port=5555) http://shop.example/a?b=%2F&b"
    assert state == {"pool": "pool"}


def test_repeated_headers_keep_their_order(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        response = PlainTextResponse(", ".join(request.headers.getlist("x-a")))
        for name, value in (("Link", "<a>"), ("X-B", "1"), ("Link", "<b>"), ("Vary", "x"), ("Link", "<c>")):
            response.headers.append(name, value)
        return response

    head = head_of(headers=((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")))
    on = replay_on_loop(app_of(endpoint), stage(tmp_path, head))
    assert on.content == b"1, 3"
    assert on.heard.response.headers[2:] == (
        (b"link", b"<a>"), (b"x-b", b"1"), (b"link", b"<b>"), (b"vary", b"x"), (b"link", b"<c>"),
    )  # fmt: skip


trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")


async def tracing() -> AsyncIterator[str]:
    token = trace.set("dependency")
    yield "resource"
    with contextlib.suppress(ValueError):
        trace.reset(token)


def test_fastapi_in_full(tmp_path: Path) -> None:
    """Form, upload, dependency with a context variable, sync endpoint in a thread, and our own functions there."""
    app = FastAPI()

    @app.post("/import")
    def endpoint(title: Annotated[str, Form()], upload: UploadFile, resource: Annotated[str, Depends(tracing)]) -> Any:
        request = current_request()
        assert request is not None
        report_progress(50, "half")
        report_item("rows", "done")
        content = upload.file.read()
        return [title, len(content), resource, trace.get(), request.rid, request.attempt, cancelled()]

    boundary = b"--b\r\nContent-Disposition: form-data; name="
    body = (
        boundary + b'"title"\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n'
        + boundary + b'"upload"; filename="a.csv"\r\n\r\n' + b"1,2\n" * 50_000 + b"\r\n--b--\r\n"
    )  # fmt: skip
    head = head_of("POST", "/import", headers=((b"content-type", b"multipart/form-data; boundary=b"),))
    on = replay_on_loop(app, stage(tmp_path, head, body))
    assert on.content.decode() == f'["Grüße",200000,"resource","dependency","{RID}",1,false]'
    assert (on.run.progress, on.run.message, [item.name for item in on.run.items]) == (50.0, "half", ["rows"])
