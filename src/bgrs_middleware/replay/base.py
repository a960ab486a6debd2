"""What both replays share: the mark by which a replay is known, and what an application looks like from here.

A replay runs one `Job` (`service/job.py`) against the application, feeds its recorder and tells its listener, once.
"""

from __future__ import annotations

from typing import Any, Protocol

REPLAY_KEY = "bgrs_middleware.replay"
"""The key in the ASGI scope and the WSGI environ that holds the `Run` of a replay; no client can set it."""


class Application(Protocol):
    """A wrapped application, of either gateway."""

    def __call__(self, *args: Any) -> Any: ...
