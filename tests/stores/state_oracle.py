"""What is true of every store, told a second time: in plain Python, without a look at `stores/rules.py`.

The machine tells the oracle what was asked and what was answered. The oracle knows what must have become of it, and
compares that with what can be read. `GRAPH` is the declared graph of states (`stores/base.py` tells it in words).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bgrs_middleware.bodies.base import Bodies
from bgrs_middleware.models import Captured, Record, Rerun, Status
from bgrs_middleware.orders import Add, Added, Claimed
from bgrs_middleware.stores.base import Store
from stores.orders import PLENTY
from stores.state_batches import BATCH_STEPS, Batch, compare_batches, removed

QUEUED, RUNNING, CANCELLING = Status.QUEUED, Status.RUNNING, Status.CANCELLING
FINISHED, FAILED, CANCELLED = Status.FINISHED, Status.FAILED, Status.CANCELLED
LOST, EXPIRED = Status.LOST, Status.EXPIRED

GRAPH: dict[Status, set[Status | None]] = {
    QUEUED: {RUNNING, CANCELLED, EXPIRED, None},
    RUNNING: {QUEUED, CANCELLING, FINISHED, FAILED, CANCELLED, LOST},
    CANCELLING: {FINISHED, FAILED, CANCELLED, LOST},
    FINISHED: {None},
    FAILED: {QUEUED, None},
    CANCELLED: {QUEUED, None},
    LOST: {QUEUED, None},
    EXPIRED: {None},
}
"""Where a request may go from where it stands. None: it is removed."""

HELD = (RUNNING, CANCELLING)
FINAL = (FINISHED, FAILED, CANCELLED, LOST, EXPIRED)
RETRIED = (FAILED, CANCELLED, LOST)
MOST_DEATHS = 2


def name_of(start: Status, end: Status | None) -> str:
    """A way from one state to another, in words."""
    return f"{start.label} to {'nothing' if end is None else end.label}"


@dataclass(eq=False)
class Story:
    """All that is known of one acknowledged request. Times are of the clock that nobody sets.

    `since`: when it came into its state. `waits_since`: when it was accepted, or retried. `life`: the attempts that it
    had then; `begun`: those at which its application was started; `handed_back`: how many of these since then were
    stopped by their own worker. `answers`: what the application answered at each attempt.
    """

    order: Add
    seen: Counter[str]
    since: float
    waits_since: float
    status: Status = QUEUED
    worker: str | None = None
    lease_until: float | None = None
    attempt: int = 0
    deaths: int = 0
    kept: bool = True
    life: int = 0
    begun: list[int] = field(default_factory=list)
    handed_back: int = 0
    answers: dict[int, bytes] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    @property
    def rid(self) -> str:
        return self.order.rid

    @property
    def may_run_again(self) -> bool:
        return self.order.rerun is Rerun.ALWAYS or (self.order.rerun is Rerun.SAFE and self.order.method == "GET")

    def is_held(self, worker: str, attempt: int) -> bool:
        """Whether this claim is the one that counts."""
        return self.status in HELD and (self.worker, self.attempt) == (worker, attempt)

    def after_a_death(self, *, cancelling: bool) -> Status:
        """What becomes of it where the worker that holds it has died."""
        if cancelling:
            return CANCELLED
        if self.deaths + 1 == MOST_DEATHS:
            return FAILED
        return QUEUED if self.may_run_again else LOST

    def move(self, status: Status, now: float, *texts: str) -> None:
        """It comes into another state."""
        self.check_move(status)
        self.status, self.since = status, now
        self.texts += texts
        if status not in HELD:
            self.worker = self.lease_until = None
        if status in (FINISHED, EXPIRED):
            self.kept = False

    def check_move(self, status: Status | None) -> None:
        """None: it is removed."""
        way = name_of(self.status, status)
        assert status in GRAPH[self.status], way
        self.seen[way] += 1

    def retried(self, now: float) -> None:
        self.move(QUEUED, now, "queued again")
        self.waits_since, self.life, self.deaths, self.handed_back = now, self.attempt, 0, 0

    def check_starts(self) -> None:
        """Started once for each claim at most; and once in all unless it is safe, or its owner asked again."""
        assert len(set(self.begun)) == len(self.begun), "one claim was started twice"
        starts = sum(attempt > self.life for attempt in self.begun)
        assert starts <= (MOST_DEATHS + self.handed_back if self.may_run_again else 1), "started too often"


class Oracle:
    """The stories of all requests that were ever acknowledged.

    Parameters:
        now: the time that has passed.
        seen: counts what happened.
    """

    def __init__(self, now: Callable[[], float], seen: Counter[str]) -> None:
        self._now = now
        self._seen = seen
        self.stories: dict[str, Story] = {}
        self.gone: set[str] = set()
        """Removed, or never acknowledged: there may be no trace of them."""
        self.batches: dict[str, Batch] = {}

    def all_in(self, *statuses: Status) -> list[Story]:
        """Stories in these states, oldest first."""
        return [story for story in self.stories.values() if story.status in statuses]

    def room_for(self, order: Add, count: int = 1) -> Added:
        """Whether so many more would be taken. For their owner, those of one batch are one."""
        queued = self.all_in(QUEUED)
        if len(queued) + count > order.max_queued:
            return Added.QUEUE_FULL
        owned = {story.order.parent or story.rid for story in queued if story.order.owner == order.owner}
        if order.owner and len(owned) >= order.max_queued_per_caller:
            return Added.CALLER_QUEUE_FULL
        return Added.ADDED

    def accepted(self, order: Add) -> None:
        self.stories[order.rid] = Story(order=order, seen=self._seen, since=self._now(), waits_since=self._now())

    def claimed(self, claims: Sequence[Claimed], worker: str, lease_until: float, limit: int) -> None:
        """The oldest are given, each with what is stored of it, and to this worker alone."""
        assert [claim.record.rid for claim in claims] == [story.rid for story in self.all_in(QUEUED)[:limit]]
        for claim in claims:
            story = self.stories[claim.record.rid]
            story.move(RUNNING, self._now())
            story.worker, story.lease_until, story.attempt = worker, lease_until, story.attempt + 1
            assert claim.sealed_request == story.order.sealed_request
            assert (claim.record.worker, claim.record.attempt) == (worker, story.attempt)

    def begun(self, rid: str, attempt: int) -> None:
        """The application was started for a claim."""
        if rid in self.stories:
            self.stories[rid].begun.append(attempt)
            self.stories[rid].check_starts()

    def removed(self, story: Story) -> None:
        story.check_move(None)
        del self.stories[story.rid]
        self.gone.add(story.rid)

    # What can be read.

    def compare(self, store: Store, bodies: Bodies) -> None:
        """Look at everything in the store."""
        records = store.get([*self.stories, *self.gone])
        assert set(records) == set(self.stories), "what was acknowledged is there, what was removed is not"
        captured = store.captured(list(records))
        assert set(captured) == {story.rid for story in self.all_in(FINISHED)}
        assert store.count_queued() == len(self.all_in(QUEUED))
        for story in self.stories.values():
            _compare(story, records[story.rid])
            assert [detail.text for detail in store.details(story.rid, 0, PLENTY)] == story.texts
            if story.status is FINISHED:
                _compare_answer(story, records[story.rid], captured[story.rid], bodies)
        for rid in self.gone:
            assert not store.details(rid, 0, 1)
        self._seen[BATCH_STEPS] += compare_batches(self, store)

    def batches_gone(self, store: Store) -> None:
        """Retention has removed some, it seems; their items are looked at as all others are."""
        present = store.get(list(self.batches))
        for batch in [batch for rid, batch in self.batches.items() if rid not in present]:
            assert batch.status in FINAL
            removed(batch, self)

    def noticed(self, records: Mapping[str, Record]) -> list[tuple[Story, Record | None]]:
        """The stories whose record, as it is now, says something else; None where it is gone."""
        found = [(story, records.get(story.rid)) for story in self.stories.values()]
        return [(story, record) for story, record in found if record is None or _said(record) != _told(story)]


def _said(record: Record) -> tuple[object, ...]:
    return (
        record.status,
        record.worker,
        record.lease_until,
        record.attempt,
        record.deaths,
        record.has_request,
    )


def _told(story: Story) -> tuple[object, ...]:
    return story.status, story.worker, story.lease_until, story.attempt, story.deaths, story.kept


def _compare(story: Story, record: Record) -> None:
    assert _said(record) == _told(story)
    order = story.order
    assert (record.owner, record.method, record.rerun) == (order.owner, order.method, order.rerun)
    assert (record.started_at is not None) == (record.attempt > story.life)
    assert (record.finished_at is not None) == (record.status in FINAL)
    assert (record.http_status is not None) == (record.status is FINISHED)


def _compare_answer(story: Story, record: Record, captured: Captured, bodies: Bodies) -> None:
    """Finished means: all bytes that the application answered at that attempt, and none more."""
    data = captured.inline
    if captured.body_name is not None:
        reader = bodies.read(captured.body_name)
        data = reader.read(0, captured.length)
        reader.close()
    assert data == story.answers[story.attempt]
    assert captured.length == record.result_length == len(data)
    assert captured.sha256 == hashlib.sha256(data).hexdigest()
    assert record.result_body_name == captured.body_name
