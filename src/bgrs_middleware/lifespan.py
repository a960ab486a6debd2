"""ASGI lifespan: ours around the application's, and ours alone where it has none.

The service opens after the application has started, and drains before the application shuts down, because what still
runs needs the application's pools. An application without lifespan support raises or returns at once; then the protocol
is answered here (Django is such a one).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger("bgrs_middleware.lifespan")

WORKER_KEY = "bgrs_middleware.worker"
"""The key in a lifespan scope by which the command `bgrs worker` finds the middleware; no server sets it."""

Story = Callable[[], Awaitable[None]]


async def run_lifespan(app: Any, scope: Any, receive: Any, send: Any, *, startup: Story, shutdown: Story) -> None:
    """Run one lifespan.

    Parameters:
        app: the wrapped application.
        scope, receive, send: as the server gave them.
        startup, shutdown: what we do, after the application's startup and before its shutdown.

    Raises:
        Exception: what the application raised after it had taken part in the protocol.
    """
    lifespan = _Lifespan(receive, send, startup, shutdown)
    try:
        await app(scope, lifespan.receive, lifespan.send)
    except Exception as error:
        if lifespan.answered:
            await lifespan.shut_down()
            raise
        logger.debug("The application has no lifespan (%s); answering it here.", error)
    if not lifespan.answered:
        await lifespan.answer_alone()


class _Lifespan:
    def __init__(self, receive: Any, send: Any, startup: Story, shutdown: Story) -> None:
        self._receive = receive
        self._send = send
        self._startup = startup
        self._shutdown = shutdown
        self._started = False
        self._shut_down = False
        self._received_startup = False
        self.answered = False

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            self._received_startup = True
        elif message["type"] == "lifespan.shutdown":
            await self.shut_down()
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "lifespan.startup.complete":
            await self.start()
        self.answered = True
        await self._send(message)

    async def start(self) -> None:
        if not self._started:
            self._started = True
            await self._startup()

    async def shut_down(self) -> None:
        if self._started and not self._shut_down:
            self._shut_down = True
            await self._shutdown()

    async def answer_alone(self) -> None:
        if not self._received_startup:
            await self._receive()
        await self.start()
        await self._send({"type": "lifespan.startup.complete"})
        await self._receive()
        await self.shut_down()
        await self._send({"type": "lifespan.shutdown.complete"})
