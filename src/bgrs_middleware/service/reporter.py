"""Writes what runs report, at most once a second for each, however often they report.

Also the process's clock for small duties that recur every second. One thread, started with the first run or duty.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from ..errors import StorageError
from ..ledger import Ledger
from ..orders import Note, Report
from ..pending import Pending
from ..progress import Run

PERIOD_SECONDS = 1.0

logger = logging.getLogger("bgrs_middleware.reporter")


class Ticker:
    """Calls its duties, one after another, every `PERIOD_SECONDS`. A duty that fails is logged and called again."""

    def __init__(self, duties: Sequence[Callable[[], None]]) -> None:
        self._duties = duties
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bgrs-ticker", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End when the duty at hand is done. Idempotent."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            for duty in self._duties:
                try:
                    duty()
                except StorageError as error:
                    logger.warning("%s; trying again in a second", error)
                except Exception:
                    logger.exception("A recurring duty failed; trying again in a second.")


class Reporter:
    """Collects runs that have something new, and writes them when told to.

    Parameters:
        ledger: where it writes.
        worker: the token under which this process holds its claims.
    """

    def __init__(self, ledger: Ledger, worker: str) -> None:
        self._ledger = ledger
        self._worker = worker
        self._marked: deque[Run] = deque()

    def mark(self, run: Run) -> None:
        """This run has something new. Cheap: handlers may report a million times. From any thread."""
        if not run.dirty:
            run.dirty = True
            self._marked.append(run)

    def flush(self) -> None:
        """Write all that is new, and wait until it is committed.

        Raises:
            StorageError: it could not be written now; nothing is lost, the next flush writes it.
        """
        runs: list[Run] = []
        while self._marked:
            runs.append(self._marked.popleft())
        written = [(run, *self._write(run)) for run in runs]
        failure: StorageError | None = None
        for run, notes, pendings in written:
            try:
                for pending in pendings:
                    pending.wait()
            except StorageError as error:
                run.put_back_notes(notes)
                self.mark(run)
                failure = error
        if failure is not None:
            raise failure

    def send_notes(self, run: Run, notes: Sequence[tuple[float, str]]) -> list[Pending[None]]:
        """Send details of a run to the ledger, without waiting."""
        return [self._ledger.note(Note(rid=run.rid, at=at, text=text)) for at, text in notes]

    def _write(self, run: Run) -> tuple[list[tuple[float, str]], list[Pending[None] | Pending[bool]]]:
        run.dirty = False
        notes = run.take_notes()
        pendings: list[Pending[None] | Pending[bool]] = [*self.send_notes(run, notes)]
        report = Report(
            rid=run.rid,
            worker=self._worker,
            attempt=run.attempt,
            now=time.time(),
            progress=run.progress,
            message=run.message,
            items=run.take_items(),
        )
        pendings.append(self._ledger.report(report))
        return notes, pendings
