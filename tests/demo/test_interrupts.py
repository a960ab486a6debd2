"""Signals interrupt the demo only where that leaves nothing behind."""

from __future__ import annotations

import signal

import pytest

from bgrs_middleware.demo.interrupts import Interrupts


def test_signal_during_setup_is_remembered_until_it_is_allowed() -> None:
    reached = []
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        reached.append("setup done")
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            reached.append("never")
    assert reached == ["setup done"]


def test_only_the_first_signal_interrupts() -> None:
    reached = []
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.allowed():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            reached.append("cleaned up")
    assert reached == ["cleaned up"]


def test_signal_after_it_was_allowed_does_not_interrupt() -> None:
    with Interrupts() as interrupts:
        with interrupts.allowed():
            pass
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
