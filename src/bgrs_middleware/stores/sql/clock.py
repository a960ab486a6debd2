"""The clock that leases are measured with: the database server's where several hosts share one, else this host's own.

The server is asked now and then, and the host's clock since its start fills the time between: so reading it is free,
and whoever sets the clock of one host moves nobody's leases.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

_QUESTIONS = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
    "mariadb": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}
"""What the time is, in the words of each server. Core has none for it that all of them understand."""


class LeaseClock:
    """The server's time in seconds, as far as it is known.

    Parameters:
        host_now: the host's own clock.
    """

    def __init__(self, host_now: Callable[[], float]) -> None:
        self._host_now = host_now
        self._ahead = 0.0

    def now(self) -> float:
        """The time; the host's own until `measure` was called first."""
        return self._host_now() + self._ahead

    def measure(self, connection: Connection) -> None:
        """Ask the server. Does nothing where the database has no server."""
        question = _QUESTIONS.get(connection.dialect.name)
        if question is None:
            return
        asked = self._host_now()
        seconds = float(connection.exec_driver_sql(question).scalar_one())
        # Half of the way there and back: the server read its clock somewhere between.
        self._ahead = seconds - (asked + self._host_now()) / 2
