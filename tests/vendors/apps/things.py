"""An application that vendors' clients are sent to, bare ASGI and bare WSGI, with users, natif.ai's rule and Google's.

Every path echoes what was sent. The query says how: `gate=a` waits until a file "a" appears in the folder THINGS_GO,
`status=409` answers so, `type=text/csv` or `t=csv` answers a table, `breaks=yes` breaks off in the middle of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

from bgrs_middleware import Rule, Settings, cancelled
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

GO = Path(os.environ["THINGS_GO"])
LOOK_SECONDS = 0.02
TABLE = b"name,pages\r\ninvoice,2\r\n"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What was sent."""

    method: str
    path: str
    query: str
    body: bytes

    def asked(self, name, default=""):
        return dict(parse_qsl(self.query)).get(name, default)

    @property
    def may_go_on(self):
        gate = self.asked("gate")
        return not gate or (GO / gate).exists()

    def answer(self):
        """Status, headers and body."""
        status = int(self.asked("status", "200"))
        usual = "text/csv" if self.asked("t") == "csv" else "application/json; charset=utf-8"
        content_type = self.asked("type", usual)
        body = TABLE if content_type.startswith("text/csv") else json.dumps(self.echo()).encode()
        if status == 204:
            return status, [], b""
        length = len(body)
        if self.asked("breaks"):
            body = body[:3]
        return status, [("content-type", content_type), ("content-length", str(length))], body

    def echo(self):
        return {"method": self.method, "path": self.path, "query": self.query, "body": self.body.decode()}


async def asgi_things(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    call = Call(method=scope["method"], path=scope["path"], query=scope["query_string"].decode(), body=body)
    while not call.may_go_on:  # noqa: ASYNC110  # the one who lets it go is in another process
        await asyncio.sleep(LOOK_SECONDS)
    status, headers, content = call.answer()
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})


def wsgi_things(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    call = Call(method=environ["REQUEST_METHOD"], path=environ["PATH_INFO"], query=environ["QUERY_STRING"], body=body)
    while not call.may_go_on and not cancelled():
        time.sleep(LOOK_SECONDS)
    status, headers, content = call.answer()
    start_response(f"{status} As Asked", headers)
    return [content]


def asgi_user(scope):
    return dict(scope["headers"]).get(b"x-user", b"").decode() or None


def wsgi_user(environ):
    return environ.get("HTTP_X_USER") or None


RULES = (
    Rule(
        path="/processing/{workflow}",
        wait_seconds=20,
        id_field="processing_id",
        results_path="/processing/results/{id}",
    ),
    Rule(path="/v1/{parent:path}:batchProcess", returns_operation=True),
)
SETTINGS = replace(Settings.from_env(), rules=RULES)
asgi_app = AsgiMiddleware(asgi_things, settings=replace(SETTINGS, identify=asgi_user))
wsgi_app = WsgiMiddleware(wsgi_things, settings=replace(SETTINGS, identify=wsgi_user))
