"""Pending: a value delivered by one thread, awaited on a loop or waited for in another thread."""

from __future__ import annotations

import asyncio
import threading
from unittest.mock import Mock

import pytest

from bgrs_middleware.pending import Pending, deliver, in_background, in_thread, on_loop


async def double(pending: Pending[int]) -> int:
    return 2 * await pending


def in_a_thread(target, *arguments):
    thread = threading.Thread(target=target, args=arguments)
    thread.start()
    return thread


def test_a_value_that_is_there_needs_no_waiting():
    assert in_thread(double(Pending.of(4))) == 8
    assert asyncio.run(on_loop(double(Pending.of(4)))) == 8


def test_a_value_delivered_later_is_awaited_on_a_loop():
    async def story() -> int:
        pending: Pending[int] = Pending()
        thread = in_a_thread(pending.set, 21)
        value = await on_loop(double(pending))
        thread.join()
        return value

    assert asyncio.run(story()) == 42


def test_a_value_delivered_later_is_waited_for_in_a_thread():
    pending: Pending[int] = Pending()
    waits = threading.Event()

    class Watched(Pending[int]):
        def _wait(self) -> None:
            waits.set()
            super()._wait()

    watched = Watched()
    results: list[int] = []
    thread = in_a_thread(lambda: results.append(in_thread(double(watched))))
    assert waits.wait(10)
    watched.set(5)
    thread.join(10)
    assert results == [10]
    assert not pending.is_there


def test_an_error_is_raised_where_the_value_is_awaited():
    pending: Pending[int] = Pending()
    pending.fail(KeyError("gone"))
    with pytest.raises(KeyError):
        in_thread(double(pending))
    with pytest.raises(KeyError):
        asyncio.run(on_loop(double(pending)))


def test_the_first_delivery_counts():
    pending: Pending[int] = Pending()
    pending.set(1)
    pending.set(2)
    pending.fail(KeyError("late"))
    assert pending.result() == 1


def test_a_batch_wakes_each_loop_once(monkeypatch):
    async def story() -> int:
        loop = asyncio.get_running_loop()
        wakings = Mock(wraps=loop.call_soon_threadsafe)
        pendings: list[Pending[int]] = [Pending() for _ in range(50)]
        tasks = [asyncio.ensure_future(on_loop(double(pending))) for pending in pendings]
        await asyncio.sleep(0)  # lets the tasks run up to their await
        monkeypatch.setattr(loop, "call_soon_threadsafe", wakings)
        deliver([(pending, number, None) for number, pending in enumerate(pendings)])
        assert await asyncio.gather(*tasks) == [2 * number for number in range(50)]
        return wakings.call_count

    assert asyncio.run(story()) == 1


def test_cancelling_reaches_the_coroutine_where_it_stands():
    seen: list[str] = []

    async def story(pending: Pending[int]) -> None:
        try:
            await pending
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> None:
        task = asyncio.ensure_future(on_loop(story(Pending())))
        await asyncio.sleep(0)  # lets the task run up to its await
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled"]


def test_a_closed_loop_has_nobody_left_to_tell():
    pending: Pending[int] = Pending()

    async def leave() -> None:
        task = asyncio.ensure_future(on_loop(double(pending)))
        await asyncio.sleep(0)  # lets the task run up to its await
        task.cancel()

    asyncio.run(leave())
    pending.set(3)
    assert pending.result() == 3


def test_a_callback_is_called_by_the_delivering_thread_or_at_once():
    calls: list[tuple[int, str]] = []
    pending: Pending[int] = Pending()
    pending.then(lambda done: calls.append((done.result(), threading.current_thread().name)))
    thread = threading.Thread(target=pending.set, args=(7,), name="deliverer")
    thread.start()
    thread.join()
    pending.then(lambda done: calls.append((done.result(), "at once")))
    assert calls == [(7, "deliverer"), (7, "at once")]


def test_a_story_in_the_background_goes_on_whenever_its_values_come():
    first: Pending[int] = Pending()
    second: Pending[int] = Pending()
    told: list[object] = []

    async def story() -> None:
        told.append(await first)
        told.append(await second)

    in_background(story(), lambda: told.append("done"))
    assert told == []
    first.set(1)
    assert told == [1]
    second.set(2)
    assert told == [1, 2, "done"]


def test_a_callback_that_fails_is_logged_and_keeps_the_next_answer_from_nobody(caplog):
    first: Pending[int] = Pending()
    second: Pending[int] = Pending()

    def fail(done: Pending[int]) -> None:
        raise ZeroDivisionError

    first.then(fail)
    deliver([(first, 0, None), (second, 2, None)])
    assert second.result() == 2
    assert "ZeroDivisionError" in caplog.text
