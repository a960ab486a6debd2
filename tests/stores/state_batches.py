"""Batches in the state machine: what clients do with them, and what must be true of them after each step.

The stories of the items are those of all requests. A batch has no story of its own: what it must be follows from its
items, and from whether its cancellation was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bgrs_middleware.models import Status
from bgrs_middleware.orders import AddBatch, Added, Cancel, Delete
from bgrs_middleware.stores.base import Store
from stores.orders import a_batch

if TYPE_CHECKING:
    from stores.state_oracle import Oracle, Story
    from stores.state_play import Play
    from stores.state_stage import Process

FINAL = (Status.FINISHED, Status.FAILED, Status.CANCELLED, Status.LOST, Status.EXPIRED)
BATCH_STEPS = "steps with a batch that has ended"


@dataclass(eq=False)
class Batch:
    """One batch: what was sent, how it was when it was last looked at, and what was asked for since."""

    order: AddBatch
    status: Status = Status.RUNNING
    cancel_asked: bool = False


def stories_of(batch: Batch, oracle: Oracle) -> list[Story]:
    """The stories of those of its items that are there."""
    return [oracle.stories[item.rid] for item in batch.order.items if item.rid in oracle.stories]


def accepts_batch(play: Play, process: Process, count: int, **changes: object) -> None:
    rids = [f"{play.number():032x}" for _ in range(count + 1)]
    order = a_batch(count, rids, now=play.clocks.wall(), max_queued=6, max_queued_per_caller=3, **changes)
    added = process.ledger.add_batch(order).wait()
    assert added is play.oracle.room_for(order.parent, count)
    if added is Added.ADDED:
        play.oracle.batches[order.rid] = Batch(order)
        for item in order.items:
            play.oracle.accepted(item)
    else:
        play.oracle.gone.update(rids)


def cancels_batch(play: Play, process: Process, rid: str) -> None:
    batch = play.oracle.batches[rid]
    changed = process.ledger.cancel(Cancel(rid=rid, now=play.clocks.wall())).wait()
    assert changed.done == (batch.status is Status.RUNNING)
    batch.cancel_asked = batch.cancel_asked or changed.done
    for story in stories_of(batch, play.oracle):
        if story.status is Status.QUEUED:
            story.move(Status.CANCELLED, play.clocks.elapsed, "cancelled")
        elif story.status is Status.RUNNING:
            story.move(Status.CANCELLING, play.clocks.elapsed)


def deletes_batch(play: Play, process: Process, rid: str) -> None:
    batch = play.oracle.batches[rid]
    stories = stories_of(batch, play.oracle)
    changed = process.ledger.delete(Delete(rid=rid)).wait()
    assert changed.done == (batch.status in FINAL)
    assert [item.rid for item in changed.items] == ([story.rid for story in stories] if changed.done else [])
    for name in changed.body_names:
        play.bodies.delete(name)
    if changed.done:
        removed(batch, play.oracle)
        for story in stories:
            play.oracle.removed(story)


def removed(batch: Batch, oracle: Oracle) -> None:
    del oracle.batches[batch.order.rid]
    oracle.gone.add(batch.order.rid)


def compare_batches(oracle: Oracle, store: Store) -> int:
    """Look at all of them; returns how many have ended."""
    for batch in oracle.batches.values():
        _compare(batch, stories_of(batch, oracle), store)
    return sum(batch.status in FINAL for batch in oracle.batches.values())


def _compare(batch: Batch, stories: list[Story], store: Store) -> None:
    record, *items = store.with_items(batch.order.rid)
    assert [(item.rid, item.status) for item in items] == [(story.rid, story.status) for story in stories]
    assert (record.worker, record.attempt, record.has_request) == (None, 0, False)
    unfinished = [item for item in items if item.status not in FINAL]
    left = sum(100.0 - (item.progress or 0.0) for item in unfinished)
    assert record.progress == pytest.approx(100.0 - left / len(batch.order.items))
    assert (record.finished_at is not None) == (record.status in FINAL)
    assert record.status in _possible(batch, stories, bool(unfinished))
    batch.status = record.status
    batch.cancel_asked = record.status is Status.CANCELLING


def _possible(batch: Batch, stories: list[Story], is_unfinished: bool) -> set[Status]:
    if is_unfinished:
        # Within one step all may have ended, and one of them may have been retried.
        return {Status.CANCELLING, Status.RUNNING} if batch.cancel_asked else {Status.RUNNING}
    if batch.status in FINAL:
        return {batch.status}
    cancelled = any(story.status is Status.CANCELLED for story in stories)
    return {Status.CANCELLED if batch.cancel_asked and cancelled else Status.FINISHED}
