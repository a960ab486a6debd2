"""What a lost connection may have left behind: a process of PostgreSQL's that still holds the locks of a transaction.

The server learns late that nobody is there any more, and between two parts of one pipeline it waits for ever. Claims
pass over the rows that it holds, so they would wait as long. Whoever connects anew ends what it had before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

LATE_SECONDS = 0.5
"""By how much the server may read its clock later than we did. What is left of a silent connection is far older."""

_BACKEND = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")

# A pool in between may have given the same process to somebody else. Theirs is a transaction that began since.
_END = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid AND backend_start = :backend_start"
    " AND xact_start < clock_timestamp() - make_interval(secs => :lost_seconds)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backend:
    """The server's process for one connection; a number alone may be given again."""

    pid: int
    backend_start: Any


class Leftover:
    """The server's process of the connection that one link had last."""

    def __init__(self) -> None:
        self._backend: _Backend | None = None
        self._lost_at = 0.0

    def lose(self) -> None:
        """The connection is no longer used."""
        self._lost_at = time.monotonic()

    def replace(self, connection: Connection) -> None:
        """End what is left of the last connection, and remember this one instead.

        Raises:
            SQLAlchemyError: the server cannot be asked.
        """
        last = self._backend
        if last is not None:
            lost_seconds = time.monotonic() - self._lost_at + LATE_SECONDS
            wanted = {"pid": last.pid, "backend_start": last.backend_start, "lost_seconds": lost_seconds}
            connection.execute(_END, wanted)
        pid, backend_start = connection.execute(_BACKEND).one()
        self._backend = _Backend(pid=pid, backend_start=backend_start)
