"""One small application for each gateway, bare but for our middleware: what the server matrix runs in every server.

`/echo` answers with method, query and body; `/pid` with the process that worked; anything else is a 404.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bgrs_middleware import Settings
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware


def answer(path: str, method: str, query: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of an answer; `path` is the one below the root path."""
    if path == "/echo":
        return 200, json.dumps({"method": method, "query": query, "body": body.decode()}).encode()
    if path == "/pid":
        return 200, str(os.getpid()).encode()
    return 404, b"nothing here"


async def asgi(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """The application under ASGI; it has no lifespan of its own."""
    if scope["type"] != "http":
        raise ValueError(f"{scope['type']} is not for this application")
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    status, content = answer(path, scope["method"], scope["query_string"].decode(), body)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The application under WSGI."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status, content = answer(environ["PATH_INFO"], environ["REQUEST_METHOD"], environ["QUERY_STRING"], body)
    reason = {200: "200 OK", 404: "404 Not Found"}[status]
    start_response(reason, [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
    return [content]


settings = Settings.from_env()
asgi_app = AsgiMiddleware(asgi, settings=settings)
wsgi_app = WsgiMiddleware(wsgi, settings=settings)
