"""A request body on its way in: small ones stay in memory, larger ones go to disk, encrypted, as they arrive.

A door writes what it receives and calls `finish()` at the end of the body. Whatever happens instead, `discard()`, or
leaving the `with` block before `finish()`, leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ..errors import BadRequest, BodyTooLarge
from ..sealing import SealedWriter

if TYPE_CHECKING:
    from ..sealing import Keyring
    from .base import Bodies

INLINE_BYTES: Final = 64 * 1024
_MAX_DIGITS: Final = 19


def check_declared_length(content_length: bytes | None, max_bytes: int) -> int | None:
    """Refuse a request by its Content-Length, before any of its body is read (RFC 9110, section 8.6).

    Parameters:
        content_length: the value of the header, None where there is none.
        max_bytes: the setting `max_body_bytes`.

    Returns:
        The declared length in bytes, or None.

    Raises:
        BadRequest: it is not a number.
        BodyTooLarge: it is over `max_bytes`.
    """
    if content_length is None:
        return None
    digits = content_length.strip(b" \t")
    if not digits.isdigit():
        raise BadRequest("Content-Length must be a number of bytes, written in digits.")
    digits = digits.lstrip(b"0") or b"0"
    # Python refuses to read numbers of thousands of digits.
    if len(digits) > _MAX_DIGITS or int(digits) > max_bytes:
        raise too_large(max_bytes)
    return int(digits)


class Spool:
    """The body of one request being received. Used by one thread at a time.

    Parameters:
        rid: the id that the request is to get.
        bodies: where a large body goes.
        keyring: with what it is encrypted.
        max_bytes: the most it may have.
        inline_bytes: the most that stays in memory.
        hashed: whether its digest is asked for in the end.
    """

    def __init__(
        self,
        rid: str,
        bodies: Bodies,
        keyring: Keyring,
        max_bytes: int,
        inline_bytes: int = INLINE_BYTES,
        *,
        hashed: bool = False,
    ) -> None:
        self._rid = rid
        self._name = f"{rid}.request"
        self._bodies = bodies
        self._keyring = keyring
        self._max_bytes = max_bytes
        self._inline_bytes = inline_bytes
        self._inline = bytearray()
        self._writer: SealedWriter | None = None
        self._is_over = False
        self._is_stored = False
        self._digest = hashlib.sha256() if hashed else None
        self.length = 0

    @property
    def sha256(self) -> bytes | None:
        """The SHA-256 digest of what was written so far; None unless `hashed`."""
        return None if self._digest is None else self._digest.digest()

    @property
    def on_disk(self) -> bool:
        """Whether the body went to disk: `finish()` then blocks for as long as a flush takes."""
        return self._writer is not None

    def write(self, data: bytes) -> None:
        """Append a piece of any size.

        Raises:
            BodyTooLarge: the body is over `max_bytes`; the piece was not taken.
            DiskFull, BodyError: it could not be written.
        """
        if self._is_over:
            raise ValueError("the spool is finished or discarded already")
        if self.length + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        if self._writer is None and self.length + len(data) > self._inline_bytes:
            self._writer = SealedWriter(self._bodies.create(self._name), self._keyring, self._rid.encode())
            self._writer.write(self._inline)
            self._inline.clear()
        if self._writer is None:
            self._inline += data
        else:
            self._writer.write(data)
        if self._digest is not None:
            self._digest.update(data)
        self.length += len(data)

    def finish(self) -> tuple[bytes | None, str | None]:
        """End the body.

        Returns:
            The bytes themselves and None, or None and the name of the sealed body, which is then on disk (this waits
            for the disk).

        Raises:
            DiskFull, BodyError: it could not be written; nothing is left behind.
        """
        if self._is_over:
            raise ValueError("the spool is finished or discarded already")
        if self._writer is None:
            self._is_over = True
            return bytes(self._inline), None
        try:
            self._writer.seal()
        except BaseException:
            self.discard()
            raise
        self._is_over = self._is_stored = True
        self._writer = None
        return None, self._name

    def discard(self) -> None:
        """Leave nothing behind, whether it was finished or not. Idempotent.

        Raises:
            BodyError: a sealed body could not be removed.
        """
        self._is_over = True
        self._inline.clear()
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        if self._is_stored:
            self._bodies.delete(self._name)
            self._is_stored = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._is_over:
            self.discard()


def too_large(max_bytes: int) -> BodyTooLarge:
    """The error of a body that has more than so many bytes."""
    return BodyTooLarge(f"The request body is over the limit of {max_bytes:,} bytes for background requests.")
