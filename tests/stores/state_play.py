"""What processes, clients and accidents do to a store, each as one call that tells the oracle what must come of it.

The rules of `test_state_machine.py` call these in any order. Decisions that are the service's are made by its own code:
`Sweeper`, `Retention`, `may_start_again`, the recorder. Whoever is asleep does nothing; whoever is awake renews its
leases whenever time passes.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from bgrs_middleware.bodies import MemoryBodies
from bgrs_middleware.bodies.names import result_name
from bgrs_middleware.bodies.recorder import Recorder
from bgrs_middleware.models import Status
from bgrs_middleware.orders import Add, Added, Cancel, Claim, Delete, Finish, Note, Release, Renew, Report, Retry
from bgrs_middleware.service.outcome import may_start_again
from bgrs_middleware.service.retention import Retention
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.base import Transaction
from stores.orders import an_add
from stores.state_oracle import (
    CANCELLED,
    CANCELLING,
    FAILED,
    FINAL,
    FINISHED,
    HELD,
    LOST,
    QUEUED,
    RETRIED,
    RUNNING,
    Oracle,
    Story,
)
from stores.state_stage import Clocks, Dies, Held, Morgue, Place, Process

DAY = 86_400.0
SETTINGS = Settings(max_queue_seconds=DAY, retry_seconds=DAY)
LEASE_SECONDS = SETTINGS.lease_seconds
NOTICE_SECONDS = SETTINGS.sweep_seconds + 2 * SETTINGS.heartbeat_seconds
INLINE_BYTES = 12
PROCESSES = 2

STEPS, TAKEOVERS, TOO_LATE = "steps", "takeovers", "writes after a claim was lost"
"""What is counted, beside the moves from state to state."""


class Play:
    """Processes on one store, and all that may happen to them.

    Parameters:
        place: where the data live; emptied.
        seen: counts what happened.
    """

    def __init__(self, place: Place, seen: Counter[str]) -> None:
        place.clear()
        self.place = place
        self.seen = seen
        self.clocks = Clocks()
        self.bodies = MemoryBodies()
        self.oracle = Oracle(self.clocks.monotonic, seen)
        self.morgue = Morgue()
        self.seen_dead: set[str] = set()
        """Whose death the others of its host can see at once."""
        self.count = 0
        self.leases_set_at: float | None = None
        self.processes: list[Process] = []
        self.observer = self.new_process()
        """Never dies, never sleeps, runs nothing: sweeps, and removes what is over its time."""
        self.retention = Retention(
            settings=SETTINGS,
            ledger=self.observer.ledger,
            reader=self.observer.reader,
            bodies=self.bodies,
            drop_body=self.bodies.delete,
            wall=self.clocks.wall,
            boot=self.clocks.monotonic,
        )

    def close(self) -> None:
        for process in [self.observer, *self.processes]:
            self.place.leave(process.store)

    def number(self) -> int:
        self.count += 1
        return self.count

    def new_process(self) -> Process:
        # One that starts just after somebody set the server's clock cannot know that the others do not know it yet.
        if self.leases_set_at is not None and self.clocks.elapsed - self.leases_set_at < NOTICE_SECONDS:
            self.passes(NOTICE_SECONDS)
        return Process(
            token=f"worker-{self.number()}",
            place=self.place,
            clocks=self.clocks,
            bodies=self.bodies,
            morgue=self.morgue,
            settings=SETTINGS,
        )

    @property
    def awake(self) -> list[Process]:
        return [process for process in self.processes if not process.asleep]

    def one(self, pick: int) -> Process:
        """Some process that is awake. New ones are started where too few are."""
        while len(self.awake) < PROCESSES:
            self.processes.append(self.new_process())
        return self.awake[pick % len(self.awake)]

    def runs(self) -> list[tuple[Process, Held]]:
        """All that processes which are awake hold, or believe to hold."""
        return [(process, run) for process in self.awake for run in process.runs]

    def one_run(self, pick: int) -> tuple[Process, Held]:
        runs = self.runs()
        return runs[pick % len(runs)]

    def story_of(self, process: Process, run: Held) -> Story | None:
        """What may be written through this run, if its claim is the one that counts."""
        story = self.oracle.stories.get(run.rid)
        if story is not None and story.is_held(process.token, run.attempt):
            return story
        self.seen[TOO_LATE] += 1
        return None

    # Clients.

    def accepts(self, process: Process, **changes: object) -> None:
        rid = f"{self.number():032x}"
        order: Add = an_add(
            rid=rid,
            now=self.clocks.wall(),
            sealed_request=rid.encode(),
            max_queued=5,
            max_queued_per_caller=3,
            **changes,
        )
        added = process.ledger.add(order).wait()
        assert added is self.oracle.room_for(order)
        if added is Added.ADDED:
            self.oracle.accepted(order)
        else:
            self.oracle.gone.add(rid)

    def cancels(self, process: Process, rid: str) -> None:
        story = self.oracle.stories.get(rid)
        changed = process.ledger.cancel(Cancel(rid=rid, now=self.clocks.wall())).wait()
        assert changed.done == (story is not None and story.status in (QUEUED, RUNNING))
        if story is not None and changed.done:
            if story.status is QUEUED:
                story.move(CANCELLED, self.clocks.elapsed, "cancelled")
            else:
                story.move(CANCELLING, self.clocks.elapsed)

    def retries(self, process: Process, rid: str) -> None:
        story = self.oracle.stories.get(rid)
        changed = process.ledger.retry(Retry(rid=rid, now=self.clocks.wall())).wait()
        assert changed.done == (story is not None and story.status in RETRIED and story.kept)
        if story is not None and changed.done:
            story.retried(self.clocks.elapsed)

    def deletes(self, process: Process, rid: str) -> None:
        story = self.oracle.stories.get(rid)
        changed = process.ledger.delete(Delete(rid=rid)).wait()
        assert changed.done == (story is not None and story.status not in HELD)
        if story is not None and changed.done:
            self.oracle.removed(story)
            if changed.before is not None and changed.before.result_body_name is not None:
                self.bodies.delete(changed.before.result_body_name)

    def wipes(self, process: Process, rid: str) -> None:
        """What is wiped cannot be retried."""
        story = self.oracle.stories.get(rid)
        changed = process.ledger.wipe_request(rid).wait()
        assert changed.done == (story is not None and story.status in FINAL and story.kept)
        if story is not None and changed.done:
            story.kept = False
            self.retries(process, rid)

    def notes(self, process: Process, rid: str) -> None:
        process.ledger.note(Note(rid=rid, at=self.clocks.wall(), text="a note")).wait()
        if rid in self.oracle.stories:
            self.oracle.stories[rid].texts.append("a note")

    # Workers.

    def claims(self, process: Process, limit: int, *, starts: bool) -> None:
        lease_until = self.clocks.lease_now() + LEASE_SECONDS
        order = Claim(worker=process.token, limit=limit, now=self.clocks.wall(), lease_until=lease_until)
        claims = process.ledger.claim(order).wait()
        self.oracle.claimed(claims, process.token, lease_until, limit)
        for claimed in claims:
            process.runs.append(Held(record=claimed.record))
            if starts:
                self.starts(process.runs[-1])

    def starts(self, run: Held) -> None:
        """The application is called, if it was not yet: also by a worker that does not know that its claim is lost."""
        if not run.started:
            run.started = True
            self.oracle.begun(run.rid, run.attempt)

    def beats(self, process: Process) -> None:
        """Renew all that a process holds."""
        lease_until = self.clocks.lease_now() + LEASE_SECONDS
        for run in process.runs:
            story = self.story_of(process, run)
            order = Renew(rid=run.rid, worker=process.token, attempt=run.attempt, lease_until=lease_until)
            assert process.ledger.renew(order).wait() == (None if story is None else story.status)
            if story is not None:
                story.lease_until = lease_until
        process.overslept = False

    def reports(self, process: Process, run: Held, progress: float) -> None:
        story = self.story_of(process, run)
        before = self.observer.store.get([run.rid])
        order = Report(
            rid=run.rid, worker=process.token, attempt=run.attempt, now=self.clocks.wall(), progress=progress
        )
        assert process.ledger.report(order).wait() == (story is not None)
        after = self.observer.store.get([run.rid])
        if story is None:
            assert after == before
        else:
            assert after[run.rid].progress == progress

    def answers(self, run: Held, data: bytes) -> None:
        """The response is whole, and in a sealed body where it is large. The store does not know of it yet."""
        if run.captured is not None:
            return
        self.starts(run)
        data += b" %d" % run.attempt
        recorder = Recorder(
            body_name=result_name(run.rid, run.attempt),
            create_body=self.bodies.create,
            max_result_bytes=1_000,
            derive_progress=lambda percent: None,
            inline_bytes=INLINE_BYTES,
        )
        recorder.start(200, [(b"content-type", b"text/plain")])
        recorder.write(data)
        run.captured = recorder.finish()
        if run.rid in self.oracle.stories:
            self.oracle.stories[run.rid].answers[run.attempt] = data

    def finishes(self, process: Process, run: Held, without_answer: Status) -> None:
        """What was answered is committed; what was not answered has failed, or was cancelled."""
        story = self.story_of(process, run)
        status = without_answer if run.captured is None else FINISHED
        order = Finish(
            rid=run.rid,
            worker=process.token,
            attempt=run.attempt,
            status=status,
            now=self.clocks.wall(),
            captured=run.captured,
            keep_request=status is not FINISHED,
            notes=("the end",),
        )
        changed = process.ledger.finish(order).wait()
        assert changed.done == (story is not None)
        process.runs.remove(run)
        if story is not None:
            story.move(status, self.clocks.elapsed, "the end")
        elif run.captured is not None and run.captured.body_name is not None:
            # As `service/outcome.py` does it: a sweeper may have kept this very response.
            kept = None if changed.before is None else changed.before.result_body_name
            if kept != run.captured.body_name:
                self.bodies.delete(run.captured.body_name)

    def hands_back(self, process: Process, run: Held) -> None:
        """The process stops its run, or cannot start the application: what becomes of the request then."""
        story = self.story_of(process, run)
        status = QUEUED if not run.started or may_start_again(run.record) else LOST
        order = Release(
            rid=run.rid,
            worker=process.token,
            attempt=run.attempt,
            status=status,
            now=self.clocks.wall(),
            died=False,
            note="handed back",
        )
        assert process.ledger.release(order).wait().done == (story is not None)
        process.runs.remove(run)
        if story is not None:
            story.handed_back += run.started
            cancelled = story.status is CANCELLING and status is QUEUED
            story.move(CANCELLED if cancelled else status, self.clocks.elapsed, "handed back")

    # Accidents, and time.

    def dies(self, process: Process, *, same_host: bool = True) -> None:
        """It is gone, and what it had in memory. Others of its host see it by its lock."""
        self.processes.remove(process)
        self.place.leave(process.store)
        if same_host:
            self.morgue.tokens.append(process.token)
            self.seen_dead.add(process.token)

    def dies_in_a_transaction(self, process: Process, verb: str) -> None:
        """All that was written in it is as if it had never been."""
        with suppress(Dies), process.store.transaction() as transaction:
            self.writes(transaction, process, verb)
            raise Dies
        self.dies(process)

    def writes(self, transaction: Transaction, process: Process, verb: str) -> None:
        now, token = self.clocks.wall(), process.token
        if verb == "add":
            rid = f"{self.number():032x}"
            self.oracle.gone.add(rid)
            transaction.add([an_add(rid=rid, now=now)])
        if verb in ("add", "claim"):
            lease_until = self.clocks.lease_now() + LEASE_SECONDS
            transaction.claim([Claim(worker=token, limit=2, now=now, lease_until=lease_until)])
        ours = [run.rid for run in process.runs]
        if verb == "finish":
            transaction.finish([Finish(rid=rid, worker=token, status=FAILED, now=now) for rid in ours])
        if verb == "release":
            transaction.release(
                [Release(rid=rid, worker=token, status=LOST, now=now, died=True, note="gone") for rid in ours]
            )

    def connects_again(self, process: Process) -> None:
        """It goes on, with new connections."""
        process.store.close()
        process.store.open()

    def wakes(self, process: Process, *, beats: bool) -> None:
        """Its heartbeat may be the first thing to happen, or anything else."""
        process.asleep, process.overslept = False, True
        if beats:
            self.beats(process)

    def sets_wall_clock(self, step: float) -> None:
        self.clocks.wall_ahead += step
        self.retention._clock.now()

    def sets_lease_clock(self, step: float) -> None:
        self.clocks.lease_ahead += step
        self.leases_set_at = self.clocks.elapsed

    def passes(self, seconds: float) -> None:
        """Time passes; all who are awake look at the clocks meanwhile, and renew their leases."""
        self.clocks.elapsed += seconds
        self.retention._clock.now()
        for process in [self.observer, *self.awake]:
            process.sweeper._leases.can_tell()
            self.beats(process)
