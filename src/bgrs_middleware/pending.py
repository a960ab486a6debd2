"""One implementation, two colours: values that another thread will deliver, awaited by ASGI and waited for by WSGI.

The service is written once, as coroutines that only ever await a `Pending`. A door drives them: on an event loop with
`await on_loop(coroutine)`, in a thread without one with `in_thread(coroutine)`. No event loop runs under WSGI, and no
thread is taken under ASGI. A `Pending` is delivered once; batches of them are delivered with `deliver`, which wakes
each event loop once per batch instead of once per value (`call_soon_threadsafe` writes to a pipe each time).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_UNSET: Any = object()

logger = logging.getLogger("bgrs_middleware.pending")


class Pending(Generic[T]):
    """A value that is to come. Awaited by at most one coroutine or thread.

    Parameters:
        lock: one that it may share with others, held for moments. None: it gets one of its own.
    """

    __slots__ = ("_callback", "_error", "_event", "_future", "_lock", "_value")

    def __init__(self, lock: threading.Lock | None = None) -> None:
        self._value: Any = _UNSET
        self._error: BaseException | None = None
        self._lock = threading.Lock() if lock is None else lock
        self._event: threading.Event | None = None
        self._future: asyncio.Future[None] | None = None
        self._callback: Callable[[Pending[T]], None] | None = None

    @classmethod
    def of(cls, value: T) -> Pending[T]:
        """Return one that has its value already."""
        pending = cls()
        pending._value = value
        return pending

    @property
    def is_there(self) -> bool:
        """Whether the value, or the error, has come."""
        return self._value is not _UNSET

    def set(self, value: T) -> None:
        """Deliver the value. A second delivery is ignored: the first one is what the waiter saw."""
        deliver([(self, value, None)])

    def fail(self, error: BaseException) -> None:
        """Deliver an error instead of a value."""
        deliver([(self, None, error)])

    def then(self, callback: Callable[[Pending[T]], None]) -> None:
        """Call back with this `Pending` when the value has come: from the delivering thread, or at once from here.

        The callback must be quick and must not raise.
        """
        with self._lock:
            if not self.is_there:
                self._callback = callback
                return
        callback(self)

    def result(self) -> T:
        """The value that has come, or its error raised."""
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def wait(self) -> T:
        """Block this thread until the value has come, and return it."""
        self._wait()
        return self.result()

    def __await__(self) -> Generator[Pending[Any], None, T]:
        if not self.is_there:
            yield self
        return self.result()

    def _arrive(self, value: Any, error: BaseException | None) -> asyncio.Future[None] | None:
        with self._lock:
            if self.is_there:
                return None
            self._error = error
            self._value = value
            if self._event is not None:
                self._event.set()
            callback = self._callback
        if callback is not None:
            try:
                callback(self)
            except Exception:
                # Behind this one others wait for the same thread, and it must live on to serve them.
                logger.exception("What was to be done with an answer of the store failed.")
        return self._future

    def _wait(self) -> None:
        with self._lock:
            if self.is_there:
                return
            event = self._event = threading.Event()
        event.wait()

    def _as_future(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        with self._lock:
            if self.is_there:
                return None
            self._future = loop.create_future()
            return self._future


Delivery = tuple[Pending[Any], Any, BaseException | None]


def deliver(deliveries: Iterable[Delivery]) -> None:
    """Deliver many values at once, from any thread. An event loop that is closed has no one left to tell."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for pending, value, error in deliveries:
        future = pending._arrive(value, error)
        if future is not None:
            by_loop.setdefault(future.get_loop(), []).append(future)
    for loop, futures in by_loop.items():
        try:
            loop.call_soon_threadsafe(_wake, futures)
        except RuntimeError:
            if not loop.is_closed():
                raise


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


async def on_loop(coroutine: Coroutine[Pending[Any], None, T]) -> T:
    """Run a coroutine that awaits nothing but `Pending`s, on the running event loop.

    Cancelling the caller throws `CancelledError` into the coroutine where it stands.
    """
    loop = asyncio.get_running_loop()
    try:
        step = coroutine.send(None)
        while True:
            future = step._as_future(loop)
            if future is not None:
                try:
                    await future
                except asyncio.CancelledError as error:
                    step = coroutine.throw(error)
                    continue
            step = coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        coroutine.close()


def in_thread(coroutine: Coroutine[Pending[Any], None, T]) -> T:
    """Run a coroutine that awaits nothing but `Pending`s, blocking this thread."""
    try:
        while True:
            coroutine.send(None)._wait()
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        coroutine.close()


def in_background(coroutine: Coroutine[Pending[Any], None, None], done: Callable[[], None]) -> None:
    """Run a coroutine that awaits nothing but `Pending`s, in whichever thread delivers them; then call `done`.

    For what nobody waits for, from a thread that must not block. The coroutine must not raise.
    """
    try:
        step = coroutine.send(None)
    except StopIteration:
        done()
        return
    step.then(lambda _: in_background(coroutine, done))
