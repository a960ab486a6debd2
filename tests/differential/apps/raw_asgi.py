"""The plan, followed by an application that has no framework: bare ASGI."""

from __future__ import annotations

from typing import Any

from ..plan import Plan, encoded, received


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the plan says."""
    if scope["type"] != "http":
        raise ValueError("only HTTP here")
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    plan = Plan.load(dict(pairs).get("x-plan"))
    body = await _read(receive)
    echo = encoded(
        received(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=pairs,
            body=body,
            raw_path=scope["raw_path"].decode("latin-1"),
            root_path=scope["root_path"],
            scheme=scope["scheme"],
            client=scope["client"],
            server=scope["server"],
            http_version=scope["http_version"],
        )
    )
    plan.check_before()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in plan.headers]
    if plan.way in ("whole", "json"):
        whole = plan.body(echo)
        await send({"type": "http.response.start", "status": plan.status, "headers": headers})
        await send({"type": "http.response.body", "body": whole})
        return
    length = plan.declared(echo)
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": plan.status, "headers": headers})
    for piece in plan.pieces(echo):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def _read(receive: Any) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        assert message["type"] == "http.request", message["type"]
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
