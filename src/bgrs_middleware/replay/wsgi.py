"""Runs one stored request against a WSGI application, in the thread that calls it.

Everything that PEP 3333 lets an application do counts: `start_response` at the first piece or again with `exc_info`,
`write()`, any iterable, `close()`. The outcome is recorded before `close()` is called, which is called always.
"""

from __future__ import annotations

import contextvars
import io
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ..bodies.recorder import PIECE_BYTES
from ..errors import BodyError
from ..pending import in_thread
from ..progress import current_run
from ..service.job import Job
from .base import Application
from .environ import environ_of
from .outcome import (
    STOPPED,
    describe,
    log_broken,
    note_late_error,
    note_server_error,
    note_withheld,
    reason_of,
    record_server_error,
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_STATUS = re.compile(r"(\d{3})(?: [^\r\n\0]*)?")


class _Stopped(BaseException):
    """The run was cancelled, and the rest of a stream is not wanted."""


def run_replay(app: Application, job: Job) -> None:
    """Run `replay_wsgi` in a new, empty context in which `current_run` is the job's."""
    context = contextvars.Context()
    context.run(current_run.set, job.run)
    context.run(replay_wsgi, app, job)


def replay_wsgi(app: Application, job: Job) -> None:
    """Run one stored request and tell its outcome to `job.listener`, once. Blocks until `close()` has returned.

    A cancellation stops a streamed response at its next piece, unless the application has asked `cancelled()` and so
    knows better when to end.

    Parameters:
        app: the WSGI application.
        job: the request, and where its response goes.

    Raises:
        Exception: what the listener raised.
    """
    _Replay(app, job).run()


class _Replay:
    """One run of `replay_wsgi`."""

    def __init__(self, app: Application, job: Job) -> None:
        self._app = app
        self._job = job
        self._result: Any = ()
        self._fault: Exception | None = None
        self._stopped = False
        self._pieces = 0

    def run(self) -> None:
        try:
            self._tell(self._respond())
        finally:
            self._close()
            self._job.body.close()
            # The traceback holds this object.
            self._fault = None

    def _respond(self) -> BaseException | None:
        """Let the application respond; returns what it raised."""
        try:
            body = self._input()
            self._result = self._app(
                environ_of(self._job.head, self._job.run, self._job.body.length, body), self._start
            )
            for piece in self._result:
                self._write(piece)
        except BaseException as error:  # noqa: BLE001  # SystemExit and the like are a 500 for servers, too
            return error
        return None

    def _input(self) -> io.BufferedIOBase:
        body = self._job.body
        if body.length == 0:
            return io.BytesIO()
        try:
            pieces = body.pieces()
        except Exception as error:
            self._at_fault(error)
            raise
        return io.BufferedReader(_BodyInput(pieces, body.length, self._at_fault), PIECE_BYTES)

    def _at_fault(self, error: Exception) -> None:
        """Keep what spoilt the replay on our side: it decides the outcome, whatever the application makes of it."""
        self._fault = self._fault or error

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        recorder = self._job.recorder
        try:
            if exc_info is not None and recorder.length:
                raise exc_info[1].with_traceback(exc_info[2])
            if exc_info is None and recorder.started:
                raise AssertionError("start_response was called a second time without exc_info.")
        finally:
            # PEP 3333: a reference would keep the traceback's frames alive.
            exc_info = None
        found = _STATUS.fullmatch(status)
        if found is None:
            raise ValueError(f"The status must look like '200 OK', not {status!r}.")
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._guarded(lambda: recorder.start(int(found[1]), pairs))
        return self._write

    def _write(self, piece: bytes) -> None:
        recorder = self._job.recorder
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise TypeError(f"A WSGI response is made of bytes, not {type(piece).__name__}.")
        if not piece:
            return
        if not recorder.started:
            raise AssertionError("The response's body began before start_response was called.")
        run = self._job.run
        if self._stopped or (self._pieces and run.is_cancelled and not run.cancel_seen):
            self._stopped = True
            raise _Stopped
        self._pieces += 1
        self._guarded(lambda: recorder.write(piece))

    def _guarded(self, step: Callable[[], object]) -> None:
        if self._fault is not None:
            raise self._fault
        try:
            step()
        except Exception as error:
            self._at_fault(error)
            raise

    def _tell(self, error: BaseException | None) -> None:
        job, recorder = self._job, self._job.recorder
        spoilt = self._stopped or self._fault is not None
        if not spoilt and error is None and recorder.started:
            self._capture()
        elif not spoilt and not recorder.length:
            # Servers hold status and headers back until the first byte of the body, so this is still a 500.
            note_server_error(job.run, error)
            record_server_error(recorder)
            self._capture()
        if self._fault is not None:
            self._broken(str(self._fault) or describe(self._fault), stopped=False)
        elif self._stopped:
            self._broken(STOPPED, stopped=True)
        elif not recorder.complete:
            log_broken(job.run, error)
            self._broken(reason_of(error), stopped=False)

    def _capture(self) -> None:
        job = self._job
        try:
            captured = job.recorder.finish()
        except Exception as error:  # noqa: BLE001  # whatever it is, there is no whole response, and it says why
            self._at_fault(error)
            return
        note_withheld(job.run, job.recorder)
        in_thread(job.listener.captured(captured))

    def _broken(self, reason: str, *, stopped: bool) -> None:
        self._job.recorder.discard()
        in_thread(self._job.listener.broken(reason, stopped=stopped))

    def _close(self) -> None:
        close = getattr(self._result, "close", None)
        if close is None:
            return
        try:
            close()
        except BaseException as error:  # noqa: BLE001  # the outcome is recorded; this is only told beside it
            note_late_error(self._job.run, error)


class _BodyInput(io.RawIOBase):
    """The stored body as a stream that is read once, in constant memory."""

    def __init__(self, pieces: Iterator[bytes], length: int, at_fault: Callable[[Exception], None]) -> None:
        self._pieces = pieces
        self._missing = length
        self._at_fault = at_fault
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest and self._missing:
            self._rest = memoryview(self._next())
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next(self) -> bytes:
        try:
            piece = next(self._pieces, b"")
            if not piece:
                raise BodyError(f"the stored request body ended {self._missing} bytes too early")
        except Exception as error:
            self._at_fault(error)
            raise
        self._missing -= len(piece)
        return piece
