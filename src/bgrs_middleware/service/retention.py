"""Ends what waited too long, and removes what was kept for its time: requests, records, bodies that nobody names.

Every process does this. Each decision is one conditional write, so any number may come to it at once; files go after
the row that names them, so one that dies between the two leaves files without a row, which the next round removes.
Whoever reads a body just then reads it to its end. A clock that is set removes nothing early: see `CautiousClock`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from ..bodies.base import Bodies
from ..errors import StorageError, StoreDataError
from ..ledger import Ledger
from ..models import RID_LENGTH, Record
from ..orders import Changed, Delete, Expire
from ..pending import Pending
from ..reader import Reader
from ..settings import Settings
from ..stores.base import Store, boot_seconds

PAGE_SIZE = 100
"""Requests in one commit: with their responses in the rows, it writes a few megabytes at most."""

LONGEST_LOOK_SECONDS = 0.25
"""How long one look may take; what is left over comes at the next one, a second later."""

FILES_SECONDS = 3_600.0
ORPHAN_SECONDS = 3_600.0
"""How old a body is that no record names, until it is taken for forgotten. One that is written has its record soon."""

TEMPORARY_SECONDS = 86_400.0
STEP_SECONDS = 5.0
"""Nobody's clock drifts as far between two looks: it was set."""

logger = logging.getLogger("bgrs_middleware.retention")


class CautiousClock:
    """The time to judge ages by, where the times in records are those of a clock that may be set, and set back again.

    It runs as the host's clock since its start does, which nobody can set, and is as far ahead of it as the wall clock
    ever was at the least. So nothing that was written down while it watched can seem older than it is: it may only seem
    younger, until the process is started again.

    Parameters:
        wall: seconds since the epoch.
        boot: seconds since the host's start.
    """

    def __init__(self, wall: Callable[[], float], boot: Callable[[], float]) -> None:
        self._wall = wall
        self._boot = boot
        self._ahead = self._least_ahead = wall() - boot()

    def now(self) -> float:
        """Seconds since the epoch. To be asked every few seconds, so that it misses no step."""
        boot = self._boot()
        ahead = self._wall() - boot
        if abs(ahead - self._ahead) > STEP_SECONDS:
            logger.warning(
                "The clock was set by %+.0f s. Nothing is removed or expires for that: its age goes by the earliest "
                "time that the clock showed, until this process is started again.",
                ahead - self._ahead,
            )
        self._ahead = ahead
        self._least_ahead = min(self._least_ahead, ahead)
        return boot + self._least_ahead


class Retention:
    """What one process does about time that has passed.

    Parameters:
        settings: `max_queue_seconds`, `retry_seconds`, `sweep_seconds`. How long a record is kept stands in the record.
        drop_body: removes a stored body, some time soon.
        wall, boot: the two clocks; see `CautiousClock`.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        reader: Reader,
        bodies: Bodies,
        drop_body: Callable[[str], object],
        wall: Callable[[], float] = time.time,
        boot: Callable[[], float] = boot_seconds,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reader = reader
        self._bodies = bodies
        self._drop_body = drop_body
        self._wall = wall
        self._boot = boot
        self._clock = CautiousClock(wall, boot)
        self._round: Iterator[None] | None = None
        self._next_round = self._next_files = float("-inf")

    def look(self) -> None:
        """Do some of what is due. Blocking, for a quarter of a second or one page; called every second or so."""
        self._clock.now()
        if self._round is None and self._boot() >= self._next_round:
            self._next_round = self._boot() + self._settings.sweep_seconds
            self._round = self._steps()
        if self._round is not None:
            self._go_on(self._round, time.monotonic() + LONGEST_LOOK_SECONDS)

    def sweep(self) -> None:
        """Do all that is due now, however long it takes. Blocking."""
        for _ in self._steps():
            pass

    def _go_on(self, steps: Iterator[None], until: float) -> None:
        is_over = True
        try:
            for _ in steps:
                if time.monotonic() >= until:
                    is_over = False
                    return
        finally:
            if is_over:
                self._round = None

    def _steps(self) -> Iterator[None]:
        """One round, page by page. What fails is left to the next round, and keeps nothing else from its turn."""
        for duty in (self._expire, self._wipe, self._remove, self._tidy_files):
            try:
                yield from duty()
            except StorageError as error:
                logger.warning("%s; the next sweep tries again", error)

    def _expire(self) -> Iterator[None]:
        seconds = self._settings.max_queue_seconds
        note = f"expired: it waited in the queue longer than max_queue_seconds, {seconds:g} s"
        expired: Sequence[Record] | None = None
        while expired is None or len(expired) == PAGE_SIZE:
            queued_before = self._clock.now() - seconds
            order = Expire(queued_before=queued_before, now=self._wall(), limit=PAGE_SIZE, note=note)
            expired = self._ledger.expire(order).wait()
            for record in expired:
                self._drop(record.request_body_name)
            _log("%d background requests expired in the queue", len(expired))
            yield

    def _wipe(self) -> Iterator[None]:
        def wipeable(store: Store, now: float) -> Sequence[Record]:
            return store.wipeable(now - self._settings.retry_seconds, PAGE_SIZE)

        for wiped in self._work_off(wipeable, lambda record: self._ledger.wipe_request(record.rid)):
            for change in wiped:
                self._drop(None if change.before is None else change.before.request_body_name)
            _log("%d background requests can no longer be retried", len(wiped))
            yield

    def _remove(self) -> Iterator[None]:
        def remove(record: Record) -> Pending[Changed]:
            # Not one that its owner retried meanwhile.
            return self._ledger.delete(Delete(rid=record.rid, finished_at=record.finished_at))

        for removed in self._work_off(lambda store, now: store.outdated(now, PAGE_SIZE), remove):
            for change in removed:
                for name in change.body_names:
                    self._drop(name)
            count = sum(1 + len(change.items) for change in removed)
            _log("%d background requests were removed after their time", count)
            yield

    def _work_off(
        self, read: Callable[[Store, float], Sequence[Record]], send: Callable[[Record], Pending[Changed]]
    ) -> Iterator[Sequence[Changed]]:
        """Page after page: what was changed. Ends with the last page, or where no change gets on."""
        while True:
            page = self._page(read, self._clock.now())
            gets_on = False
            for part in _in_light_parts(page):
                changed = _changed([send(record) for record in part])
                gets_on = gets_on or bool(changed)
                yield changed
            if len(page) < PAGE_SIZE or not gets_on:
                return

    def _page(self, read: Callable[[Store, float], Sequence[Record]], now: float) -> Sequence[Record]:
        return self._reader.query(lambda store: read(store, now)).wait()

    def _tidy_files(self) -> Iterator[None]:
        if self._boot() < self._next_files:
            return
        self._bodies.sweep_temporary(TEMPORARY_SECONDS, self._clock.now())
        yield
        identity = self._reader.query(lambda store: store.identity()).wait()
        if identity is not None and self._bodies.belong_to(identity):
            names = self._bodies.names(ORPHAN_SECONDS, self._clock.now())
            while page := list(islice(names, PAGE_SIZE)):
                self._drop_orphans(page)
                yield
        self._next_files = self._boot() + FILES_SECONDS

    def _drop_orphans(self, names: Sequence[str]) -> None:
        # Listed before the records are read: what has a record by now, and is named there, is kept.
        rids = [name[:RID_LENGTH] for name in names]
        try:
            records = self._reader.query(lambda store: store.get(rids)).wait()
        except StoreDataError:
            # One of the records cannot be read: whatever it names stays, and nothing of the others' stays with it.
            if len(names) > 1:
                for name in names:
                    self._drop_orphans([name])
            return
        for name, rid in zip(names, rids, strict=True):
            if _is_orphan(name, records.get(rid)):
                logger.info("The body %s is removed: no record names it", name)
                self._drop(name)

    def _drop(self, name: str | None) -> None:
        if name is not None:
            self._drop_body(name)


def _in_light_parts(page: Sequence[Record]) -> Iterator[list[Record]]:
    """The records in parts, each of which is one commit: of about `PAGE_SIZE` rows, or one batch with all its items."""
    part: list[Record] = []
    rows = 0
    for record in page:
        weight = 1 + (record.batch_items or 0)
        if part and rows + weight > PAGE_SIZE:
            yield part
            part, rows = [], 0
        part.append(record)
        rows += weight
    if part or not page:
        yield part


def _changed(sent: Sequence[Pending[Changed]]) -> list[Changed]:
    """Those that had their effect. One that cannot be changed does not stop others."""
    changed: list[Changed] = []
    failure: StorageError | None = None
    for pending in sent:
        try:
            outcome = pending.wait()
        except StorageError as error:
            failure = error
        else:
            changed += [outcome] if outcome.done else []
    if failure is not None:
        logger.warning("%s; the next sweep tries again", failure)
    return changed


def _is_orphan(name: str, record: Record | None) -> bool:
    """Whether nobody needs a body: its record is gone, or has ended and names another one, or none."""
    if record is None:
        return True
    return record.status.is_final and name not in (record.request_body_name, record.result_body_name)


def _log(text: str, count: int) -> None:
    if count:
        logger.info(text, count)
