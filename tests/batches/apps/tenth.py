"""Applications of which every tenth request fails, and that wait at a number until a file appears.

`/work/7` answers at once, `/work/9` with a 500. From the number that TENTH_WAITS_AT says on, all wait for the file that
TENTH_GO names.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from bgrs_middleware import Settings
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

GO = Path(os.environ["TENTH_GO"])
WAITS_AT = int(os.environ["TENTH_WAITS_AT"])
LOOK_SECONDS = 0.02


def number_in(path: str) -> int:
    return int(path.rpartition("/")[2])


def must_wait(number: int) -> bool:
    return number >= WAITS_AT and not GO.exists()


async def asgi_work(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http", "no lifespan here"
    number = number_in(scope["path"])
    while must_wait(number):  # noqa: ASYNC110  # the one who lets it go is in another process
        await asyncio.sleep(LOOK_SECONDS)
    status = 500 if number % 10 == 9 else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"%d" % number})


def wsgi_work(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    number = number_in(environ["PATH_INFO"])
    while must_wait(number):
        time.sleep(LOOK_SECONDS)
    status = "500 Internal Server Error" if number % 10 == 9 else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"%d" % number]


asgi_app = AsgiMiddleware(asgi_work, settings=Settings.from_env())
wsgi_app = WsgiMiddleware(wsgi_work, settings=Settings.from_env())
