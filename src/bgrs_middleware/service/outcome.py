"""How one run ends: which final state it gets, and that this is written down once, however long the store is away.

A response that is whole makes it *finished*, unless the application knew that it was cancelled. Without one it is
*cancelled* if someone asked for that, *failed* if the application broke off, and when this process stopped it: back to
the queue if it is safe to start again, else *lost*.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import StorageError, StoreDataError
from ..failpoints import ARMED, Failpoint, reach
from ..ledger import Ledger
from ..models import Captured, Record, Rerun, Status
from ..orders import Changed, Finish, Release
from ..pending import Pending
from ..progress import Run
from ..waiting import Waiting
from .reporter import Reporter

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

logger = logging.getLogger("bgrs_middleware.runs")


def may_start_again(record: Record) -> bool:
    """Whether a request that was interrupted after its start may be started once more (setting `rerun`)."""
    return record.rerun is Rerun.ALWAYS or (record.rerun is Rerun.SAFE and record.method in SAFE_METHODS)


@dataclass(slots=True, eq=False)
class Active:
    """One run of this process: its record as claimed, and where it stands.

    `started` and `renewed` are on the monotonic clock: when it was claimed, and when its claim was last known to hold.
    `stop_reason`: why this process stops it. `claim_lost`: another one may have taken it over, or has. `ending`: its
    outcome is on the way to the store, which from then on knows better than this process's memory.
    """

    record: Record
    run: Run
    started: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    stop_reason: str | None = None
    claim_lost: bool = False
    ending: bool = False

    def is_late(self, lease_seconds: float) -> bool:
        """Whether its lease was not renewed for so long that others may take it over soon."""
        return time.monotonic() - self.renewed >= lease_seconds * 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What an outcome is written with."""

    ledger: Ledger
    waiting: Waiting
    reporter: Reporter
    worker: str
    drop_body: Callable[[str], object]
    ended: Callable[[Active], None]


class Outcome:
    """Told by a replay how it ended (`service.job.ReplayListener`); writes it down.

    Parameters:
        active: the run.
        books: what it is written with; `ended` is called with the run when it is.
    """

    def __init__(self, active: Active, books: Books) -> None:
        self._active = active
        self._books = books
        self._over = False

    async def captured(self, captured: Captured) -> None:
        """The whole response is there."""
        if ARMED:
            reach(Failpoint.SEALED_BEFORE_FINISH)
        if self._over:
            self._drop(captured)
        elif self._active.run.cancel_seen:
            # What it answered is what it got done before it stopped: not what was asked for.
            self._drop(captured)
            await self._stopped()
        else:
            await self._finish(Status.FINISHED, "done", captured)

    async def broken(self, reason: str, *, stopped: bool) -> None:
        """There is no whole response."""
        if self._over:
            return
        if stopped or self._active.run.is_cancelled or self._active.stop_reason is not None:
            await self._stopped()
        else:
            await self._finish(Status.FAILED, f"failed: {reason}")

    async def timed_out(self) -> None:
        """It ran longer than it may. Written at once, whenever the application comes to notice that it should stop."""
        if not self._over:
            seconds = self._active.record.max_run_seconds
            await self._finish(Status.FAILED, f"failed: it ran longer than max_run_seconds, {seconds:g} s")

    async def unreadable(self, reason: str) -> None:
        """The stored request cannot be read, so there is nothing to run, now or later."""
        await self._finish(Status.FAILED, f"failed: the stored request cannot be read: {reason}")

    async def never_started(self) -> None:
        """This process cannot run the application just now; another one, or a later one, will."""
        await self._release(Status.QUEUED, "handed back before it was started")

    async def _stopped(self) -> None:
        reason = self._active.stop_reason or "the server stopped while it ran"
        if self._active.run.is_cancelled:
            await self._finish(Status.CANCELLED, "cancelled")
        elif may_start_again(self._active.record):
            await self._release(Status.QUEUED, f"handed back: {reason}")
        else:
            await self._release(Status.LOST, f"lost: {reason}, and it is not safe to run again")

    async def _release(self, status: Status, note: str) -> None:
        record = self._active.record

        def order() -> Release:
            return Release(
                rid=record.rid,
                worker=self._books.worker,
                attempt=record.attempt,
                status=status,
                now=time.time(),
                died=False,
                note=note,
            )

        try:
            await self._write(lambda: self._books.ledger.release(order()))
        except StoreDataError as error:
            # Its lease ends, and then the sweepers try.
            logger.error("What becomes of %s was refused by the store: %s", record.rid, error)
        finally:
            self._books.ended(self._active)

    async def _finish(self, status: Status, note: str, captured: Captured | None = None) -> None:
        run, record = self._active.run, self._active.record
        keep_request = status is not Status.FINISHED

        def order() -> Finish:
            return Finish(
                rid=record.rid,
                worker=self._books.worker,
                attempt=record.attempt,
                status=status,
                now=time.time(),
                captured=captured,
                progress=100.0 if status is Status.FINISHED else run.progress,
                items=run.items or None,
                message=run.message,
                keep_request=keep_request,
                notes=(note,),
            )

        try:
            await self._record(order, captured, keep_request=keep_request)
        finally:
            # Last of all: a process that drains waits for it, and then for the bodies that were dropped.
            self._books.ended(self._active)

    async def _record(self, order: Callable[[], Finish], captured: Captured | None, *, keep_request: bool) -> None:
        record = self._active.record
        try:
            changed = await self._write(lambda: self._books.ledger.finish(order()))
        except StoreDataError as error:
            logger.error("The outcome of %s was refused by the store: %s", record.rid, error)
            self._drop(captured)
            await self._release(Status.FAILED, "failed: the store refused the response")
            return
        if ARMED:
            reach(Failpoint.FINISHED_BEFORE_WIPED)
        if changed is None:
            # What is sealed stays: whoever finds that this process is gone records it.
            return
        if not changed.done:
            if not _names(changed.before, captured):
                self._drop(captured)
        elif not keep_request and record.request_body_name is not None:
            self._books.drop_body(record.request_body_name)

    async def _write(self, send: Callable[[], Pending[Changed]]) -> Changed | None:
        """Send an order until it is committed. None where the process ends before that."""
        self._over = self._active.ending = True
        run = self._active.run
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            notes = run.take_notes()
            self._books.reporter.send_notes(run, notes)
            try:
                changed = await send()
                break
            except StoreDataError:
                raise
            except StorageError as error:
                run.put_back_notes(notes)
                logger.warning("The outcome of %s is not written yet: %s", self._active.record.rid, error)
                if not await self._pause(pause_seconds):
                    return None
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        if not changed.done:
            self._active.claim_lost = True
            logger.warning("The claim on %s was lost; its outcome was not recorded.", self._active.record.rid)
        return changed

    async def _pause(self, seconds: float) -> bool:
        await self._books.waiting.pause(seconds)
        return not self._books.waiting.closed

    def _drop(self, captured: Captured | None) -> None:
        if captured is not None and captured.body_name is not None:
            self._books.drop_body(captured.body_name)


def _names(record: Record | None, captured: Captured | None) -> bool:
    """Whether a record has this very response: a sweeper took this worker for dead, and kept what it had sealed."""
    return record is not None and captured is not None and record.result_body_name == captured.body_name
