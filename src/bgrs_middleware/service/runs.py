"""The runs of one process: claimed from the store, started through the door's replayer, watched until they end."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..bodies.base import Bodies, RequestBody
from ..bodies.names import result_name
from ..bodies.recorder import Recorder
from ..bodies.stored import InlineRequestBody, SealedRequestBody
from ..errors import SealError, StorageError
from ..failpoints import ARMED, Failpoint, reach
from ..ledger import Ledger
from ..models import Record, Status
from ..orders import Claim, Claimed
from ..pending import Pending, in_background
from ..progress import Run
from ..protocol.health import Figures
from ..protocol.message import RequestHead
from ..protocol.stored import load
from ..reader import Reader
from ..sealing import Keyring
from ..settings import Settings
from ..stores.base import Store
from ..waiting import Waiting
from .doubt import DoubtfulClaims
from .draining import Drain
from .job import Job, Replayer, ReplayUnavailable
from .outcome import Active, Books, Outcome
from .reporter import Reporter

STOPPING_SECONDS = 5.0
STUCK_SECONDS = 1.0
"""How long after its time limit an application that has not returned counts as stuck: it is told within half a second,
and may need a moment to stop."""

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
        self._bodies = bodies
        self._keyring = keyring
        self._active: dict[str, Active] = {}
        self._outcomes: dict[Active, Outcome] = {}
        """Of all that runs here. Not all is among the active: see `_replace`."""
        self._claims: set[object] = set()
        """Those on their way: what they bring is not among the active yet."""
        self._time_is_up: dict[Run, float] = {}
        """Of each application that was started and has not returned: when its limit is over, by the monotonic clock."""
        self._losses = 0
        """Of claims, by runs that have ended."""
        self._losses_lock = threading.Lock()
        self._takes_work = False
        self._drain = Drain(waiting, lambda: not self._outcomes and not self._claims)
        self.doubtful_claims = DoubtfulClaims(
            worker=self.worker,
            ledger=ledger,
            reader=reader,
            waiting=waiting,
            holds=self.holds,
            claims_are_out=lambda: bool(self._claims),
        )
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
        self._takes_work = True
        sent = time.monotonic()
        lease_until = self._store.lease_now() + self._settings.lease_seconds
        claim = object()
        self._claims.add(claim)
        # Looked at after it was added: either we see that it drains, or the drain sees the claim. So with doubts.
        if self._drain.has_begun or self.doubtful_claims.exist:
            self._claims.discard(claim)
            on_claimed(0)
            return
        order = Claim(worker=self.worker, limit=limit, now=time.time(), lease_until=lease_until)
        self._ledger.claim(order).then(partial(self._claimed, claim, sent, on_claimed, on_done))

    def snapshot(self, rid: str) -> Record | None:
        """The record of a request that runs here, from memory; None where the store knows better."""
        active = self._active.get(rid)
        if active is None or active.ending or active.claim_lost:
            return None
        run = active.run
        status = Status.CANCELLING if run.is_cancelled else active.record.status
        return replace(active.record, status=status, progress=run.progress, message=run.message, items=run.items)

    def run_of(self, rid: str) -> Run | None:
        """The run of a request whose outcome is not known to be written yet."""
        active = self._active.get(rid)
        return None if active is None or active.claim_lost else active.run

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
        return list(self._outcomes)

    def holds(self, record: Record) -> bool:
        """Whether a request runs here just now, by the claim that the record tells of."""
        active = self._active.get(record.rid)
        return active is not None and (self.worker, active.record.attempt) == (record.worker, record.attempt)

    def figures(self) -> Figures:
        """What this process can say of itself. A process that leaves the running to others has no slots."""
        latest = time.monotonic() - STUCK_SECONDS
        with self._losses_lock:
            losses = self._losses + sum(active.claim_lost for active in self.active())
        return Figures(
            processes=1,
            slots=self.concurrency if self._takes_work else 0,
            running=len(self._outcomes),
            stuck=sum(limit <= latest for limit in list(self._time_is_up.values())),
            lease_losses=losses,
        )

    def lose(self, active: Active, reason: str) -> None:
        """Stop a run whose claim is lost, or can no longer be known to hold."""
        active.claim_lost = True
        self.interrupt(active, reason)

    def interrupt(self, active: Active, reason: str) -> None:
        """Stop a run that must not go on here; nobody cancelled it."""
        if active.stop_reason is None:
            logger.warning("Background request %s is stopped: %s", active.record.rid, reason)
            active.stop_reason = reason
            active.run.interrupt()
            self._replayer.cancel(active.run)

    def time_out(self, active: Active) -> None:
        """End a run that takes longer than it may. Its slot is free when its application returns."""
        outcome = self._outcomes.get(active)
        if outcome is not None and not active.ending:
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
        """Let what runs finish for so many seconds; then stop it and hand back what did not finish.

        The seconds count from the first call of this or of `leave`; all calls wait for the same end.
        """
        self.leave(seconds)
        if not await self._drain.all_ended():
            for active in self.active():
                self.interrupt(active, f"the server stopped, and it did not finish within {seconds:g} s")
            await self._drain.all_ended(STOPPING_SECONDS)

    def leave(self, seconds: float) -> None:
        """Claim nothing new from now on; a drain within so many seconds follows. From any thread."""
        self._drain.begin(seconds)

    def hurry(self) -> None:
        """Wait for nothing any more: a drain that is under way, or comes, ends at once. From any thread."""
        self._drain.hurry()

    def _claimed(
        self,
        claim: object,
        sent: float,
        on_claimed: Callable[[int], None],
        on_done: Callable[[], None],
        pending: Pending[Sequence[Claimed]],
    ) -> None:
        try:
            claimed = pending.result()
        except StorageError as error:
            logger.warning("Nothing could be claimed: %s", error)
            self.doubtful_claims.exist = True
            claimed = ()
        on_claimed(len(claimed))
        for one in claimed:
            if ARMED:
                reach(Failpoint.CLAIMED_BEFORE_START)
            self._start(one, sent, on_done)
        self._claims.discard(claim)
        self._drain.look()

    def _start(self, claimed: Claimed, sent: float, on_done: Callable[[], None]) -> None:
        record = claimed.record
        run = Run(
            rid=record.rid,
            attempt=record.attempt,
            method=record.method,
            name=record.name,
            changed=self.reporter.mark,
        )
        # Since when it was sent, not since it came back: that is what the lease was counted from.
        active = Active(record, run, renewed=sent)
        outcome = self._outcomes[active] = Outcome(active, self._books)
        self._replace(active)
        if self._drain.has_begun or active.is_late(self._settings.lease_seconds):
            in_background(outcome.never_started(), on_done)
            return
        try:
            head, body = self._open_request(claimed)
        except (SealError, StorageError, ValueError) as error:
            in_background(outcome.unreadable(str(error)), on_done)
            return
        run.note("started" if record.attempt == 1 else f"started, attempt {record.attempt}")
        job = Job(head=head, body=body, run=run, recorder=self._recorder(record, run), listener=outcome)
        self._time_is_up[run] = active.started + record.max_run_seconds
        try:
            self._replayer.start(job, partial(self._returned, run, on_done))
        except ReplayUnavailable:
            body.close()
            in_background(outcome.never_started(), partial(self._returned, run, on_done))

    def _replace(self, active: Active) -> None:
        """Where a request was lost and is claimed again while its earlier run has not returned, that one must stop."""
        earlier = self._active.get(active.record.rid)
        self._active[active.record.rid] = active
        if earlier is not None:
            self.lose(earlier, "it was taken over, and claimed here again")

    def _recorder(self, record: Record, run: Run) -> Recorder:
        return Recorder(
            body_name=result_name(record.rid, record.attempt),
            create_body=self._bodies.create,
            max_result_bytes=self._settings.max_result_bytes,
            derive_progress=run.derive,
            # As `Outcome.captured` decides: what an application answers that knows of its cancellation is no result.
            may_outlive=lambda: not run.cancel_seen,
        )

    def _open_request(self, claimed: Claimed) -> tuple[RequestHead, RequestBody]:
        record = claimed.record
        context = record.rid.encode()
        head, inline = load(self._keyring.open(claimed.sealed_request, context=context))
        if record.request_body_name is None:
            return head, InlineRequestBody(inline or b"")
        reader = self._bodies.read(record.request_body_name)
        return head, SealedRequestBody(reader, self._keyring, context)

    def _returned(self, run: Run, on_done: Callable[[], None]) -> None:
        """The slot of a run is free."""
        self._time_is_up.pop(run, None)
        on_done()

    def _ended(self, active: Active) -> None:
        with self._losses_lock:
            known = self._outcomes.pop(active, None) is not None
            self._losses += known and active.claim_lost
        if self._active.get(active.record.rid) is active:
            del self._active[active.record.rid]
        self._drain.look()
