"""The advice on where data live: in the log, once, and of no hindrance; never in an answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from bgrs_middleware.advice import Advice
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import checks

LOGGER = "bgrs_middleware.checks"


class AdvisedStore(MemoryStore):
    """A store with a piece of advice, or one that raises what no store should."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error

    def advice(self) -> Sequence[Advice]:
        if self.error is not None:
            raise self.error
        return [Advice(text="The store lies in /somewhere/odd.")]


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == LOGGER]


def test_it_is_logged_once_when_the_store_is_opened(open_door, caplog: pytest.LogCaptureFixture) -> None:
    door = open_door(store=AdvisedStore())
    for _ in range(3):
        assert door.get("/bgrs/health").status == 200
        door.ended(door.ask("/items"))
    assert said(caplog) == [(logging.WARNING, "The store lies in /somewhere/odd.")]
    assert b"somewhere" not in door.get("/bgrs/health").body


def test_a_default_installation_hears_nothing_above_info(
    open_door, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    open_door().get("/bgrs")
    assert all(level == logging.INFO and "WAL-reset" in text for level, text in said(caplog))


@pytest.mark.parametrize("error", [OSError("hangs"), KeyError("a fault of the store's")])
def test_a_check_that_fails_keeps_nobody_from_the_work(
    open_door, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    door = open_door(store=AdvisedStore(error))
    assert door.result(door.ask("/items")).status == 200
    assert said(caplog) == []


def test_a_check_of_sqlites_that_fails_keeps_nobody_from_the_work(open_door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a check that is wrong")

    for name in ("wal_reset", "weak_synchronous", "on_network", "long_log"):
        monkeypatch.setattr(checks, name, fails)
    door = open_door()
    assert door.result(door.ask("/items")).status == 200
