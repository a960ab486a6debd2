"""Batcher: everything that waits is handled at once, in order, and nothing is forgotten at the end."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bgrs_middleware import batching
from bgrs_middleware.batching import Batcher


def recording() -> tuple[Batcher[int], list[list[int]], threading.Event]:
    """A batcher, the batches that it has handled, and that it has handled one."""
    batches: list[list[int]] = []
    handled = threading.Event()

    def handle(jobs: list[int]) -> None:
        batches.append(jobs)
        handled.set()

    return Batcher("test", handle), batches, handled


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


def test_what_an_event_loop_puts_in_during_one_turn_is_one_batch():
    batcher, batches, handled = recording()

    async def turn(numbers: range) -> None:
        handled.clear()
        batcher.put(numbers[0])
        # Time enough for a thread that was woken by the first job.
        assert not handled.wait(0.05)
        for number in numbers[1:]:
            batcher.put(number)
        assert await asyncio.to_thread(handled.wait, 10)

    async def turns() -> None:
        await turn(range(10))
        await turn(range(10, 20))

    asyncio.run(turns())
    batcher.close()
    assert batches == [list(range(10)), list(range(10, 20))]


def test_what_comes_in_turn_after_turn_is_one_batch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "GATHER_SECONDS", 60.0)
    batcher, batches, handled = recording()

    async def turns() -> None:
        for number in range(4):
            batcher.put(number)
            # Time enough for a thread that was woken.
            assert not handled.wait(0.05)
            await asyncio.sleep(0)
        assert await asyncio.to_thread(handled.wait, 10)

    asyncio.run(turns())
    batcher.close()
    assert batches == [list(range(4))]


def test_a_loop_that_brings_more_in_each_turn_is_not_waited_for_for_ever():
    handled = threading.Event()
    batcher: Batcher[int] = Batcher("test", lambda jobs: handled.set())

    async def turns() -> None:
        deadline = time.monotonic() + 10
        while not handled.is_set():
            assert time.monotonic() < deadline
            batcher.put(0)
            await asyncio.sleep(0)

    asyncio.run(turns())
    batcher.close()


def test_a_loop_that_ends_within_its_turn_takes_nothing_with_it():
    for put_another in (True, False):
        handled: list[int] = []
        batcher = Batcher("test", handled.extend)
        loop = asyncio.new_event_loop()

        def put_and_stop(batcher: Batcher[int] = batcher, loop: asyncio.AbstractEventLoop = loop) -> None:
            batcher.put(1)
            loop.stop()

        loop.call_soon(put_and_stop)
        loop.run_forever()
        loop.close()
        if put_another:
            batcher.put(2)
        batcher.close()
        assert handled == ([1, 2] if put_another else [1])
