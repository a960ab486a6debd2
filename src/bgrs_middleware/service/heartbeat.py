"""Keeps the leases of what runs here, and stops what must not go on: its claim is lost, or its time is up.

On a thread of its own, so that no slow commit elsewhere delays it. A worker that was frozen, or cut off from the store,
for two thirds of a lease stops its work by itself: others may take it over soon. It goes by the monotonic clock, which
nobody can set.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from ..errors import StorageError
from ..failpoints import ARMED, Failpoint, reach
from ..ledger import Ledger
from ..models import Status
from ..orders import Renew
from ..pending import Pending
from ..settings import Settings
from ..stores.base import Store
from .outcome import Active
from .runs import Runs

LOOK_SECONDS = 0.5

logger = logging.getLogger("bgrs_middleware.runs")


class Heartbeat:
    """The heartbeat of one process's runs.

    Parameters:
        settings: `lease_seconds`, `heartbeat_seconds`.
    """

    def __init__(self, *, settings: Settings, runs: Runs, ledger: Ledger, store: Store) -> None:
        self._lease_seconds = settings.lease_seconds
        self._heartbeat_seconds = settings.heartbeat_seconds
        self._runs = runs
        self._ledger = ledger
        self._store = store
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="bgrs-heartbeat", daemon=True)
        self._last_beat = time.monotonic()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(min(LOOK_SECONDS, self._heartbeat_seconds)):
            try:
                self.look()
            except Exception:
                logger.exception("The heartbeat was disturbed; it goes on.")

    def look(self) -> None:
        """Stop what must not go on, and renew all leases when it is time."""
        now = time.monotonic()
        for active in self._runs.active():
            self._look_after(active, now)
        if now - self._last_beat >= self._heartbeat_seconds:
            self._last_beat = now
            self._renew_all(now)

    def _look_after(self, active: Active, now: float) -> None:
        if active.is_late(self._lease_seconds) and not active.ending:
            self._runs.lose(active, "its worker could not keep its claim")
        if now - active.started >= active.record.max_run_seconds:
            self._runs.time_out(active)

    def _renew_all(self, now: float) -> None:
        if ARMED:
            reach(Failpoint.BEFORE_RENEW)
        lease_until = self._store.lease_now() + self._lease_seconds
        for active in self._runs.active():
            record = active.record
            order = Renew(rid=record.rid, worker=self._runs.worker, attempt=record.attempt, lease_until=lease_until)
            self._ledger.renew(order).then(partial(self._renewed, active, now))

    def _renewed(self, active: Active, sent: float, pending: Pending[Status | None]) -> None:
        try:
            status = pending.result()
        except StorageError as error:
            logger.warning("The lease of %s could not be renewed: %s", active.record.rid, error)
            return
        if status is None:
            if not active.ending:
                self._runs.lose(active, "another worker took it over")
            return
        # Since when it was sent, not since it came back: that is what the lease was counted from.
        active.renewed = sent
        if status is Status.CANCELLING:
            self._runs.cancel(active.record.rid)
