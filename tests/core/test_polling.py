"""Who asks far too fast is refused, and nobody else: the bucket alone, by a clock that the test sets."""

from __future__ import annotations

import secrets
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import PollingTooFast
from bgrs_middleware.models import Status
from bgrs_middleware.service.polling import BURST_SECONDS, Polling
from protocol.samples import RID, finished, record

RUNNING = record()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        return self.now


def passes(polling: Polling, identity: str | None = "me", rid: str = RID) -> bool:
    try:
        polling.check(record(rid=rid), identity)
    except PollingTooFast:
        return False
    return True


def test_a_burst_is_taken_and_then_one_poll_for_each_interval() -> None:
    clock = Clock()
    polling = Polling(4, clock=clock)
    assert [passes(polling) for _ in range(10)] == [True] * 8 + [False] * 2
    clock.now += 0.25
    assert [passes(polling) for _ in range(2)] == [True, False]
    clock.now += BURST_SECONDS
    assert [passes(polling) for _ in range(10)] == [True] * 8 + [False] * 2


@given(rate=st.floats(0.001, 1_000_000), pauses=st.lists(st.floats(0, 5), max_size=200))
def test_never_more_than_the_burst_and_the_rate_and_never_fewer_than_the_rate(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    polling = Polling(rate, clock=clock)
    passed = 0
    last_passed_at = float("-inf")
    for pause in pauses:
        clock.now += pause
        passed_now = passes(polling)
        passed += passed_now
        assert passed <= (clock.now - 5_000.0 + max(BURST_SECONDS, 1 / rate)) * rate + 1.01
        # Who leaves an interval between two polls is never refused.
        assert passed_now or clock.now - last_passed_at < 1 / rate * 1.000001
        last_passed_at = clock.now if passed_now else last_passed_at


def test_each_caller_and_each_request_has_its_own() -> None:
    polling = Polling(0.5, clock=Clock())
    assert passes(polling)
    assert not passes(polling)
    assert passes(polling, "another")
    assert passes(polling, None)
    assert passes(polling, "me", secrets.token_hex(16))
    assert not passes(polling, None)


def test_what_has_ended_is_never_refused_nor_remembered() -> None:
    polling = Polling(0.001, clock=Clock())
    for status in Status:
        if status.is_final:
            for _ in range(3):
                polling.check(record(status=status), "me")
    assert len(polling) == 0


def test_a_wait_of_an_interval_costs_nothing_and_a_shorter_one_does() -> None:
    polling = Polling(2, clock=Clock())
    for _ in range(50):
        polling.check(RUNNING, "me", 0.5)
    assert len(polling) == 0
    for _ in range(4):
        polling.check(RUNNING, "me", 0.4)
    with pytest.raises(PollingTooFast):
        polling.check(RUNNING, "me", 0.4)


def test_zero_is_no_limit() -> None:
    polling = Polling(0, clock=Clock())
    assert all(passes(polling) for _ in range(100))
    assert len(polling) == 0


@pytest.mark.parametrize(("rate", "seconds"), [(50.0, 1), (0.1, 10), (0.001, 1000)])
def test_the_refusal_says_when_to_ask_again(rate: float, seconds: int) -> None:
    """And then it works."""
    clock = Clock()
    polling = Polling(rate, clock=clock)
    just_queued = record(status=Status.QUEUED, queued_at=4e9)
    with pytest.raises(PollingTooFast) as caught:
        for _ in range(200):
            polling.check(just_queued, "me")
    assert (caught.value.retry_after_seconds, caught.value.rid) == (seconds, RID)
    clock.now += seconds
    polling.check(just_queued, "me")


def test_it_says_to_wait_as_long_as_the_other_answers_do() -> None:
    polling = Polling(0.5, clock=Clock())
    for_long = record(status=Status.QUEUED, queued_at=0.0)
    polling.check(for_long, "me")
    with pytest.raises(PollingTooFast) as caught:
        polling.check(for_long, "me")
    assert caught.value.retry_after_seconds == 30


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(2, 12))
def test_memory_is_bounded_whatever_is_asked_for(rids: list[int], most: int) -> None:
    polling = Polling(50, max_entries=most, clock=Clock())
    for rid in rids:
        assert passes(polling, "me", f"{rid:032x}") or rids.count(rid) > 100
        assert len(polling) <= most


def test_the_latest_are_remembered_where_there_are_too_many() -> None:
    polling = Polling(0.5, max_entries=10, clock=Clock())
    rids = [secrets.token_hex(16) for _ in range(100)]
    assert all(passes(polling, "me", rid) for rid in rids)
    assert not any(passes(polling, "me", rid) for rid in rids[-5:])


def test_what_says_nothing_any_more_is_forgotten() -> None:
    clock = Clock()
    polling = Polling(50, clock=clock)
    for _ in range(1_000):
        assert passes(polling, "me", secrets.token_hex(16))
    for _ in range(2):
        clock.now += BURST_SECONDS
        assert passes(polling)
    assert len(polling) == 1


def test_many_threads_get_no_more_than_one_would() -> None:
    polling = Polling(128, clock=Clock())
    passed: list[bool] = []
    threads = [threading.Thread(target=lambda: passed.extend([passes(polling) for _ in range(100)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 256


def test_a_finished_request_leaves_the_others_alone() -> None:
    polling = Polling(0.5, clock=Clock())
    assert passes(polling)
    polling.check(finished(), "me")
    assert not passes(polling)
