"""Starts WSGI replays: each in a thread of its own, as many at a time as the executor has slots.

The threads are daemons: a process that is told to end must not wait for a request of four hours. What becomes of such
a request is decided by its lease.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ..progress import Run
from ..service.job import Job, Replayer, ReplayUnavailable
from .wsgi import run_replay

logger = logging.getLogger("bgrs_middleware.replay")


class WsgiReplayer(Replayer):
    """Replays through a WSGI application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def start(self, job: Job, done: Callable[[], None]) -> None:
        """Start a thread; see `Replayer.start`."""
        thread = threading.Thread(
            target=self._run, args=(job, done), name=f"bgrs-replay-{job.run.rid[:8]}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise ReplayUnavailable("no thread can be started") from error

    def cancel(self, run: Run) -> None:
        """Nothing more can be done to a thread: the application asks `cancelled()`, a stream stops between pieces."""

    def _run(self, job: Job, done: Callable[[], None]) -> None:
        try:
            run_replay(self._app, job)
        except Exception:
            logger.exception("The replay of %s broke down.", job.run.rid)
        finally:
            done()
