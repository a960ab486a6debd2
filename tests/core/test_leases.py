"""Whose lease is over: by a clock for all, and by none that somebody has just set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgrs_middleware.models import Record
from bgrs_middleware.service.leases import LONGEST_LEASES, Leases
from bgrs_middleware.settings import Settings
from protocol import samples
from stores.state_stage import Clocks

SETTINGS = Settings()
LEASE = SETTINGS.lease_seconds
NOTICE = SETTINGS.sweep_seconds + 2 * SETTINGS.heartbeat_seconds
HOUR, YEAR = 3_600.0, 365 * 86_400.0


def held_until(lease_until: float | None) -> Record:
    return replace(samples.record(), worker="another", lease_until=lease_until)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def leases(clocks: Clocks) -> Leases:
    return Leases(SETTINGS, clocks.lease_now, clocks.monotonic)


def test_a_lease_is_over_when_its_time_is(clocks: Clocks, leases: Leases) -> None:
    record = held_until(clocks.lease_now() + LEASE)
    assert not leases.is_over(record)
    clocks.elapsed += LEASE
    assert not leases.is_over(record)
    clocks.elapsed += 0.001
    assert leases.is_over(record)
    assert leases.is_over(held_until(None))


def test_a_lease_that_no_worker_can_have_given_itself_is_over(clocks: Clocks, leases: Leases) -> None:
    """It is of a time before the host was started anew."""
    assert not leases.is_over(held_until(clocks.lease_now() + LONGEST_LEASES * LEASE))
    assert leases.is_over(held_until(clocks.lease_now() + LONGEST_LEASES * LEASE + 0.001))


@pytest.mark.parametrize("step", [-YEAR, -HOUR, HOUR, YEAR])
def test_nobody_is_taken_for_dead_by_a_clock_that_was_set(
    clocks: Clocks, leases: Leases, step: float, caplog: pytest.LogCaptureFixture
) -> None:
    of_the_living, of_the_dead = held_until(clocks.lease_now() + LEASE), held_until(clocks.lease_now() + LEASE)
    clocks.lease_ahead += step
    assert not leases.is_over(of_the_living)
    clocks.elapsed += NOTICE - 0.001
    assert not leases.is_over(of_the_living)
    # By now, who lives has read the clock, and renewed its lease by it.
    clocks.elapsed += 0.001
    assert not leases.is_over(held_until(clocks.lease_now() + LEASE))
    assert leases.is_over(of_the_dead)
    assert caplog.text.count("was set by") == 1


def test_two_steps_are_two(clocks: Clocks, leases: Leases) -> None:
    record = held_until(clocks.lease_now() - 1)
    for step in (HOUR, -HOUR):
        clocks.lease_ahead += step
        assert not leases.can_tell()
    clocks.elapsed += NOTICE
    assert leases.is_over(record)


def test_a_clock_that_drifts_is_believed(clocks: Clocks, leases: Leases) -> None:
    record = held_until(clocks.lease_now() - 1)
    for _ in range(10):
        clocks.elapsed += SETTINGS.sweep_seconds
        clocks.lease_ahead += 1.0
        assert leases.is_over(record)
