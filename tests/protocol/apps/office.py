"""A bare ASGI application for the test of the published schemas: each path ends in another way.

`/report` answers with JSON, `/page` with text, `/missing` with a 404; `/break` falls short of its length; `/long`
and `/slow/report` report progress and items, and then wait to be cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bgrs_middleware import Settings, report_item, report_progress
from bgrs_middleware.asgi import BgrsMiddleware

ANSWERS: dict[str, tuple[int, bytes, bytes, int]] = {
    "/report": (200, b"application/json", b'{"orders": [1, 2.5, null]}', 26),
    "/page": (200, b"text/plain", b"hello", 5),
    "/missing": (404, b"text/plain", b"no", 2),
    "/break": (200, b"text/plain", b"half", 8),
}


async def office(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """The application."""
    if scope["type"] != "http":
        raise ValueError(f"{scope['type']} is not for this application")
    if scope["path"] in ("/long", "/slow/report"):
        report_progress(12.5, "reading")
        report_item("a.pdf", "running", "page 1")
        report_item("b.pdf", "waiting")
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    status, kind, body, length = ANSWERS[scope["path"]]
    headers = [(b"content-type", kind), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = BgrsMiddleware(office, settings=Settings.from_env())
