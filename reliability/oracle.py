"""Applications that write down what was really done: every start, flushed to disk before anything else happens.

Each start is a line "rid attempt" in the file `starts` of the folder ORACLE_FOLDER; each time that the work was told to
stop is a line "rid attempt time" in `stops`, on the monotonic clock, which all processes of a host share. What a path
does (its first segment decides):

    /quick          answers at once
    /first          the first attempt works until it is told to stop; any other answers at once
    /endless        works until it is told to stop
    /bytes/<count>  answers at once with so many bytes, in pieces, without telling how many will come
    anything else   works until a file named as the path (a "-" for each inner "/") appears in ORACLE_FOLDER/go

What an attempt answers is `evidence.answer(rid, attempt, path)`, so whose answer is kept can be told from its bytes.
Both applications stand in the middleware, with the settings of the environment and three rules.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bgrs_middleware import Rule, Settings, cancelled, current_request
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.models import Rerun
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

from .evidence import answer

FOLDER = Path(os.environ.get("ORACLE_FOLDER", "."))
LOOK_SECONDS = 0.02


class _Work:
    """One start of the work of a path: written down when it is made."""

    def __init__(self, path: str) -> None:
        request = current_request()
        self.rid, self.attempt = (request.rid, request.attempt) if request else ("foreground", 0)
        self.path = path
        self.kind = path.strip("/").partition("/")[0]
        _append("starts", f"{self.rid} {self.attempt}")

    @property
    def is_over(self) -> bool:
        """Whether it may answer now."""
        if self.kind == "first":
            return self.attempt > 1
        if self.kind in ("quick", "endless", "bytes"):
            return self.kind != "endless"
        return (FOLDER / "go" / self.path.strip("/").replace("/", "-")).exists()

    def answer(self) -> Iterator[bytes]:
        """What it answers."""
        return answer(self.rid, self.attempt, self.path)

    def stopped(self) -> None:
        """It was told to stop, just now."""
        _append("stops", f"{self.rid} {self.attempt} {time.monotonic()}")


@cache
def _opened(name: str) -> int:
    return os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _append(name: str, line: str) -> None:
    descriptor = _opened(name)
    # One write of a short line: the kernel appends it whole, whoever else writes to this file.
    os.write(descriptor, f"{line}\n".encode())
    os.fsync(descriptor)


async def _asgi_work(
    scope: dict[str, Any], _: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        raise ValueError("no lifespan here")
    work = _Work(scope["path"])
    try:
        while not work.is_over:  # noqa: ASYNC110  # the one who lets it go is in another process
            await asyncio.sleep(LOOK_SECONDS)
    except asyncio.CancelledError:
        work.stopped()
        raise
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for piece in work.answer():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _wsgi_work(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    work = _Work(environ["PATH_INFO"])
    while not work.is_over:
        if work.kind != "deaf" and cancelled():
            work.stopped()
            break
        time.sleep(LOOK_SECONDS)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return work.answer()


def _keywords() -> dict[str, Any]:
    settings = Settings.from_env()
    rules = (
        Rule(path="/again", background=False, rerun=Rerun.ALWAYS),
        Rule(path="/short", background=False, max_run_seconds=1.0),
        Rule(path="/deaf", background=False, max_run_seconds=1.0),
    )
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__} | {"rules": rules}


asgi_app = AsgiMiddleware(_asgi_work, **_keywords())
wsgi_app = WsgiMiddleware(_wsgi_work, **_keywords())
