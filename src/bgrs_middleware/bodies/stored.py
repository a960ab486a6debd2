"""The body of a stored request, as a replay reads it: from the row, or decrypted from a sealed body.

Both kinds give pieces of at most 64 KiB, so that a replay needs no more memory for a large body than for a small one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..sealing import SealedReader
from .base import RequestBody

if TYPE_CHECKING:
    from ..sealing import Keyring
    from .base import BodyReader

PIECE_BYTES: Final = 64 * 1024


class InlineRequestBody(RequestBody):
    """A body that is here already.

    Parameters:
        data: all of it.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), PIECE_BYTES):
            yield self._data[start : start + PIECE_BYTES]

    def close(self) -> None:
        self._data = b""


class SealedRequestBody(RequestBody):
    """A body that `Spool` sealed.

    Parameters:
        reader: where it lies; closed with this one, and when this one cannot be made.
        keyring: with what it is opened.
        context: what it was sealed with: the rid.

    Raises:
        SealError: it was changed, or the keyring does not hold its key.
        BodyError: it could not be read.
    """

    def __init__(self, reader: BodyReader, keyring: Keyring, context: bytes) -> None:
        self._reader = SealedReader(reader, keyring, context)
        self.length = self._reader.length

    def pieces(self) -> Iterator[bytes]:
        return self._reader.pieces()

    def close(self) -> None:
        self._reader.close()
