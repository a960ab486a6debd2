"""SQLite's write-ahead log, kept short by whoever writes.

SQLite copies it back at every 16 MiB, and begins it anew when a commit finds nobody reading in it. Readers that follow
each other without a pause can keep that from happening for as long as they go on. Then who writes waits for them, for a
moment and in its turn to write: as all is copied back, those who come meanwhile read past the log, and the last of the
others is soon done. One who never is (a program with a transaction left open) is not waited for again and again; then
the log grows, and the checks say so.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from .sqlite import LOG_LIMIT_BYTES

WAIT_SECONDS = 0.25
"""How long to wait for readers. Longer than any question of ours takes."""

PAUSE_SECONDS = 10.0
"""How long to leave it be where a reader did not end in that time."""

logger = logging.getLogger("bgrs_middleware.store")


class Log:
    """The log of one file, as one process's writer sees it.

    Parameters:
        path: of the database.
        busy_seconds: how long the connection waits for locks otherwise.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = str(path) + "-wal"
        self._busy_seconds = busy_seconds
        self._next = float("-inf")

    def keep_short(self, connection: Connection) -> bool:
        """Cut it off where it is too long. After a commit, in our turn to write. Never raises: the commit stands.

        Returns:
            Whether the connection can be used further.
        """
        if self._size() <= LOG_LIMIT_BYTES or time.monotonic() < self._next:
            return True
        try:
            if not self._cut(connection):
                self._next = time.monotonic() + PAUSE_SECONDS
        except SQLAlchemyError as error:
            logger.warning("SQLite's log could not be copied back: %s", error)
            self._next = time.monotonic() + PAUSE_SECONDS
            return False
        return True

    def _size(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def _cut(self, connection: Connection) -> bool:
        _wait_for(connection, WAIT_SECONDS)
        [(is_busy, _, _)] = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        _wait_for(connection, self._busy_seconds)
        # SQLAlchemy began a transaction of its own accord; the next one begins in words.
        connection.rollback()
        return not is_busy


def _wait_for(connection: Connection, seconds: float) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(seconds * 1000)}").close()
