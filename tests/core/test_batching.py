"""Batcher: everything that waits is handled at once, in order, and nothing is forgotten at the end."""

from __future__ import annotations

import threading

from bgrs_middleware.batching import Batcher


def test_what_gathers_while_a_batch_is_handled_is_the_next_batch():
    batches: list[list[int]] = []
    handling, go_on = threading.Event(), threading.Event()

    def handle(jobs: list[int]) -> None:
        batches.append(jobs)
        handling.set()
        assert go_on.wait(10)

    batcher = Batcher("test", handle)
    batcher.put(0)
    assert handling.wait(10)
    for number in range(1, 20):
        batcher.put(number)
    go_on.set()
    batcher.close()
    assert batches == [[0], list(range(1, 20))]


def test_a_batch_has_its_limit():
    batches: list[list[int]] = []
    handling, go_on = threading.Event(), threading.Event()

    def handle(jobs: list[int]) -> None:
        batches.append(jobs)
        handling.set()
        assert go_on.wait(10)

    batcher = Batcher("test", handle, max_jobs=4)
    batcher.put(0)
    assert handling.wait(10)
    for number in range(1, 11):
        batcher.put(number)
    go_on.set()
    batcher.close()
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_nothing_starts_before_the_first_job_and_nothing_is_taken_after_the_end():
    before = threading.active_count()
    handled: list[int] = []
    batcher = Batcher("test", handled.extend)
    assert threading.active_count() == before
    assert batcher.put(1)
    batcher.close()
    batcher.close()
    assert handled == [1]
    assert not batcher.put(2)
    assert threading.active_count() == before
