"""The embedded executor: never more than `concurrency` at a time, and no queued request forgotten."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.executors.embedded import EmbeddedExecutor


class Queue:
    """A host with a queue of its own; claims are answered when the test says so."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.queued = 0
        self.running: list[Callable[[], None]] = []
        self.claims: list[tuple[int, Callable[[int], None], Callable[[], None]]] = []
        self.most = 0

    def claim_and_run(self, limit, on_claimed, on_done):
        assert not self.claims, "one claim at a time"
        assert limit > 0
        self.claims.append((limit, on_claimed, on_done))

    def answer_claim(self):
        limit, on_claimed, on_done = self.claims.pop()
        count = min(limit, self.queued)
        self.queued -= count
        self.running += [on_done] * count
        self.most = max(self.most, len(self.running))
        on_claimed(count)

    def end_one(self, seed):
        self.running.pop(seed % len(self.running))()


@given(concurrency=st.integers(1, 5), steps=st.lists(st.sampled_from(["queue", "claim", "end"]), max_size=60))
def test_no_slot_is_overfilled_and_nothing_is_left_queued(concurrency, steps):
    host = Queue(concurrency)
    executor = EmbeddedExecutor()
    executor.start(host)
    for number, step in enumerate(steps):
        if step == "queue":
            host.queued += 1
            executor.notify(("x",))
        elif step == "claim" and host.claims:
            host.answer_claim()
        elif step == "end" and host.running:
            host.end_one(number)
    chance = random.Random(1)
    while host.claims or host.running:
        if host.claims:
            host.answer_claim()
        else:
            host.end_one(chance.randrange(100))
    assert host.queued == 0
    assert host.most <= concurrency


def test_a_stopped_executor_claims_nothing_new():
    host = Queue(2)
    executor = EmbeddedExecutor()
    executor.start(host)
    executor.stop()
    host.queued = 1
    executor.notify(("x",))
    assert host.claims == []
