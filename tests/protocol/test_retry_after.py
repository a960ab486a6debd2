"""After how many seconds to ask again: what it says for plain cases, and what holds for all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.models import Record, Status
from bgrs_middleware.protocol import replies
from bgrs_middleware.protocol.message import Reply
from bgrs_middleware.protocol.retry_after import retry_after_seconds
from protocol.samples import finished, record, request_head, value

UNFINISHED = [status for status in Status if not status.is_final]
times = st.floats(0, 4e9)
durations = st.floats(0, 1e9)
percents = st.floats(0, 100)
known_percents = st.floats(0, 100, exclude_min=True)


@pytest.mark.parametrize(
    ("waited", "seconds"),
    [(-5.0, 1), (0.0, 1), (9.9, 1), (14.0, 1), (30.0, 3), (104.0, 10), (299.0, 30), (301.0, 30), (1e9, 30)],
)
def test_it_grows_with_the_time_it_takes(waited: float, seconds: int) -> None:
    queued = record(status=Status.QUEUED, created_at=0.0, queued_at=1_000.0)
    assert retry_after_seconds(queued, 1_000.0 + waited) == seconds
    running = record(queued_at=0.0, started_at=1_000.0)
    assert retry_after_seconds(running, 1_000.0 + waited) == seconds


@pytest.mark.parametrize(
    ("progress", "ran", "seconds"),
    [
        (50.0, 4.0, 4),
        (90.0, 90.0, 10),
        (10.0, 100.0, 30),
        (99.9, 1.0, 1),
        (100.0, 500.0, 1),
        (0.0, 50.0, 5),
        (50.0, -3.0, 1),
    ],
)
def test_it_is_the_time_left_where_progress_is_known(progress: float, ran: float, seconds: int) -> None:
    running = record(started_at=1_000.0, progress=progress)
    assert retry_after_seconds(running, 1_000.0 + ran) == seconds


def test_a_batch_that_nobody_started_counts_from_when_it_was_queued() -> None:
    batch = record(queued_at=1_000.0, started_at=None, batch_items=4, progress=75.0)
    assert retry_after_seconds(batch, 1_060.0) == 20


def test_what_is_told_to_stop_is_asked_for_soon_however_long_it_ran() -> None:
    stopping = record(status=Status.CANCELLING, started_at=0.0, progress=1.0, updated_at=5_000.0)
    assert [retry_after_seconds(stopping, 5_000.0 + gone) for gone in (0.0, 40.0, 900.0)] == [1, 4, 30]


def test_what_runs_again_counts_from_when_it_was_queued_again() -> None:
    again = record(status=Status.QUEUED, created_at=0.0, queued_at=5_000.0, started_at=10.0, progress=2.0)
    assert retry_after_seconds(again, 5_001.0) == 1


@given(
    status=st.sampled_from(Status),
    moments=st.tuples(times, times, st.none() | times),
    progress=st.none() | st.floats(),
    now=times,
)
def test_it_is_always_from_1_to_30(
    status: Status, moments: tuple[float, float, float | None], progress: float | None, now: float
) -> None:
    queued_at, updated_at, started_at = moments
    one = record(status=status, queued_at=queued_at, updated_at=updated_at, started_at=started_at, progress=progress)
    seconds = retry_after_seconds(one, now)
    assert type(seconds) is int
    assert 1 <= seconds <= 30


@given(
    status=st.sampled_from(UNFINISHED),
    progress=st.none() | percents,
    started_at=times,
    elapsed=st.tuples(durations, durations).map(sorted),
)
def test_it_never_shrinks_as_time_goes_by_without_progress(
    status: Status, progress: float | None, started_at: float, elapsed: list[float]
) -> None:
    one = record(status=status, queued_at=started_at, updated_at=started_at, started_at=started_at, progress=progress)
    sooner, later = (retry_after_seconds(one, started_at + gone) for gone in elapsed)
    assert sooner <= later


@given(started_at=times, elapsed=durations, progress=st.tuples(known_percents, known_percents).map(sorted))
def test_it_never_grows_with_progress(started_at: float, elapsed: float, progress: list[float]) -> None:
    less, more = (
        retry_after_seconds(record(started_at=started_at, progress=each), started_at + elapsed) for each in progress
    )
    assert less >= more


@given(started_at=times, back=durations, progress=st.none() | percents, status=st.sampled_from(UNFINISHED))
def test_a_clock_that_was_set_back_is_a_wait_that_just_began(
    started_at: float, back: float, progress: float | None, status: Status
) -> None:
    one = record(status=status, queued_at=started_at, updated_at=started_at, started_at=started_at, progress=progress)
    assert retry_after_seconds(one, started_at - back) == 1


@given(ran=st.floats(1, 1e6), progress=st.floats(1, 99))
def test_who_asks_then_finds_it_ended_if_it_went_on_at_that_pace(ran: float, progress: float) -> None:
    seconds = retry_after_seconds(record(started_at=0.0, progress=progress), ran)
    left = ran / progress * 100.0 - ran
    assert seconds == 30 or seconds >= math.floor(left)


REPLIES: list[Callable[[Record, float], Reply]] = [
    lambda one, now: replies.status_reply(one, request_head(), now),
    lambda one, now: replies.status_reply(one, request_head(headers=((b"if-none-match", b"*"),)), now),
    lambda one, now: replies.not_ready(one, request_head(), now),
    lambda one, now: replies.cancel_reply(one, request_head("POST"), now),
]


@pytest.mark.parametrize("make", REPLIES)
@pytest.mark.parametrize("status", UNFINISHED)
def test_every_answer_that_is_not_final_says_it(make: Callable[[Record, float], Reply], status: Status) -> None:
    times_of: dict[str, Any] = {"queued_at": 1_000.0, "started_at": 1_000.0, "updated_at": 1_000.0}
    assert value(make(record(status=status, **times_of), 1_120.0), b"retry-after") == b"12"


@pytest.mark.parametrize("make", REPLIES)
def test_no_final_answer_says_it(make: Callable[[Record, float], Reply]) -> None:
    assert value(make(finished(), 2e9), b"retry-after") is None
