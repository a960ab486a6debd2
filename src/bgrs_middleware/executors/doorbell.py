"""How an accept wakes the workers of the same host at once: each worker has a bell, and who queued something rings all.

A bell is a FIFO in the data directory: its worker sleeps in a read, a ring is one byte that never blocks the one who
rings. Bells are hints like all others: one that is lost, or cannot be made, costs the second until the worker's next
look into the store. Workers on other hosts have that look alone.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..settings import Settings

SUFFIX = ".fifo"
LOOK_SECONDS = 1.0

logger = logging.getLogger("bgrs_middleware.workers")


def folder_of_bells(settings: Settings) -> str:
    """The folder in which all workers of the host have their bells."""
    return os.path.join(settings.data_dir, "workers")


class Doorbell:
    """The bell of one worker.

    Parameters:
        folder: where all bells hang; created if it is not there.
        rung: called after one or more rings, in a thread of the bell's own; must not raise.
    """

    def __init__(self, folder: str, rung: Callable[[], None]) -> None:
        self._folder = folder
        self._rung = rung
        self._name = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._writer: int | None = None

    def open(self) -> bool:
        """Hang it up and listen. False where this host cannot (a file system without FIFOs, no right to write)."""
        try:
            reader, writer = self._hang_up()
        except (OSError, AttributeError) as error:
            logger.warning("This worker cannot be woken, and looks for work once a second: %s", error)
            return False
        self._writer = writer
        threading.Thread(target=self._listen, args=(reader, writer), name="bgrs-doorbell", daemon=True).start()
        return True

    def close(self) -> None:
        """Take it down. Idempotent; does not wait for a call of `rung` that is under way."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                with suppress(OSError):
                    os.unlink(os.path.join(self._folder, self._name + SUFFIX))
                # The last ring: the listener finds the bell taken down. One that is full rings anyway.
                with suppress(BlockingIOError):
                    os.write(writer, b"\0")

    def _hang_up(self) -> tuple[int, int]:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        # Someone listens before it has its name: a bell that nobody listens to is a dead worker's, and is removed.
        hidden = os.path.join(self._folder, f".{self._name}")
        os.mkfifo(hidden, 0o600)
        ends: list[int] = []
        try:
            ends.append(os.open(hidden, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            # An end of its own to ring it: as long as that is open, a read waits, whoever else comes and goes.
            ends.append(os.open(hidden, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            os.set_blocking(ends[0], True)
            os.rename(hidden, os.path.join(self._folder, self._name + SUFFIX))
        except OSError:
            for end in ends:
                os.close(end)
            os.unlink(hidden)
            raise
        return ends[0], ends[1]

    def _listen(self, reader: int, writer: int) -> None:
        while True:
            # Many rings are one: whoever is woken looks for all there is.
            os.read(reader, 65_536)
            with self._lock:
                if self._writer is None:
                    break
            self._rung()
        os.close(writer)
        os.close(reader)


class Ringer:
    """Rings the bells of all workers of the host. Safe for use from several threads.

    It keeps them open, so that a ring is a write for each. It looks for new ones when the folder has changed, and once
    a second in any case, because a change within a tick of the file system's clock cannot be seen.

    Parameters:
        folder: where all bells hang.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._bells: dict[str, int] = {}
        self._changed_ns = 0
        self._looks_at = 0.0
        self._keeps_open = True

    def ring(self) -> None:
        """Wake every worker of this host. Never blocks, never raises."""
        with self._lock:
            self._look()
            for name, bell in list(self._bells.items()):
                try:
                    os.write(bell, b"\0")
                except BlockingIOError:
                    continue  # It rings already.
                except OSError:
                    self._remove(name)
            if not self._keeps_open:
                self._let_go()

    def close(self) -> None:
        """Keep no bell open any more. Who rings afterwards is heard all the same. Idempotent."""
        with self._lock:
            self._keeps_open = False
            self._let_go()

    def _look(self) -> None:
        try:
            changed_ns = os.stat(self._folder).st_mtime_ns
            now = time.monotonic()
            if changed_ns == self._changed_ns and now < self._looks_at:
                return
            names = {name for name in os.listdir(self._folder) if name.endswith(SUFFIX)}
        except OSError:
            return  # No worker has been here yet.
        self._changed_ns, self._looks_at = changed_ns, now + LOOK_SECONDS
        for name in names - self._bells.keys():
            self._open(name)
        for name in self._bells.keys() - names:
            os.close(self._bells.pop(name))

    def _open(self, name: str) -> None:
        path = os.path.join(self._folder, name)
        try:
            # Refused where nobody listens: its worker has died.
            bell = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except PermissionError:
            return  # Another user's worker: it looks for itself.
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            return
        if stat.S_ISFIFO(os.fstat(bell).st_mode):
            self._bells[name] = bell
        else:
            os.close(bell)

    def _remove(self, name: str) -> None:
        os.close(self._bells.pop(name))
        with suppress(OSError):
            os.unlink(os.path.join(self._folder, name))

    def _let_go(self) -> None:
        for bell in self._bells.values():
            os.close(bell)
        self._bells.clear()
        self._looks_at = 0.0
