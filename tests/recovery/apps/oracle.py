"""Applications that write down each start, and then work until they are let go: they tell what really was run.

Each start is a line "rid attempt" in the file that ORACLE_STARTS names, flushed to disk before anything else happens.
The work of a path is over when a file of its name appears in the folder ORACLE_GO. Paths with "big" in them answer with
more than a row takes, in pieces.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from bgrs_middleware import Rule, Settings, cancelled, current_request
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.models import Rerun
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

STARTS = Path(os.environ["ORACLE_STARTS"])
GO = Path(os.environ["ORACLE_GO"])
LOOK_SECONDS = 0.02
PIECES = [b"%08d" % number * 8192 for number in range(20)]
"""What "big" answers: 1.25 MiB, in writes of 64 KiB."""


def write_start() -> None:
    request = current_request()
    line = f"{request.rid} {request.attempt}\n" if request else "foreground 0\n"
    descriptor = os.open(STARTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_over(path: str) -> bool:
    return (GO / path.strip("/").replace("/", "-")).exists()


def pieces_of(path: str) -> list[bytes]:
    return PIECES if "big" in path else [b"worked"]


async def asgi_work(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    write_start()
    while not is_over(scope["path"]):  # noqa: ASYNC110  # the one who lets it go is in another process
        await asyncio.sleep(LOOK_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for piece in pieces_of(scope["path"]):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def wsgi_work(environ, start_response):
    write_start()
    while not is_over(environ["PATH_INFO"]) and not ("deaf" not in environ["PATH_INFO"] and cancelled()):
        time.sleep(LOOK_SECONDS)
    start_response("200 OK", [("Content-Type", "text/plain")])
    # In one: a stream would be stopped between its pieces.
    return [b"".join(pieces_of(environ["PATH_INFO"]))]


SETTINGS = Settings.from_env()
RULES = (
    Rule(path="/again", background=False, rerun=Rerun.ALWAYS),
    Rule(path="/short", background=False, max_run_seconds=1.0),
    Rule(path="/deaf", background=False, max_run_seconds=1.0),
)
KEYWORDS = {name: getattr(SETTINGS, name) for name in SETTINGS.__dataclass_fields__} | {"rules": RULES}

asgi_app = AsgiMiddleware(asgi_work, **KEYWORDS)
wsgi_app = WsgiMiddleware(wsgi_work, **KEYWORDS)
