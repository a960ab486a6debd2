"""Between an ASGI scope and a `RequestHead`: what is stored of a request, and the scope that a replay is given.

The scope of a replay is built afresh: nothing in it is shared with the request that was answered long ago. It offers
no `extensions`, because a replay sends no early hints, no trailers, and must see the bytes of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..progress import Run
from ..protocol.message import SAFE_IN_A_PATH, RequestHead
from .base import REPLAY_KEY, copied

ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.3"}
"""As uvicorn says. From 2.4 on frameworks would not listen for a disconnect and expect an OSError from `send`."""


def head_from_scope(scope: Mapping[str, Any]) -> RequestHead:
    """The head of the request in an ASGI scope of type "http" (ASGI specification, HTTP, version 2.5)."""
    path: str = scope["path"]
    raw_path: bytes = scope.get("raw_path") or quote(path, safe=SAFE_IN_A_PATH).encode("ascii")
    client, server = scope.get("client"), scope.get("server")
    return RequestHead(
        method=scope["method"],
        path=path,
        root_path=scope.get("root_path") or "",
        # Some servers leave the query in it.
        raw_path=raw_path.partition(b"?")[0],
        query=scope.get("query_string") or b"",
        # Most servers give pairs that serve as they are, and what is not made anew need not be looked after.
        headers=tuple(
            [
                pair if type(pair) is tuple and pair[0].islower() else (pair[0].lower(), pair[1])
                for pair in scope["headers"]
            ]
        ),
        scheme=scope.get("scheme") or "http",
        http_version=scope.get("http_version") or "1.1",
        # Some servers give the port as text.
        client=(client[0], int(client[1])) if client else None,
        server=(server[0], None if server[1] is None else int(server[1])) if server else None,
    )


def scope_of(head: RequestHead, run: Run, state: Mapping[str, Any] | None) -> dict[str, Any]:
    """The scope of a replay.

    Parameters:
        head: the stored request.
        run: what the scope carries under `REPLAY_KEY`.
        state: the lifespan state of this process; None where the server has none.
    """
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": dict(ASGI_VERSIONS),
        "http_version": head.http_version,
        "method": head.method,
        "scheme": head.scheme,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        # Where the application to enter lies further out than the middleware did, the head names its root beside.
        "root_path": dict(head.gateway).get("root_path", head.root_path),
        "headers": [(name, value) for name, value in head.headers],
        "client": head.client,
        "server": head.server,
        REPLAY_KEY: run,
    }
    if state is not None:
        scope["state"] = dict(state)
    return scope


def scope_as(scope: Mapping[str, Any], head: RequestHead) -> dict[str, Any]:
    """A copy of a scope as if another request had come the same way; what stands in it beside the request stays.

    Parameters:
        head: the other request, below the same root.
    """
    return copied(scope) | {
        "method": head.method,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": [(name, value) for name, value in head.headers],
    }
