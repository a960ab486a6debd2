"""What SQLite needs beside SQL: a private file, the pragmas, and one writer at a time among all processes.

SQLite lets a process that wants to write poll with growing pauses, and copies its log back into the file (checkpoint)
after the write lock is given back. With a lock of our own around both, processes take turns within milliseconds, and no
checkpoint meets a commit: before 3.51.3 that can, very rarely, lose data (sqlite.org/wal.html, "The WAL-reset bug").
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from sqlalchemy import URL, Connection

from ...errors import SettingsError, StoreUnavailable

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: SQLite's own lock does, with its longer pauses.
    fcntl = None

MIB = 1024 * 1024

COPY_BACK_PAGES = 4_000
"""At which length the log is copied back into the file; a page has 4 KiB. SQLite's own 1,000 are a moment's accepts;
more at a time are fewer in all, as pages of indexes are written again and again."""

LOG_LIMIT_BYTES = 64 * MIB
"""How long the log may become; see `log.py`. What was longer is cut down to this when it begins anew."""

SHORTEST_PAUSE_SECONDS = 0.0002
LONGEST_PAUSE_SECONDS = 0.005


def file_of(url: URL) -> Path | None:
    """The absolute path of an SQLite URL's file; None where the URL is in SQLite's own `file:` form.

    Raises:
        SettingsError: the URL means a database in memory, which two connections cannot share.
    """
    name = url.database or ""
    if name in ("", ":memory:") or "mode=memory" in name or url.query.get("mode") == "memory":
        raise SettingsError("store: SQLite in memory cannot be shared by two connections; use 'memory://' instead")
    return None if name.startswith("file:") else Path(name).absolute()


def create_file(path: Path) -> None:
    """Create the file, readable by its owner alone, and its folder, where they are missing.

    What exists keeps its permissions. SQLite gives its log the permissions of the file.

    Raises:
        StoreUnavailable: they cannot be created.
    """
    try:
        _create_folder(path.parent)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            _flush_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(reason="The store's file cannot be opened or created.") from error


def _create_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def prepare(connection: Connection, *, writer: bool, busy_seconds: float) -> None:
    """Set a new connection up. Transactions are begun in words from now on, never by the driver."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.isolation_level = None
    pragmas = [
        f"busy_timeout = {int(busy_seconds * 1000)}",
        "synchronous = FULL",
        "fullfsync = ON",
        "secure_delete = ON",
        f"cache_size = -{32 * 1024}",
        # An INSERT of many rows keeps a journal of its own, which would be a file made and removed each time.
        "temp_store = MEMORY",
        # Copying pages from the kernel's cache took 80 us for each status read from a million records, this takes 7.
        # Most builds of SQLite map no more than this.
        f"mmap_size = {2048 * MIB}",
        f"wal_autocheckpoint = {COPY_BACK_PAGES}",
        f"journal_size_limit = {LOG_LIMIT_BYTES}",
    ]
    pragmas.append("journal_mode = WAL" if writer else "query_only = ON")
    for pragma in pragmas:
        connection.exec_driver_sql(f"PRAGMA {pragma}").close()
    connection.rollback()


class Turn:
    """The right to write, among all processes that use one file.

    A lock of POSIX's kind: it ends with its process however that ends, and a forked child does not inherit it.

    Parameters:
        path: of a file beside the database; created where it is missing.
        wait_seconds: how long to wait for it.
    """

    def __init__(self, path: Path, wait_seconds: float) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._handle: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold it for the block. By one thread of a process at a time.

        Raises:
            StoreUnavailable: another process kept it for `wait_seconds`, or the file cannot be opened.
        """
        if fcntl is None:
            yield
            return
        handle = self._open()
        self._lock(fcntl, handle)
        try:
            yield
        finally:
            fcntl.lockf(handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give back the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            try:
                _create_folder(self._path.parent)
                self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            except OSError as error:
                raise StoreUnavailable(reason="The store's file cannot be opened or created.") from error
        return self._handle

    def _lock(self, locks: ModuleType, handle: int) -> None:
        deadline = time.monotonic() + self._wait_seconds
        pause_seconds = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                locks.lockf(handle, locks.LOCK_EX | locks.LOCK_NB)
                return
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(reason="The store is locked by another process.") from error
            time.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
