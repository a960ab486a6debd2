"""A small HTTP proxy that gives up: what stands in front of many an application, in a hundred lines.

It passes one request per connection on and streams the answer back. Where the answer has not begun after
`PATIENCE_SECONDS`, it answers 503 itself and hangs up, as gateways do after 30, 60 or 100 seconds. For the demo only:
it serves one upstream, on loopback, and trusts both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

PATIENCE_SECONDS = 3.0
PIECE_BYTES = 64 * 1024

_BODY = f"error 503: the origin server did not answer within {PATIENCE_SECONDS:g} seconds\n".encode()
_GIVEN_UP = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: impatient-proxy\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


async def run_proxy(listener: socket.socket, upstream_port: int, stopped: asyncio.Event) -> None:
    """Pass requests on until `stopped` is set.

    Parameters:
        listener: a bound socket; closed at the end.
        upstream_port: where the application listens, on loopback.
    """
    loop = asyncio.get_running_loop()
    open_connections: set[asyncio.Task[None]] = set()

    def accept() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # It hung up before it was its turn.
        connection.setblocking(False)
        task = loop.create_task(_serve(connection, upstream_port))
        open_connections.add(task)
        task.add_done_callback(open_connections.discard)
        # Of a task that is cancelled before its first step, nothing else runs.
        task.add_done_callback(lambda _: connection.close())

    # Not `asyncio.start_server`: what that is just accepting when it is closed belongs to nobody.
    with listener:
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        try:
            await stopped.wait()
        finally:
            loop.remove_reader(listener)
    for task in tuple(open_connections):
        task.cancel()
    await asyncio.gather(*open_connections, return_exceptions=True)


async def _serve(connection: socket.socket, upstream_port: int) -> None:
    client, back = await asyncio.open_connection(sock=connection)
    try:
        # One side hung up, or sends no HTTP; there is nobody to tell.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await _pass_on(client, back, upstream_port)
    finally:
        back.close()
        with contextlib.suppress(OSError):
            await back.wait_closed()


async def _pass_on(client: asyncio.StreamReader, back: asyncio.StreamWriter, upstream_port: int) -> None:
    head = await client.readuntil(b"\r\n\r\n")
    answer, on = await asyncio.open_connection("127.0.0.1", upstream_port)
    sending = asyncio.create_task(_send(head, client, on))
    try:
        try:
            piece = await asyncio.wait_for(answer.read(PIECE_BYTES), PATIENCE_SECONDS)
        except TimeoutError:
            piece = _GIVEN_UP
        while piece:
            back.write(piece)
            await back.drain()
            piece = b"" if piece is _GIVEN_UP else await answer.read(PIECE_BYTES)
    finally:
        on.close()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(head: bytes, client: asyncio.StreamReader, on: asyncio.StreamWriter) -> None:
    """Send the request on, with its body, for as long as the client sends."""
    with contextlib.suppress(OSError):
        on.write(_closing(head))
        while piece := await client.read(PIECE_BYTES):
            on.write(piece)
            await on.drain()


def _closing(head: bytes) -> bytes:
    """The head of a request, such that the connection ends with the answer: one connection, one request."""
    request_line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [field for field in fields if not field.lower().startswith((b"connection:", b"keep-alive:"))]
    return b"\r\n".join([request_line, *kept, b"Connection: close", b"\r\n"])
