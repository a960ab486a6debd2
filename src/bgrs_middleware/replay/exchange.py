"""The two channels of an ASGI replay: `receive`, which gives the stored body, and `send`, which takes the response.

They behave as uvicorn's do towards a client that stays until the end: the body once, then nothing until the response
is over, then `http.disconnect`; and the same `RuntimeError` for messages that are out of order.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeVar

from ..bodies.recorder import PIECE_BYTES, ResponseBytes
from ..errors import BgrsError, BodyError
from ..pending import Pending, on_loop
from ..service.job import Job
from .outcome import note_withheld

CATCH_UP_SECONDS = 0.001

Message = MutableMapping[str, Any]
T = TypeVar("T")


class Exchange:
    """The channels of one replay.

    `fault` is what spoilt the replay here (storage, limits, a length that does not hold): it is raised into the
    application, and decides the outcome whatever the application makes of it. `told` is set once the listener has
    been given the whole response; `listener_error` is what it raised, if it did.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pieces: Iterator[bytes] | None = None
        self._received = 0
        self._body_over = False
        self._over = asyncio.Event()
        self._listeners = 0
        self._sending = asyncio.Lock()
        self._owes_a_turn = False
        self._torn = False
        self._commit: asyncio.Task[None] | None = None
        self.fault: Exception | None = None
        self.told = False
        self.listener_error: Exception | None = None

    # What the application calls.

    async def receive(self) -> Message:
        """The ASGI channel of the request."""
        if self._over.is_set():
            return {"type": "http.disconnect"}
        if not self._body_over:
            return await self._next_piece()
        self._listeners += 1
        try:
            await self._over.wait()
        finally:
            self._listeners -= 1
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The ASGI channel of the response. The last message returns when the response is recorded."""
        async with self._sending:
            self._check_order(message["type"])
            if message["type"] == "http.response.start":
                self._start(message)
            else:
                await self._take(message.get("body", b""))
                if not message.get("more_body", False):
                    self._commit = asyncio.create_task(self._commit_response())
                    # The application may give up waiting; what it has sent whole is recorded nevertheless.
                    await asyncio.shield(self._commit)

    # What the replay calls.

    def disconnect(self) -> bool:
        """Say `http.disconnect` from now on; returns whether someone was listening for it."""
        self._over.set()
        return self._listeners > 0

    async def commit_over(self) -> None:
        """Wait until a response whose last message was sent is recorded. What went wrong then is not raised here."""
        if self._commit is not None:
            await asyncio.wait((self._commit,))

    # How it is done.

    async def _next_piece(self) -> Message:
        body = self._job.body
        if self._received:
            # An application that reads in a loop must not keep the event loop. Before the read: a read that is
            # cancelled loses nothing.
            await asyncio.sleep(0)
        try:
            if self._pieces is None:
                self._pieces = body.pieces() if body.length else iter((b"",))
            piece = next(self._pieces, None)
            if piece is None:
                raise BodyError(f"the stored request body ended after {self._received} of {body.length} bytes")
        except Exception as error:
            self.fault = error
            raise
        self._received += len(piece)
        self._body_over = self._received >= body.length
        return {"type": "http.request", "body": piece, "more_body": not self._body_over}

    def _check_order(self, kind: str) -> None:
        if self.fault is not None:
            raise self.fault
        if self._torn:
            raise RuntimeError("An earlier message of this response was cancelled while it was sent.")
        if self._commit is not None:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        expected = "http.response.body" if self._job.recorder.started else "http.response.start"
        if kind != expected:
            raise RuntimeError(f"Expected ASGI message '{expected}', but got '{kind}'.")

    def _start(self, message: Message) -> None:
        try:
            self._job.recorder.start(message["status"], message.get("headers", ()))
        except BgrsError as error:
            self.fault = error
            raise

    async def _take(self, data: ResponseBytes) -> None:
        if not isinstance(data, ResponseBytes):
            raise TypeError(f"The body of an ASGI message must be bytes, not {type(data).__name__}.")
        if self._owes_a_turn:
            # The turn of the event loop for the last write to disk. Taken before the next message, because a message
            # that is cancelled must be either in the response or not.
            self._owes_a_turn = False
            await self._turn()
        steps = self._job.recorder.write_steps(data)
        try:
            if len(data) <= PIECE_BYTES:
                self._owes_a_turn = sum(1 for _ in steps) > 0
            else:
                for _ in steps:
                    await self._turn()
        except asyncio.CancelledError:
            # A part of the message is missing, so nothing that comes after it can make the response whole.
            self._torn = True
            raise
        except Exception as error:
            self.fault = error
            raise

    async def _turn(self) -> None:
        """Let the event loop do other work, and the recorder catch up."""
        await asyncio.sleep(0)
        while self._job.recorder.is_behind:  # noqa: ASYNC110  # it is over in a millisecond or two
            await asyncio.sleep(CATCH_UP_SECONDS)

    async def _commit_response(self) -> None:
        recorder = self._job.recorder
        try:
            captured = await _in_own_thread(recorder.finish) if recorder.on_disk else recorder.finish()
        except Exception as error:
            self.fault = error
            raise
        self.told = True
        note_withheld(self._job.run, recorder)
        try:
            await on_loop(self._job.listener.captured(captured))
        except Exception as error:
            self.listener_error = error
            raise
        finally:
            self._over.set()


async def _in_own_thread(function: Callable[[], T]) -> T:
    """Call a blocking function in a new thread. The loop's own pool may be full of the application's work."""
    outcome: Pending[T] = Pending()

    def work() -> None:
        try:
            outcome.set(function())
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to who waits for it
            outcome.fail(error)

    threading.Thread(target=work, name="bgrs-seal", daemon=True).start()
    return await on_loop(_value_of(outcome))


async def _value_of(pending: Pending[T]) -> T:
    return await pending
