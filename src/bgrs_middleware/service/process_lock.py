"""One process only: what guards a memory store against being used by several workers that would not see each other."""

from __future__ import annotations

import os

from ..errors import SettingsError


class ProcessLock:
    """A lock on a file of the data directory, which the kernel releases when the process ends.

    Parameters:
        folder: the setting `data_dir`; created if it is not there.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "memory.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; several middlewares of one process may hold it together.

        Raises:
            SettingsError: another process holds it.
        """
        import fcntl

        os.makedirs(os.path.dirname(self._path) or ".", mode=0o700, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0)
            os.close(descriptor)
            if holder == str(os.getpid()).encode():
                return
            raise SettingsError(
                "store: a memory store serves one process, and another worker uses it already. "
                "Run one worker, or choose a store that processes share."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
