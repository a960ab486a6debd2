"""How processes of one host see that another has died: a file lock, which the kernel releases at the death.

Every worker holds a lock on a file of its own, named by its token, in the data directory. Whoever can take such a lock
knows that its worker is gone, within a look and whatever way it went. No file says nothing: the worker may live on
another host, and then its lease decides.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger("bgrs_middleware.presence")

SUFFIX = ".lock"
MOST_BYTES = 4_096
"""Of what one worker tells: it is written and read in one piece."""


class Presence:
    """The lock of one worker, and a look at the others'.

    Parameters:
        folder: where the lock files lie, one for all workers of the host; created if it is not there.
        token: this worker's name, unique for each start of a process.
    """

    def __init__(self, folder: str, token: str) -> None:
        self._folder = folder
        self._token = token
        self._descriptor: int | None = None

    def announce(self) -> bool:
        """Take the lock. False where this host cannot (no such locks, a folder that cannot be written)."""
        try:
            self._descriptor = self._create_locked()
        except (OSError, ImportError) as error:
            logger.warning("Deaths of this worker will be noticed by its leases alone: %s", error)
            return False
        return True

    def leave(self) -> None:
        """Give the lock back: this worker holds nothing any more. Idempotent."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.unlink(self._path(self._token))
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def dead(self) -> Iterator[list[str]]:
        """The tokens of workers of this host that have died. For the block, nobody else is told of them."""
        descriptors = {token: descriptor for token in self._others() if (descriptor := self._try(token)) is not None}
        try:
            yield list(descriptors)
        finally:
            for descriptor in descriptors.values():
                os.close(descriptor)

    def tell(self, words: str) -> None:
        """Write something that others of this host can read for as long as this worker lives; instead of what it told
        before."""
        if self._descriptor is not None:
            line = words.encode()
            try:
                os.pwrite(self._descriptor, line, 0)
                os.ftruncate(self._descriptor, len(line))
            except OSError as error:
                logger.warning("This worker cannot tell the others of itself: %s", error)

    def told(self) -> list[str]:
        """What the others of this host that live told last; empty texts of those that have not told anything yet."""
        return [words for token in self._others() if (words := self._words_of(token)) is not None]

    def forget(self, token: str) -> None:
        """Remove the file of a dead worker that holds nothing any more."""
        with suppress(OSError):
            os.unlink(self._path(token))

    def _create_locked(self) -> int:
        import fcntl

        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        # Locked before it has its name: whoever sees the file finds the lock taken.
        hidden = os.path.join(self._folder, f".{self._token}")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(hidden, self._path(self._token))
        except OSError:
            os.close(descriptor)
            os.unlink(hidden)
            raise
        return descriptor

    def _others(self) -> list[str]:
        try:
            names = os.listdir(self._folder)
        except OSError:
            # Nobody has a lock here, or nobody can see them: their leases tell of them.
            return []
        tokens = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
        return [token for token in tokens if token != self._token]

    def _try(self, token: str) -> int | None:
        """Take a dead worker's lock; None where its worker lives, or another one is just looking after it.

        Also where that cannot be found out, as with a file of another user: then its lease decides.
        """
        import fcntl

        try:
            descriptor = os.open(self._path(token), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    def _words_of(self, token: str) -> str | None:
        """What a worker told; None where it has died, or cannot be asked."""
        import fcntl

        with suppress(OSError, UnicodeDecodeError):
            descriptor = os.open(self._path(token), os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Shared: two that look at the same time must not take each other for the worker.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.pread(descriptor, MOST_BYTES, 0).decode()
            finally:
                os.close(descriptor)
        return None

    def _path(self, token: str) -> str:
        return os.path.join(self._folder, token + SUFFIX)
