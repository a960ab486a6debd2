"""A request body that is read whole into memory, because it is a message to this package and not one to be replayed.

It takes what a `Spool` takes, so that a door reads both kinds in the same way.
"""

from __future__ import annotations

from .spool import too_large


class SmallBody:
    """A body being received. Used by one thread at a time.

    Parameters:
        max_bytes: the most it may have.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._received = bytearray()

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            BodyTooLarge: there are more than `max_bytes` by now.
        """
        if len(self._received) + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        self._received += data

    def finish(self) -> bytes:
        """Return what was received."""
        return bytes(self._received)
