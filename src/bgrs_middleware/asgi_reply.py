"""Sends a neutral reply as ASGI messages; what lies in a file goes out in large pieces read by a thread."""

from __future__ import annotations

import asyncio
from typing import Any

from .bodies.base import BodyReader
from .errors import BgrsError
from .protocol.message import Reply, StoredSlice
from .protocol.problem import problem_reply
from .service.service import Service

PIECE_BYTES = 1024 * 1024
"""Large enough that the hop to a thread costs little beside the read (measured: 256 KiB to 1 MiB are alike)."""


async def send_reply(reply: Reply, service: Service | None, receive: Any, send: Any) -> None:
    """Send a reply.

    Parameters:
        reply: what to send.
        service: opens stored bodies; only needed where the reply has one.
        receive, send: the connection.
    """
    body = reply.body
    if isinstance(body, StoredSlice):
        assert service is not None, "a stored body comes from an open service"
        try:
            reader = await asyncio.to_thread(service.open_body, reply, body)
        except BgrsError as error:
            reply = problem_reply(error)
        else:
            await _send_stored(reply, body, reader, receive, send)
            return
    await send(_start(reply))
    await send({"type": "http.response.body", "body": reply.body})


async def _send_stored(reply: Reply, part: StoredSlice, reader: BodyReader, receive: Any, send: Any) -> None:
    try:
        await send(_start(reply))
        await _send_slice(reader, part, receive, send)
    finally:
        reader.close()


def _start(reply: Reply) -> dict[str, Any]:
    return {"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)}


async def _send_slice(reader: BodyReader, part: StoredSlice, receive: Any, send: Any) -> None:
    loop = asyncio.get_running_loop()
    # Servers drop what is sent to a client that left; without this look the rest of the file would be read for nobody.
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        offset, end = part.offset, part.offset + part.length
        while offset < end and not gone.done():
            piece = await loop.run_in_executor(None, reader.read, offset, min(PIECE_BYTES, end - offset))
            if not piece:
                raise EOFError(f"the stored body {part.body_name} is shorter than its record says")
            offset += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": offset < end})
    finally:
        gone.cancel()


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
