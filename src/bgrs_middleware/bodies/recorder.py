"""Takes an application's response as it comes and makes a `Captured` of it, or says why it is not whole.

Small responses stay in memory; larger ones go to a body in writes of 64 KiB, in constant memory. The gateway decides
what happens between two writes: an event loop goes on with other work, a thread just continues. A recorder is used by
one thread at a time and ends with `finish()` or `discard()`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from ..errors import ResponseBroken, ResponseTooLarge
from ..failpoints import ARMED, Failpoint, reach
from ..models import Captured, Headers
from ..protocol.captured import declared_length, has_no_body, withhold
from .base import BodyWriter
from .digest import Digest
from .trailer import trailer_of

PIECE_BYTES = 64 * 1024
"""One write to a body. Measured: a write of 64 KiB blocks a loop for less than a millisecond, and larger ones are
no faster."""

PROGRESS_STEP = 0.01
"""Percent. The status document shows two decimals; nobody needs to be told of less."""

ResponseBytes = bytes | bytearray | memoryview


class Recorder:
    """The recorder of one response.

    Parameters:
        body_name: the name of the body, where one is needed.
        create_body: begins a body of that name; called once at most.
        max_result_bytes: the longest response that is taken.
        derive_progress: called with the percentage of a declared Content-Length that has arrived.
        inline_bytes: up to this length the response stays in memory.
        method: the request's, because the response to HEAD has no body.
        may_outlive: asked before a body is sealed: whether it is to be the result even if this process dies before it
            can say so. Then status and headers are written behind it, see `trailer.py`.
    """

    def __init__(
        self,
        *,
        body_name: str,
        create_body: Callable[[str], BodyWriter],
        max_result_bytes: int,
        derive_progress: Callable[[float], None],
        inline_bytes: int = 65_536,
        method: str = "GET",
        may_outlive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._body_name = body_name
        self._create_body = create_body
        self._max_result_bytes = max_result_bytes
        self._derive_progress = derive_progress
        self._inline_bytes = inline_bytes
        self._method = method
        self._may_outlive = may_outlive
        self._status: int | None = None
        self._headers: Headers = ()
        self._withheld: tuple[str, ...] = ()
        self._declared: int | None = None
        self._ignores_body = False
        self._gathered = bytearray()
        self._writer: BodyWriter | None = None
        self._digest = Digest()
        self._length = 0
        self._progress = 0.0
        self._complete = False

    @property
    def started(self) -> bool:
        """Whether status and headers have come."""
        return self._status is not None

    @property
    def complete(self) -> bool:
        """Whether `finish()` has returned the whole response."""
        return self._complete

    @property
    def length(self) -> int:
        """Bytes of the body that have come."""
        return self._length

    @property
    def on_disk(self) -> bool:
        """Whether there is a body to be sealed: `finish()` then blocks for as long as a flush to disk takes."""
        return self._writer is not None

    @property
    def is_behind(self) -> bool:
        """Whether what was written waits for its digest, and nothing more should be written just now."""
        return self._digest.is_behind

    @property
    def withheld(self) -> tuple[str, ...]:
        """The names of the headers that are not kept; a detail should tell them."""
        return self._withheld

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take status and headers. A second start replaces the first while no byte of a body has come.

        Raises:
            ResponseBroken: the status is no HTTP status.
            RuntimeError: a part of the body has come already.
        """
        if self._length or self._complete:
            raise RuntimeError("The response has started already.")
        if not 100 <= status <= 999:
            raise ResponseBroken(f"the application answered with the status {status!r}, which is none of HTTP")
        pairs = tuple((bytes(name), bytes(value)) for name, value in headers)
        self._status = int(status)
        self._headers, self._withheld = withhold(pairs)
        self._ignores_body = has_no_body(self._method, status)
        self._declared = None if self._ignores_body else declared_length(pairs)

    def write(self, data: ResponseBytes) -> bool:
        """Append to the body, in a thread that may wait.

        Returns:
            Whether something was written to disk.

        Raises:
            ResponseTooLarge, ResponseBroken: as `write_steps`.
            DiskFull, BodyError: as `BodyWriter.write`.
        """
        wrote = False
        for _ in self.write_steps(data):
            wrote = True
            self._digest.catch_up()
        return wrote

    def write_steps(self, data: ResponseBytes) -> Iterator[None]:
        """Append to the body, stopping after each write to disk. Exhaust it: what is left of it is not written.

        `data` may change once this is exhausted. Wait while the recorder `is_behind` before going on.

        Raises:
            ResponseTooLarge: the response is longer than `max_result_bytes`.
            ResponseBroken: it is longer than its Content-Length.
            DiskFull, BodyError: as `BodyWriter.write`.
        """
        if self._ignores_body or not data:
            return
        view = memoryview(data).cast("B") if isinstance(data, memoryview) else memoryview(data)
        self._count(len(view))
        may_change = type(view.obj) is not bytes
        for offset in range(0, len(view), PIECE_BYTES):
            piece = view[offset : offset + PIECE_BYTES]
            if self._writer is not None and not self._gathered and len(piece) == PIECE_BYTES:
                self._to_disk(self._writer, bytes(piece) if may_change else piece)
                yield
                continue
            self._gathered += piece
            if len(self._gathered) > (self._inline_bytes if self._writer is None else PIECE_BYTES - 1):
                yield from self._flush()

    def finish(self) -> Captured:
        """End the response. Blocks for a flush to disk where it is `on_disk`.

        Raises:
            ResponseBroken: it is shorter than its Content-Length.
            RuntimeError: it has not started, or is finished.
            DiskFull, BodyError: as `BodyWriter.seal`.
        """
        if self._status is None or self._complete:
            raise RuntimeError("There is no response to finish.")
        if self._declared is not None and self._length < self._declared:
            raise ResponseBroken(
                f"the response ended after {self._length} bytes, its Content-Length is {self._declared}"
            )
        if ARMED:
            reach(Failpoint.ANSWERED_BEFORE_SEALED)
        captured = self._in_memory(self._status) if self._writer is None else self._sealed(self._status, self._writer)
        self._complete = True
        return captured

    def discard(self) -> None:
        """Leave nothing behind. Idempotent; does nothing to a finished response."""
        self._digest.abandon()
        self._gathered = bytearray()
        if self._writer is not None and not self._complete:
            self._writer.discard()

    def _count(self, more: int) -> None:
        length = self._length + more
        if self._declared is not None and length > self._declared:
            raise ResponseBroken(f"the response is longer than its Content-Length, {self._declared} bytes")
        if length > self._max_result_bytes:
            raise ResponseTooLarge(f"the response is longer than max_result_bytes, {self._max_result_bytes} bytes")
        self._length = length
        if self._declared:
            percent = 100.0 * length / self._declared
            if percent - self._progress >= PROGRESS_STEP or length == self._declared:
                self._progress = percent
                self._derive_progress(percent)

    def _flush(self) -> Iterator[None]:
        if self._writer is None:
            self._writer = self._create_body(self._body_name)
        whole = memoryview(bytes(self._gathered))
        self._gathered.clear()
        for offset in range(0, len(whole), PIECE_BYTES):
            self._to_disk(self._writer, whole[offset : offset + PIECE_BYTES])
            yield

    def _to_disk(self, writer: BodyWriter, piece: bytes | memoryview) -> None:
        writer.write(piece)
        self._digest.update(piece)

    def _in_memory(self, status: int) -> Captured:
        content = bytes(self._gathered)
        return Captured(
            status=status,
            headers=self._headers,
            length=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            inline=content,
        )

    def _sealed(self, status: int, writer: BodyWriter) -> Captured:
        for _ in self._flush():
            pass
        captured = Captured(
            status=status,
            headers=self._headers,
            length=self._length,
            sha256=self._digest.hexdigest(),
            body_name=self._body_name,
        )
        if self._may_outlive():
            writer.write(trailer_of(captured))
        writer.seal()
        return captured
