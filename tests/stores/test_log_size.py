"""SQLite's write-ahead log: bounded however much is written and read, as long as nobody holds on to an old state."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bgrs_middleware.stores.sql import SqlStore, checks, sqlite
from bgrs_middleware.stores.sql import log as module
from stores.orders import added

MIB = 1024 * 1024
LIMIT = 8 * MIB
COMMIT = MIB
"""More than one commit of these tests adds to the log."""
COMMITS = 100
ROWS = 5
ROW = b"x" * 60_000
"""In all 30 MB."""

READING = """
import sys, threading
from bgrs_middleware.stores.sql import SqlStore
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
store = SqlStore(sys.argv[1])
rids = sys.argv[2].split(",")
print("here", flush=True)
while not over.is_set():
    assert len(store.get(rids)) == len(rids)
    store.backlog()
store.close()
"""


@pytest.fixture
def log(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///") + "-wal")


@pytest.fixture(autouse=True)
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in (module, sqlite):
        monkeypatch.setattr(where, "LOG_LIMIT_BYTES", LIMIT)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url)
    store.open()
    yield store
    store.close()


def longest_while_writing(store: SqlStore, log: Path, commits: int = COMMITS) -> int:
    """How long the log was at the most, in bytes."""
    longest = 0
    for _ in range(commits):
        added(store, ROWS, sealed_request=ROW)
        longest = max(longest, log.stat().st_size)
    return longest


def test_the_log_stays_short_while_other_processes_never_stop_reading(
    sqlite_url: str, store: SqlStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wait for readers it comes to three times this length, and goes on growing."""
    # However slow this machine is just now.
    monkeypatch.setattr(module, "WAIT_SECONDS", 60.0)
    rids = added(store, 500)
    command = [sys.executable, "-c", READING, sqlite_url, ",".join(rids)]
    with ExitStack() as stack:
        readers = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(3)
        ]
        for reader in readers:
            assert reader.stdout.readline() == "here\n"
        longest = longest_while_writing(store, log)
        for reader in readers:
            reader.stdin.close()
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert longest < LIMIT + COMMIT


def test_one_who_holds_an_old_state_makes_it_grow_and_it_is_cut_when_they_let_go(
    store: SqlStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No store could prevent that: the log is what the other one reads. Hence the advice."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(checks, "LONG_LOG_BYTES", LIMIT)
    with closing(sqlite3.connect(str(log).removesuffix("-wal"), isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM bgrs_request").fetchone()
        assert longest_while_writing(store, log) > 3 * LIMIT
        assert [advice for advice in store.advice() if "has grown to" in advice.text]
        other.execute("COMMIT")
    longest_while_writing(store, log, commits=2)
    assert log.stat().st_size <= LIMIT
    assert not [advice for advice in store.advice() if "has grown to" in advice.text]


def test_who_does_not_let_go_is_waited_for_once_in_a_while(
    store: SqlStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = module.Log._cut
    outcomes: list[bool] = []

    def count(self: module.Log, *arguments: object) -> bool:
        outcomes.append(cut(self, *arguments))  # type: ignore[arg-type]  # as it was called
        return outcomes[-1]

    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(module.Log, "_cut", count)
    with closing(sqlite3.connect(str(log).removesuffix("-wal"), isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM bgrs_request").fetchone()
        longest_while_writing(store, log)
        assert outcomes == [False]
        monkeypatch.setattr(store._links()._log, "_next", 0.0)
        other.execute("COMMIT")
        added(store)
    assert outcomes == [False, True]
    assert log.stat().st_size == 0


def test_a_log_that_cannot_be_cut_does_not_undo_the_commit(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOG_LIMIT_BYTES", 0)
    monkeypatch.setattr(module, "_wait_for", lambda connection, _: connection.exec_driver_sql("nonsense"))
    rids = added(store, 2)
    assert "could not be copied back" in caplog.text
    monkeypatch.undo()
    assert set(store.get(rids)) == set(rids)
    added(store)
    assert store.count_queued() == 3


def test_the_wait_for_locks_is_as_it_was_before(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_LIMIT_BYTES", 0)
    added(store)
    with store._links().writing() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
