"""The interface of bodies: where what is too large for a row lives.

A body is complete or absent: it is written under a temporary name and appears under its own name only when `seal()`
has returned. Names are made from a rid and are never anything a client sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from ..advice import Advice


class BodyWriter(ABC):
    """One body being written, by one thread at a time. Ends with `seal()` or `discard()`."""

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Append. May block for the time that a write to a local disk takes.

        Raises:
            DiskFull: there is no room, or the floor `min_free_bytes` is reached.
            BodyError: any other failure; the cause says which.
        """

    @abstractmethod
    def seal(self) -> None:
        """Flush to disk and let the body appear under its name; returns when it would survive a power cut.

        Raises:
            DiskFull, BodyError: as `write`; the body is then absent.
        """

    @abstractmethod
    def discard(self) -> None:
        """Leave nothing behind. Idempotent; does nothing after `seal()`."""


class BodyReader(ABC):
    """One complete body being read. Stays readable when the body is deleted meanwhile."""

    size: int
    """Length in bytes."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; empty at the end.

        Raises:
            BodyError: it could not be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back the file. Idempotent."""


class Bodies(ABC):
    """Where bodies live. Safe for use from several threads and processes."""

    @abstractmethod
    def open(self) -> None:
        """Make it ready, with the permissions it needs.

        Raises:
            BodyError: it cannot be written; calling again later may succeed.
        """

    @abstractmethod
    def create(self, name: str) -> BodyWriter:
        """Begin a body. One of the same name is replaced when this one is sealed.

        Raises:
            DiskFull, BodyError: nothing was begun.
        """

    @abstractmethod
    def read(self, name: str) -> BodyReader:
        """Open a complete body.

        Raises:
            BodyNotFound: there is none of that name.
            BodyError: it could not be opened.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a body. One that is not there is no error.

        Raises:
            BodyError: it could not be removed.
        """

    @abstractmethod
    def check_room(self) -> None:
        """Raise `DiskFull` when the floor is reached. Cheap: looks at the disk at most once a second."""

    def advice(self) -> Sequence[Advice]:
        """What is not as safe as it could be where these bodies live. Never raises."""
        return ()

    # What follows is for tidying up. A kind of bodies that leaves it as it is keeps whatever nobody names any more.

    def belong_to(self, identity: str) -> bool:
        """Whether these are the bodies of the store of this identity (`Store.identity`) and of no other.

        The first store that asks makes them its own. Only then what no record names is removed.

        Raises:
            BodyError: nobody can tell just now.
        """
        return False

    def names(self, older_than_seconds: float, now: float) -> Iterator[str]:
        """The names of complete bodies, as they are found.

        Parameters:
            older_than_seconds: younger ones are left out, by the time of their last write.
            now: seconds since the epoch.

        Raises:
            BodyError: they cannot be listed.
        """
        return iter(())

    def sweep_temporary(self, older_than_seconds: float, now: float) -> int:
        """Remove what processes that died left unfinished. A body that a process still writes stays, however old.

        Parameters:
            older_than_seconds: younger ones stay, by the time of their last write.
            now: seconds since the epoch.

        Returns:
            How many were removed.

        Raises:
            BodyError: they could not be listed, or one not be removed.
        """
        return 0


class RequestBody(ABC):
    """The stored body of the request to be replayed, opened and decrypted."""

    length: int
    """Length in bytes, of what `pieces` gives."""

    @abstractmethod
    def pieces(self) -> Iterator[bytes]:
        """The body in pieces of at most 64 KiB, in order. May be called once.

        Raises:
            SealError: what is stored was changed.
            BodyError: it could not be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds. Idempotent."""
