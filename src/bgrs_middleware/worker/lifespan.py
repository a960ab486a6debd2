"""The server's part of the ASGI lifespan: a worker starts the application once, and shuts it down when it is done.

As web servers do by default: an application that knows no lifespan is served without one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..lifespan import WORKER_KEY
from .errors import WorkerError
from .finding import Announce

logger = logging.getLogger("bgrs_middleware.worker")


class Lifespan:
    """The lifespan of one application, on the running loop.

    Parameters:
        application: the whole application.
        announce: told of every middleware that the lifespan reaches.
    """

    def __init__(self, application: Any, announce: Announce) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._announce = announce
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the application.

        Raises:
            WorkerError: it says that it cannot start.
        """
        self._task = asyncio.create_task(self._live(), name="bgrs-lifespan")
        await self._inbox.put({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failure is not None:
            raise WorkerError(f"the application could not start: {self._failure or 'it does not say why'}")

    async def stop(self) -> None:
        """Shut the application down, where it takes part."""
        await self._inbox.put({"type": "lifespan.shutdown"})
        await self._stopped.wait()

    async def _live(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
            WORKER_KEY: self._announce,
        }
        try:
            await self._application(scope, self._inbox.get, self._send)
        except Exception as error:
            if not self._started.is_set():
                logger.info("The application has no lifespan: %s", error)
            elif self._failure is None:
                logger.exception("The application's lifespan broke down.")
        finally:
            self._started.set()
            self._stopped.set()

    async def _send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.failed":
            self._failure = message.get("message", "").strip()
        elif kind == "lifespan.shutdown.failed":
            logger.error("The application did not shut down in order: %s", message.get("message", ""))
        if kind.startswith("lifespan.startup."):
            self._started.set()
        else:
            self._stopped.set()
