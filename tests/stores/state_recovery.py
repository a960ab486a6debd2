"""What becomes of requests whose worker has died, and of what is over its time: the sweeper and retention at work.

The service's own code decides. What it did is then found in the store, and told to the oracle: nobody who lives and
renews its lease loses a claim, whatever somebody does to the clocks, and nothing is removed before its time.
"""

from __future__ import annotations

from bgrs_middleware.bodies.names import result_name
from bgrs_middleware.service import sweeper
from bgrs_middleware.service.leases import LONGEST_LEASES
from stores.state_oracle import CANCELLED, CANCELLING, EXPIRED, FAILED, FINAL, FINISHED, HELD, RETRIED, Story
from stores.state_play import DAY, INLINE_BYTES, LEASE_SECONDS, SETTINGS, TAKEOVERS, Play
from stores.state_stage import Dies, Process

LONGEST_LEASE_SECONDS = LONGEST_LEASES * LEASE_SECONDS
RECOVERY_SECONDS = LEASE_SECONDS + SETTINGS.sweep_seconds
TOLERANCE_SECONDS = 0.001
"""Times of the year 2096 are kept to a microsecond."""

MEANWHILE = ("nothing", "nothing", "beat", "finish", "cancel", "another sweep")
"""What may happen between a sweeper's reading and its writing."""


class Recovery(Play):
    """The play, with those who look after it."""

    def sweeps(self, process: Process, pick: int, *, looks: bool, meanwhile: str, dies_at: int | None) -> None:
        """A process sweeps. Something happens meanwhile, and it may die before one of its writes."""
        writes = iter(range(1, 1_000))

        def after_reading() -> None:
            process.reader.after = lambda: None
            self.happens(meanwhile, pick)
            process.ledger.before = before_writing

        def before_writing(verb: str) -> None:
            if next(writes) == dies_at:
                raise Dies

        process.reader.after = after_reading
        try:
            process.sweeper.look() if looks else process.sweeper.sweep()
        except Dies:
            self.dies(process)
        process.reader.after, process.ledger.before = lambda: None, lambda verb: None
        self.tell_of_takeovers(cancelled_meanwhile=meanwhile == "cancel")

    def happens(self, what: str, pick: int) -> None:
        if what == "beat":
            for process in self.processes:
                process.asleep = False
                self.beats(process)
        elif what == "another sweep":
            self.observer_sweeps()
        elif what == "finish" and self.runs():
            self.finishes(*self.one_run(pick), FAILED)
        elif what == "cancel" and self.oracle.all_in(*HELD):
            self.cancels(self.observer, self.oracle.all_in(*HELD)[0].rid)

    def observer_sweeps(self) -> None:
        self.observer.sweeper.sweep()
        self.tell_of_takeovers()

    def tell_of_takeovers(self, *, cancelled_meanwhile: bool = False) -> None:
        """Tell the oracle what was taken over. Nobody takes what is not abandoned, or makes of it what it likes."""
        store, now = self.observer.store, self.clocks.elapsed
        for story, record in self.oracle.noticed(store.get(list(self.oracle.stories))):
            assert record is not None
            self.check_abandoned(story)
            if record.status is FINISHED:
                assert record.result_body_name == result_name(story.rid, story.attempt), "only what was sealed is kept"
                story.move(FINISHED, now, sweeper.KEPT_NOTE)
            else:
                assert len(story.answers.get(story.attempt, b"")) <= INLINE_BYTES, "what was sealed is kept"
                # Where the cancel came after the sweeper had read, it does not count; but nothing is queued again.
                cancelling = story.status is CANCELLING and (record.status is CANCELLED or not cancelled_meanwhile)
                assert record.status is story.after_a_death(cancelling=cancelling)
                story.move(record.status, now, store.details(story.rid, 0, 1_000)[-1].text)
                story.deaths += 1

    def check_abandoned(self, story: Story) -> None:
        """Who holds it has died, or did not renew its lease, and that is over."""
        assert story.status in HELD
        holder = next((process for process in self.processes if process.token == story.worker), None)
        self.seen[TAKEOVERS] += 1
        if holder is None and story.worker in self.seen_dead:
            return
        assert holder is None or holder.asleep or holder.overslept, "the claim of a worker that lives was taken over"
        assert story.lease_until is not None
        left = story.lease_until - self.clocks.lease_now()
        assert not 0 <= left <= LONGEST_LEASE_SECONDS, "a claim was taken over before its lease was over"

    def owners_retry(self) -> None:
        for story in self.oracle.all_in(*RETRIED):
            # What retention has done until now is not told to the oracle yet.
            record = self.observer.store.get([story.rid]).get(story.rid)
            if record is not None and record.has_request:
                self.retries(self.observer, story.rid)

    def all_die_and_their_leases_pass(self) -> None:
        """Within a lease and a sweep everything is settled; nothing stays running for ever."""
        for process in list(self.processes):
            self.dies(process, same_host=False)
        self.observer_sweeps()
        self.passes(RECOVERY_SECONDS + 1)
        if self.leases_set_at is not None:
            self.passes(LONGEST_LEASE_SECONDS)
        self.observer_sweeps()
        assert not self.oracle.all_in(*HELD)

    def retention_sweeps(self, retry_at: int | None = None) -> None:
        """Nothing goes before its time, whatever the wall clock shows; nor what its owner retries after it was read."""
        reads = iter(range(1, 1_000))
        self.observer.reader.after = lambda: self.owners_retry() if next(reads) == retry_at else None
        self.retention.sweep()
        self.observer.reader.after = lambda: None
        store, now = self.observer.store, self.clocks.elapsed
        self.oracle.batches_gone(store)
        for story, record in self.oracle.noticed(store.get(list(self.oracle.stories))):
            ago = now - story.since + TOLERANCE_SECONDS
            if record is None:
                assert story.status in FINAL
                assert ago > story.order.retention_days * DAY
                assert story.order.parent not in self.oracle.batches, "an item goes with its batch"
                self.oracle.removed(story)
            elif record.status is EXPIRED:
                assert now - story.waits_since + TOLERANCE_SECONDS > SETTINGS.max_queue_seconds
                story.move(EXPIRED, now, store.details(story.rid, 0, 1_000)[-1].text)
            else:
                assert story.status in FINAL
                assert ago > SETTINGS.retry_seconds
                story.kept = False
