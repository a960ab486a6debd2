"""(a) What an ordinary request pays for passing through, in this process, beside other middleware.

One call after another, no server and no network: the difference to the bare application is what the middleware costs.
The contenders take turns within each round, so that drift meets them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any

from bgrs_middleware import asgi, wsgi

from .report import Report, at_most

ASGI_TARGET = at_most(1.0, "µs")
WSGI_TARGET = at_most(0.5, "µs")

HEADERS = [
    (b"host", b"api.example.com"),
    (b"connection", b"keep-alive"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (b"accept", b"application/json, text/plain, */*"),
    (b"accept-language", b"en-GB,en;q=0.9"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"authorization", b"Bearer 3fb1c9a04f7e4f0c8b1d5a6e7f8091a2"),
    (b"cookie", b"session=9f86d081884c7d659a2feaa0c55ad015; theme=dark"),
    (b"referer", b"https://app.example.com/reports"),
    (b"x-request-id", b"5f1c1d0e-3e38-4b0a-9f0a-6a8b8f1c0c55"),
]
SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/v2.5/users/me",
    "raw_path": b"/v2.5/users/me",
    "query_string": b"",
    "root_path": "",
    "headers": HEADERS,
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8_000),
    "state": {},
}
QUERY = b"fields=name%2Cemail&page=2&per_page=50"
BODY = b'{"id": "1", "name": "Grace Hopper", "email": "grace@example.com"}'
RESPONSE_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The application: a constant answer."""
    await send({"type": "http.response.start", "status": 200, "headers": RESPONSE_HEADERS})
    await send({"type": "http.response.body", "body": BODY})


class NoOp:
    """The least that a pure-ASGI middleware can be."""

    def __init__(self, app: AsgiApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def _asgi_contenders() -> dict[str, tuple[AsgiApp, bytes]]:
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.middleware.gzip import GZipMiddleware

    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    ours = asgi.BgrsMiddleware(bare)
    return {
        "bare": (bare, b""),
        "a no-op ASGI middleware": (NoOp(bare), b""),
        "bgrs_middleware": (ours, b""),
        "bgrs_middleware, with a query": (ours, QUERY),
        "CORSMiddleware": (CORSMiddleware(bare, allow_origins=["https://app.example.com"]), b""),
        "GZipMiddleware": (GZipMiddleware(bare), b""),
        "BaseHTTPMiddleware": (BaseHTTPMiddleware(bare, dispatch=pass_on), b""),
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Any) -> None:
    pass


async def _time_asgi(app: AsgiApp, query: bytes, calls: int) -> float:
    """Microseconds per call."""
    # A server makes a new scope for each request; the copy costs every contender the same.
    template = {**SCOPE, "query_string": query}
    started = perf_counter()
    for _ in range(calls):
        await app(template.copy(), _receive, _send)
    return (perf_counter() - started) / calls * 1e6


def bare_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """The application: a constant answer."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]


class NoOpWsgi:
    """The least that a WSGI middleware can be."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


def _wsgi_contenders() -> dict[str, tuple[Any, bytes]]:
    ours = wsgi.BgrsMiddleware(bare_wsgi)
    return {
        "bare": (bare_wsgi, b""),
        "a no-op WSGI middleware": (NoOpWsgi(bare_wsgi), b""),
        "bgrs_middleware": (ours, b""),
        "bgrs_middleware, with a query": (ours, QUERY),
    }


def _environ(query: bytes) -> dict[str, Any]:
    headers = {f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode() for name, value in HEADERS}
    return {
        **headers,
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": SCOPE["path"],
        "QUERY_STRING": query.decode(),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }


def _start_response(_status: str, _headers: Any, _error: Any = None) -> None:
    pass


def _time_wsgi(app: Any, query: bytes, calls: int) -> float:
    """Microseconds per call."""
    template = _environ(query)
    started = perf_counter()
    for _ in range(calls):
        app(template.copy(), _start_response)
    return (perf_counter() - started) / calls * 1e6


def run(report: Report, *, rounds: int, calls: int) -> None:
    """Measure and report.

    Parameters:
        rounds: how often every contender takes its turn.
        calls: requests per turn; slow contenders get a tenth.
    """
    report.title(f"(a) An ordinary request, in-process, 10 headers; {rounds} rounds of {calls:,} calls, medians")
    asgi_times: dict[str, list[float]] = {}

    async def all_rounds() -> None:
        contenders = _asgi_contenders()
        for _ in range(rounds):
            for name, (app, query) in contenders.items():
                turn = calls // 10 if name == "BaseHTTPMiddleware" else calls
                asgi_times.setdefault(name, []).append(await _time_asgi(app, query, turn))

    asyncio.run(all_rounds())
    _report(report, "ASGI", asgi_times, ASGI_TARGET)
    wsgi_times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (app, query) in _wsgi_contenders().items():
            wsgi_times.setdefault(name, []).append(_time_wsgi(app, query, calls))
    _report(report, "WSGI", wsgi_times, WSGI_TARGET)


def _report(report: Report, gateway: str, times: dict[str, list[float]], target: Any) -> None:
    base = times.pop("bare")
    report.figure(f"{gateway}: the bare application", f"{median(base):.2f} µs")
    for name, measured in times.items():
        # Differences within a round, because neighbours were slowed by the same noise.
        more = median(value - reference for value, reference in zip(measured, base, strict=True))
        judged = target if name == "bgrs_middleware" else None
        report.figure(f"{gateway}: {name}, more than bare", f"{more:+.2f} µs", more, judged)
