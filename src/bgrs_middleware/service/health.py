"""Looks at the health of the store and the processes, and answers in time even where the store does not.

A look asks the store through the very reader and ledger that requests go through, in a thread of its own. All who ask
while one is under way share it, and its outcome is good for a second, so that nobody can make work by asking often.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..errors import BgrsError, BodyError, DiskFull, SchemaError, SettingsError, StorageError
from ..pending import Pending, deliver
from ..protocol.health import Figures, Health, StoreState
from ..protocol.message import Reply, RequestHead
from ..protocol.replies import health_reply
from ..stores.base import Backlog

BOUND_SECONDS = 2.0
"""A store that takes longer than this to answer counts as unavailable."""

FRESH_SECONDS = 1.0

_REASONS: tuple[tuple[type[BgrsError], str], ...] = (
    (DiskFull, "The disk is full, or at its floor (min_free_bytes)."),
    (SettingsError, "A setting is unusable; the log says which."),
    (SchemaError, "The store's tables do not fit this version."),
    (BodyError, "Stored bodies cannot be read or written."),
)
_NO_ANSWER = "The store does not answer."

logger = logging.getLogger("bgrs_middleware.health")


def reason_of(error: BgrsError) -> str:
    """A sentence for anybody: without a driver's words, without paths."""
    if isinstance(error, StorageError) and error.reason is not None:
        return error.reason
    return next((words for kind, words in _REASONS if isinstance(error, kind)), "The store cannot be used.")


def examine(
    *, read: Callable[[], Backlog], write: Callable[[], object], check_room: Callable[[], object], host: Figures
) -> Health:
    """Look at a store. Blocking, for as long as it takes.

    Parameters:
        read: asks the store for its backlog.
        write: commits something that changes nothing, and has it flushed.
        check_room: raises where the disk of the bodies is at its floor.
        host: what the processes of this host say of themselves.
    """
    try:
        backlog = read()
    except BgrsError as error:
        return Health(state=StoreState.UNAVAILABLE, reason=reason_of(error), host=host)
    state, reason = StoreState.OK, None
    try:
        check_room()
        write()
    except BgrsError as error:
        state, reason = StoreState.UNWRITABLE, reason_of(error)
    oldest = backlog.oldest_queued_at
    return Health(
        state=state,
        reason=reason,
        queued=backlog.queued,
        oldest_queued_seconds=None if oldest is None else max(0.0, time.time() - oldest),
        running=backlog.running,
        host=host,
    )


def unopened(error: BgrsError) -> Health:
    """What is known where the service could not be opened."""
    if isinstance(error, SettingsError):
        logger.error("A setting is unusable: %s", error)
    return Health(state=StoreState.UNAVAILABLE, reason=reason_of(error), host=Figures())


def no_answer(host: Figures) -> Health:
    """What is known where the store does not answer in time."""
    return Health(state=StoreState.UNAVAILABLE, reason=_NO_ANSWER, host=host)


class _Look:
    """One look under way: who waits for it, and whether its time is up."""

    def __init__(self) -> None:
        self.asked: list[Pending[Health]] = []
        self.late = False


class HealthDesk:
    """Answers who asks for the health of one process.

    Parameters:
        look: looks at it; blocking, however long it takes.
        meanwhile: what is known without asking anybody; answers at once.
    """

    def __init__(self, look: Callable[[], Health], meanwhile: Callable[[], Figures]) -> None:
        self._look_at_it = look
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._under_way: _Look | None = None
        self._last: Health | None = None
        self._last_at = 0.0

    async def answer(self, head: RequestHead) -> Reply:
        """200 or 503 with the health document, within `BOUND_SECONDS`. Never raises."""
        return health_reply(await self._health(), head)

    def _health(self) -> Pending[Health]:
        with self._lock:
            look = self._under_way
            if look is not None and look.late:
                return Pending.of(no_answer(self._meanwhile()))
            if look is None and self._last is not None and time.monotonic() - self._last_at < FRESH_SECONDS:
                return Pending.of(self._last)
            if look is None:
                look = self._under_way = self._begin()
            pending: Pending[Health] = Pending()
            look.asked.append(pending)
            return pending

    def _begin(self) -> _Look:
        look = _Look()
        alarm = threading.Timer(BOUND_SECONDS, self._be_late, (look,))
        alarm.daemon = True
        alarm.start()
        threading.Thread(target=self._look, args=(look, alarm), name="bgrs-health", daemon=True).start()
        return look

    def _look(self, look: _Look, alarm: threading.Timer) -> None:
        try:
            health = self._look_at_it()
        except Exception:
            logger.exception("Looking at the health failed for a reason of our own.")
            health = Health(state=StoreState.UNAVAILABLE, host=self._meanwhile())
        alarm.cancel()
        with self._lock:
            self._under_way, self._last, self._last_at = None, health, time.monotonic()
            asked, look.asked = look.asked, []
        deliver((pending, health, None) for pending in asked)

    def _be_late(self, look: _Look) -> None:
        """Whoever asked is answered now; whoever asks before the look comes back is answered at once."""
        with self._lock:
            look.late = True
            asked, look.asked = look.asked, []
        health = no_answer(self._meanwhile())
        deliver((pending, health, None) for pending in asked)
