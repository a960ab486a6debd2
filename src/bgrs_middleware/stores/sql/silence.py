"""A connection whose other end has fallen silent: found, and cut, so that nobody waits for it for ever.

A database server that is frozen, or a network that swallows everything, never says that it is gone. PostgreSQL's
drivers wait without a limit, so a thread of ours looks after them: it shuts the socket of a connection that has not
answered for too long, and the driver finds it closed, as after any other loss. What the server itself is asked for in
time, and what the kernel notices, stands here too. SQLite has no other end, and needs none of this.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType

from sqlalchemy import Connection

SILENT_SECONDS = 15.0
"""Nothing that the ledger or the reader asks for takes a tenth of this. Two of them, and the time to connect, are less
than the two thirds of a lease after which a worker stops what it runs."""

PATIENT_SECONDS = 600.0
"""For what may go through a large table: an upgrade, a purge."""

LOOK_SECONDS = 1.0

POSTGRES_ARGUMENTS: Mapping[str, int] = MappingProxyType(
    {
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
)
"""How libpq's connections find out that the other host is gone; seconds, but for the last one, milliseconds."""

POSTGRES_LIMITS = """
SELECT set_config(wanted.name, wanted.value, false)
FROM (VALUES ('lock_timeout', '10s'), ('idle_in_transaction_session_timeout', '30s')) AS wanted (name, value)
WHERE current_setting(wanted.name) = '0'
UNION ALL
SELECT set_config(wanted.name, wanted.value, false)
FROM (VALUES ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'))
    AS wanted (name, value)
WHERE current_setting(wanted.name)::integer > wanted.value::integer
"""
"""What the server sees to, where nobody set it otherwise: waiting for a lock ends in words, before the connection is
cut for it; the locks of a process that is frozen, or was cut off, in the middle of a transaction are freed; and a host
that is gone is noticed in seconds and not in hours. (By a socket of Unix's kind, all of these are 0.)"""

logger = logging.getLogger("bgrs_middleware.store")


class Socket:
    """A second handle on a connection's socket, by which another thread can shut it; never used to read or write.

    Parameters:
        connection: open. One whose driver does not show its socket cannot be shut from outside.
    """

    def __init__(self, connection: Connection) -> None:
        self._handle: socket.socket | None = None
        fileno = getattr(connection.connection.driver_connection, "fileno", None)
        if fileno is not None:
            self._handle = socket.socket(fileno=os.dup(fileno()))

    def shut(self) -> None:
        """End the connection under whoever waits for it."""
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the handle back; the connection is as it was."""
        if self._handle is not None:
            self._handle.close()


class Silence:
    """How long one connection has been waiting for its other end."""

    def __init__(self) -> None:
        self.socket: Socket | None = None
        self.is_suspect = False
        """Whether another connection to the same database has been silent for too long since this one was opened."""
        self._until: float | None = None

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[None]:
        """The connection is cut when the block takes longer."""
        self._until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until = None

    @property
    def is_over(self) -> bool:
        """Whether it has been silent for too long."""
        until = self._until
        return until is not None and self.socket is not None and time.monotonic() > until

    def end(self) -> None:
        """Cut the connection, if it is still silent."""
        socket_ = self.socket
        if self.is_over and socket_ is not None:
            self._until = None
            logger.warning("The store's database has not answered for too long; its connection is cut.")
            socket_.shut()


class SilenceWatch:
    """The thread that looks after some connections. It starts with `start`, and not in the constructor."""

    def __init__(self, *silences: Silence) -> None:
        self._silences = silences
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. Idempotent; by one thread at a time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="bgrs-silence", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            over = [silence for silence in self._silences if silence.is_over]
            if over:
                # What befell one has probably befallen all, and each would be waited for in its turn. Told before one
                # is cut: whoever waited for it may have a new connection a moment later.
                for silence in self._silences:
                    silence.is_suspect = True
            for silence in over:
                silence.end()
