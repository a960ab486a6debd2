"""What a replay is given, and whom it tells how it ended: the seam between the service and the two replays.

A replay runs one stored request against the application and feeds the recorder. Its listener's methods are coroutines
that only await `Pending`s: the ASGI replay runs them with `pending.on_loop`, the WSGI replay with `pending.in_thread`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..bodies.base import RequestBody
from ..bodies.recorder import Recorder
from ..models import Captured
from ..progress import Run
from ..protocol.message import RequestHead


class ReplayListener(Protocol):
    """Who is told how a replay ends. Exactly one of the two is called, once."""

    async def captured(self, captured: Captured) -> None:
        """The whole response is there and on disk.

        Returns when it is committed; the application may still work (background tasks, `close()`).
        """

    async def broken(self, reason: str, *, stopped: bool) -> None:
        """There is no whole response. `stopped`: the work ended because it was cancelled or interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One replay to be done."""

    head: RequestHead
    body: RequestBody
    run: Run
    recorder: Recorder
    listener: ReplayListener


class ReplayUnavailable(Exception):
    """This process cannot run the application just now: its event loop is gone. The request goes back to the queue."""


class Replayer(ABC):
    """Starts replays in the way of its gateway. Implemented beside each door."""

    @abstractmethod
    def start(self, job: Job, done: Callable[[], None]) -> None:
        """Start a replay and return at once; from any thread.

        `done` is called, from any thread, when the application has returned and its slot is free.

        Raises:
            ReplayUnavailable: nothing was started.
        """

    @abstractmethod
    def cancel(self, run: Run) -> None:
        """Stop the replay of a run, as far as its gateway can: an ASGI one gets `CancelledError`; from any thread."""
