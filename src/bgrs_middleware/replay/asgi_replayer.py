"""Starts ASGI replays: each a task of its own on the application's running loop, never a child of a request's task.

The application's pools are bound to that loop, so nothing else would do. Strong references are kept here, because a
loop keeps weak ones only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..progress import Run
from ..service.job import Job, Replayer, ReplayUnavailable
from .asgi import start_replay

logger = logging.getLogger("bgrs_middleware.replay")


class AsgiReplayer(Replayer):
    """Replays through an ASGI application.

    Parameters:
        app: the wrapped application; replaced by the whole application as soon as a scope names it, because a replay
            must pass the same middleware (users, sessions, error handlers) as the call it stands for.
    """

    state: Mapping[str, Any] | None = None
    """The lifespan state, which each replay gets a shallow copy of."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[Run, asyncio.Task[None]] = {}

    def enter_through(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Run further replays through this application, where the scope named one, and on this loop."""
        if app is not None:
            self._app = app
        self._loop = loop

    def start(self, job: Job, done: Callable[[], None]) -> None:
        """Start a task on the loop; see `Replayer.start`."""
        loop = self._loop
        if loop is None:
            raise ReplayUnavailable("no event loop was seen yet")
        try:
            loop.call_soon_threadsafe(self._begin, loop, job, done)
        except RuntimeError as error:
            raise ReplayUnavailable("the event loop is closed") from error

    def cancel(self, run: Run) -> None:
        """Cancel the task: the application gets `CancelledError` where it awaits."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._cancel, run)

    def _begin(self, loop: asyncio.AbstractEventLoop, job: Job, done: Callable[[], None]) -> None:
        task = start_replay(self._app, job, state=self.state, loop=loop)
        self._tasks[job.run] = task
        task.add_done_callback(partial(self._ended, job.run, done))

    def _cancel(self, run: Run) -> None:
        task = self._tasks.get(run)
        if task is not None:
            task.cancel()

    def _ended(self, run: Run, done: Callable[[], None], task: asyncio.Task[None]) -> None:
        del self._tasks[run]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("The replay of %s broke down.", run.rid, exc_info=error)
        done()
