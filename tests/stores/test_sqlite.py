"""What the store promises of SQLite: durable, private, one writer at a time, and a reason when it cannot write."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event

from bgrs_middleware.errors import SettingsError, StoreUnavailable
from bgrs_middleware.stores.sql import SqlStore, sqlite
from stores.orders import a_finish, added, an_add, record, running
from stores.processes import SPAWN, hold_transaction, in_processes, use_read_only_folder


@pytest.fixture
def path(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    """A store that does not wait long for a lock."""
    store = SqlStore(sqlite_url, busy_seconds=0.05)
    store.open()
    yield store
    store.close()


def test_commits_are_flushed_and_what_is_deleted_is_overwritten(store: SqlStore) -> None:
    expected = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "busy_timeout": 50}

    def found(connection: Connection) -> dict[str, object]:
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected}

    with store._links().writing() as writer:
        assert found(writer) == expected
        assert writer.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == sqlite.COPY_BACK_PAGES
    assert store._links().read(found) == expected
    assert store._links().read(lambda connection: connection.exec_driver_sql("PRAGMA query_only").scalar()) == 1


def test_a_transaction_holds_the_write_lock_from_its_first_moment(store: SqlStore, path: Path) -> None:
    with store.transaction():
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_reading_holds_no_transaction_open(store: SqlStore, path: Path) -> None:
    """Else the log could never be copied back, and would grow without end."""
    added(store)
    store.count_queued()
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.close()


def test_folder_and_files_are_the_owners_alone_whatever_the_umask(sqlite_url: str, path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqlStore(sqlite_url)
        store.open()
        added(store)
        store.count_queued()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert {"bgrs.sqlite3", "bgrs.sqlite3-wal", "bgrs.sqlite3-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()


def test_a_folder_and_a_file_that_exist_keep_their_permissions(sqlite_url: str, path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.touch()
    path.chmod(0o640)
    store = SqlStore(sqlite_url)
    store.open()
    store.close()
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path.parent, path)] == [0o755, 0o640]


def test_nothing_is_opened_before_the_first_use(sqlite_url: str, path: Path) -> None:
    SqlStore(sqlite_url).close()
    assert not path.parent.exists()


def test_a_wiped_request_is_nowhere_in_the_files(store: SqlStore, path: Path) -> None:
    marker = b"sealed-marker-" * 2_000
    rid = running(store, sealed_request=marker)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid)])
    store.close()
    assert path.parent.is_dir()
    assert not [file for file in path.parent.iterdir() if b"sealed-marker-" in file.read_bytes()]


def test_a_lock_of_another_program_is_reported_and_over_when_it_is_gone(store: SqlStore, path: Path) -> None:
    [rid] = added(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        added(store)
    assert record(store, rid).rid == rid
    other.rollback()
    other.close()
    added(store)
    assert store.count_queued() == 2


@pytest.mark.parametrize("killed", [True, False])
def test_a_process_that_keeps_the_lock_is_reported_and_over_when_it_ends(
    store: SqlStore, sqlite_url: str, killed: bool
) -> None:
    added(store)
    inside, leave = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold_transaction, args=(sqlite_url, inside, leave))
    process.start()
    assert inside.wait(60)
    with pytest.raises(StoreUnavailable, match="another process"):
        added(store)
    assert store.count_queued() == 1
    if killed:
        process.kill()
    else:
        leave.set()
    process.join()
    added(store)
    assert store.count_queued() == (2 if killed else 3)


def test_a_read_only_folder_and_a_read_only_file_are_reported_and_over_when_they_are_not() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        [[of_folder, of_file]] = in_processes(1, use_read_only_folder, folder)
    assert of_folder == "The store's file cannot be opened or created."
    assert of_file == "The store is read-only. Nothing was recorded."


def test_a_full_disk_is_reported_and_leaves_nothing_half_recorded(store: SqlStore) -> None:
    [rid] = added(store)
    with store._links().writing() as writer:
        writer.exec_driver_sql(f"PRAGMA max_page_count = {writer.exec_driver_sql('PRAGMA page_count').scalar()}")
    orders = [an_add(), an_add(sealed_request=b"x" * 1_000_000)]
    with pytest.raises(StoreUnavailable, match="full"), store.transaction() as transaction:
        transaction.add(orders)
    assert set(store.get([rid, *(order.rid for order in orders)])) == {rid}
    with store.transaction() as transaction:  # on a new connection, which has room again
        transaction.add(orders)
    assert store.count_queued() == 3


def test_a_file_that_is_no_database_is_reported(sqlite_url: str, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"something else" * 1_000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqlStore(sqlite_url).open()
    assert path.read_bytes() == b"something else" * 1_000


def test_a_store_that_was_never_opened_says_so(sqlite_url: str) -> None:
    store = SqlStore(sqlite_url)
    with pytest.raises(StoreUnavailable, match="no tables"):
        store.count_queued()
    store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_sqlite_in_memory_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="memory://"):
        SqlStore(url)


def test_a_file_url_of_sqlites_own_works(path: Path) -> None:
    path.parent.mkdir()
    store = SqlStore(f"sqlite:///file:{path}?mode=rwc&uri=true")
    store.open()
    added(store)
    assert (store.count_queued(), path.exists()) == (1, True)
    store.close()


def test_an_engine_of_the_application_keeps_its_pool_and_its_transactions(sqlite_url: str, path: Path) -> None:
    path.parent.mkdir()
    engine = create_engine(sqlite_url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    opened: list[object] = []
    event.listen(engine, "connect", lambda connection, _: opened.append(connection))
    with engine.connect() as mine:
        store = SqlStore(engine)
        store.open()
        added(store)
        assert store.count_queued() == 1
        assert mine.connection.driver_connection is not None
        assert mine.connection.driver_connection.isolation_level == ""
        store.close()
    assert len(opened) == 3, "the application's own way to connect, for its connection and for both of the store"
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]  # a QueuePool, which has it
    engine.dispose()


@pytest.mark.parametrize(
    "name",
    [
        "claimable",
        "expirable",
        "abandoned",
        "wipeable",
        "outdated",
        "backlog",
        "count_queued",
        "queue_ends",
        "page",
        "details",
        "count_by_owner",
        "held",
    ],
)
def test_no_question_goes_through_all_records(store: SqlStore, name: str) -> None:
    """Each is answered by an index, so a store with a million records answers as fast as an empty one."""
    make = getattr(store._statements, name)
    statement = make(4) if name in ("count_by_owner", "held") else make()
    parameters = tuple(range(statement.sql.count("?")))
    plan = store._links().read(
        lambda connection: connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.sql}", parameters).fetchall()
    )
    steps = [row[3] for row in plan]
    assert [step for step in steps if "USING" in step and "INDEX" in step]
    assert not [step for step in steps if step.startswith("SCAN") and "INDEX" not in step and "CONSTANT" not in step]
    assert not [step for step in steps if "USING INTEGER PRIMARY KEY (rowid>" in step]
