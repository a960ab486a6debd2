"""The runs of one process: claimed from the store, started through the door's replayer, watched until they end."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..bodies.base import Bodies, RequestBody
from ..bodies.recorder import Recorder
from ..bodies.stored import InlineRequestBody, SealedRequestBody
from ..errors import SealError, StorageError
from ..ledger import Ledger
from ..models import Claim, Claimed, Record, Status
from ..pending import Pending, in_background
from ..progress import Run
from ..protocol.message import RequestHead
from ..protocol.stored import load
from ..reader import Reader
from ..sealing import Keyring
from ..settings import Settings
from ..stores.base import Store
from ..waiting import Waiting
from .job import Job, Replayer, ReplayUnavailable
from .outcome import Active, Books, Outcome
from .reporter import Reporter

STOPPING_SECONDS = 5.0

logger = logging.getLogger("bgrs_middleware.runs")


class Runs:
    """What runs in this process. An executor's `Host`.

    Parameters:
        settings: `concurrency`, `lease_seconds`, `max_result_bytes`.
        store: for its clock of leases.
        replayer: starts a replay in the way of its gateway.
        drop_body: removes a stored body, some time soon.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        replayer: Replayer,
        store: Store,
        ledger: Ledger,
        reader: Reader,
        waiting: Waiting,
        bodies: Bodies,
        keyring: Keyring,
        drop_body: Callable[[str], object],
    ) -> None:
        self.concurrency = settings.concurrency
        self.worker = secrets.token_hex(16)
        self.reporter = Reporter(ledger, self.worker)
        self._settings = settings
        self._replayer = replayer
        self._store = store
        self._ledger = ledger
        self._reader = reader
        self._waiting = waiting
        self._bodies = bodies
        self._keyring = keyring
        self._active: dict[str, Active] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._claims: set[object] = set()
        """Those on their way: what they bring is not among the active yet."""
        self._draining = False
        self._idle: Pending[bool] | None = None
        self._books = Books(
            ledger=ledger,
            waiting=waiting,
            reporter=self.reporter,
            worker=self.worker,
            drop_body=drop_body,
            ended=self._ended,
        )

    def claim_and_run(self, limit: int, on_claimed: Callable[[int], None], on_done: Callable[[], None]) -> None:
        """Claim up to `limit` queued requests and start them; see `executors.base.Host`."""
        lease_until = self._store.lease_now() + self._settings.lease_seconds
        claim = object()
        self._claims.add(claim)
        # Looked at after it was added: either we see that it drains, or the drain sees the claim.
        if self._draining:
            self._claims.discard(claim)
            on_claimed(0)
            return
        order = Claim(worker=self.worker, limit=limit, now=time.time(), lease_until=lease_until)
        self._ledger.claim(order).then(partial(self._claimed, claim, on_claimed, on_done))

    def snapshot(self, rid: str) -> Record | None:
        """The record of a request that runs here, from memory; None where the store knows better."""
        active = self._active.get(rid)
        if active is None or active.ending:
            return None
        run = active.run
        status = Status.CANCELLING if run.is_cancelled else active.record.status
        return replace(active.record, status=status, progress=run.progress, message=run.message, items=run.items)

    def run_of(self, rid: str) -> Run | None:
        """The run of a request whose outcome is not known to be written yet."""
        active = self._active.get(rid)
        return None if active is None else active.run

    def send_notes(self, rid: str) -> Sequence[Pending[None]]:
        """Write the details that a run of this process has reported so far, for who wants to read them now."""
        active = self._active.get(rid)
        return () if active is None else self.reporter.send_notes(active.run, active.run.take_notes())

    def cancel(self, rid: str) -> None:
        """Stop a request if it runs here: tell the application, and interrupt it where the gateway can."""
        active = self._active.get(rid)
        if active is not None and not active.run.is_cancelled:
            active.run.cancel()
            self._replayer.cancel(active.run)

    def active(self) -> list[Active]:
        """What runs here just now."""
        return list(self._active.values())

    def holds(self, rid: str) -> bool:
        """Whether a request runs here just now."""
        return rid in self._active

    def interrupt(self, active: Active, reason: str) -> None:
        """Stop a run that must not go on here; nobody cancelled it."""
        if active.stop_reason is None:
            logger.warning("Background request %s is stopped: %s", active.record.rid, reason)
            active.stop_reason = reason
            active.run.interrupt()
            self._replayer.cancel(active.run)

    def time_out(self, active: Active) -> None:
        """End a run that takes longer than it may. Its slot is free when its application returns."""
        outcome = self._outcomes.get(active.record.rid)
        if outcome is not None and active.stop_reason is None and not active.ending:
            # Written first: what the application makes of its interruption decides nothing any more.
            in_background(outcome.timed_out(), lambda: None)
            self.interrupt(active, "it ran longer than max_run_seconds")

    def watch(self) -> None:
        """Find out which of the runs here were cancelled through another process. Blocking."""
        rids = [active.record.rid for active in self.active() if not active.ending]
        if rids:
            for rid, record in self._reader.query(lambda store: store.get(rids)).wait().items():
                if record.status is Status.CANCELLING:
                    self.cancel(rid)

    async def drain(self, seconds: float) -> None:
        """Let what runs finish for so many seconds; then stop it and hand back what did not finish."""
        self._draining = True
        if not await self._all_ended(seconds):
            for active in self.active():
                self.interrupt(active, f"the server stopped, and it did not finish within {seconds:g} s")
            await self._all_ended(STOPPING_SECONDS)

    async def _all_ended(self, seconds: float) -> bool:
        idle = self._idle = Pending()
        if self._is_idle:
            return True
        self._waiting.pause(seconds).then(lambda _: idle.set(False))
        return await idle

    def _claimed(
        self,
        claim: object,
        on_claimed: Callable[[int], None],
        on_done: Callable[[], None],
        pending: Pending[Sequence[Claimed]],
    ) -> None:
        try:
            claimed = pending.result()
        except StorageError as error:
            logger.warning("Nothing could be claimed: %s", error)
            claimed = ()
        on_claimed(len(claimed))
        for one in claimed:
            self._start(one, on_done)
        self._claims.discard(claim)
        self._tell_if_idle()

    def _start(self, claimed: Claimed, on_done: Callable[[], None]) -> None:
        record = claimed.record
        run = Run(
            rid=record.rid,
            attempt=record.attempt,
            method=record.method,
            name=record.name,
            changed=self.reporter.mark,
        )
        active = self._active[record.rid] = Active(record, run)
        outcome = self._outcomes[record.rid] = Outcome(active, self._books)
        if self._draining:
            in_background(outcome.never_started(), on_done)
            return
        try:
            head, body = self._open_request(claimed)
        except (SealError, StorageError) as error:
            in_background(outcome.unreadable(str(error)), on_done)
            return
        run.note("started" if record.attempt == 1 else f"started, attempt {record.attempt}")
        job = Job(head=head, body=body, run=run, recorder=self._recorder(record, run), listener=outcome)
        try:
            self._replayer.start(job, on_done)
        except ReplayUnavailable:
            body.close()
            in_background(outcome.never_started(), on_done)

    def _recorder(self, record: Record, run: Run) -> Recorder:
        return Recorder(
            body_name=f"{record.rid}.{record.attempt}.result",
            create_body=self._bodies.create,
            max_result_bytes=self._settings.max_result_bytes,
            derive_progress=run.derive,
        )

    def _open_request(self, claimed: Claimed) -> tuple[RequestHead, RequestBody]:
        record = claimed.record
        context = record.rid.encode()
        head, inline = load(self._keyring.open(claimed.sealed_request, context=context))
        if record.request_body_name is None:
            return head, InlineRequestBody(inline or b"")
        reader = self._bodies.read(record.request_body_name)
        return head, SealedRequestBody(reader, self._keyring, context)

    def _ended(self, rid: str) -> None:
        self._active.pop(rid, None)
        self._outcomes.pop(rid, None)
        self._tell_if_idle()

    @property
    def _is_idle(self) -> bool:
        return not self._active and not self._claims

    def _tell_if_idle(self) -> None:
        idle = self._idle
        if idle is not None and self._is_idle:
            idle.set(True)
