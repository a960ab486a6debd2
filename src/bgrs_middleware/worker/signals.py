"""SIGTERM and SIGINT, once: end in order. Twice, a second later or more: end at once, whatever is under way.

A Python handler runs in the main thread, and only when that comes to its next step. A signal that arrives just before
the main thread goes to sleep on a lock does not wake it. So the main thread sleeps on a pipe, which the interpreter
itself writes to at a signal. The handlers take no lock: it might be held by the very code that they interrupt.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

REPEAT_SECONDS = 1.0
"""A signal that follows another one sooner is the same one: service managers tell a supervisor and its workers at a
time, and the supervisor tells them again."""


class Wakeups:
    """What the main thread of a process sleeps on: signals wake it, and whatever calls `wake`."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def take_signals(self, handle: Handler) -> None:
        """Call `handle` in the main thread at SIGTERM and SIGINT, from now on."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)

    def wake(self) -> None:
        """Make the sleep that is under way end, or the next one. From any thread, and from a handler."""
        # One that is full wakes as well.
        with suppress(BlockingIOError):
            os.write(self._writer, b"\0")

    def sleep(self, seconds: float | None = None) -> None:
        """Return when woken, or after so many seconds. A sleep may end for nothing."""
        select.select([self.reader], [], [], seconds)
        self.clear()

    def clear(self) -> None:
        """Forget what has woken so far."""
        with suppress(BlockingIOError):
            os.read(self.reader, 65_536)


class StopSignals:
    """Whether this process was told to end. Installed before anything else is done, from the main thread."""

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._wakeups = Wakeups()
        self._tell: Callable[[], object] = lambda: None

    def install(self) -> None:
        """Take the signals from now on."""
        self._wakeups.take_signals(self._handle)

    def wait(self) -> None:
        """Return when the process is told to end. In the main thread, where no event loop runs."""
        while not self.asked:
            self._wakeups.sleep()

    def run_aside(self, work: Callable[[], None]) -> None:
        """Do something long in another thread, so that this one, the main thread, still hears a second signal."""
        with ThreadPoolExecutor(1, "bgrs-aside") as thread:
            future = thread.submit(work)
            future.add_done_callback(lambda _: self._wakeups.wake())
            while not future.done():
                self._wakeups.sleep()
            future.result()

    def event_on_loop(self) -> asyncio.Event:
        """An event of the running loop, set when the process is told to end. In the main thread."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # A loop that is closed has nothing more to be told.
                loop.call_soon_threadsafe(told.set)

        loop.add_reader(self._wakeups.reader, self._wakeups.clear)
        self._tell = tell
        if self.asked:
            tell()
        return told

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked and time.monotonic() - self._asked_at < REPEAT_SECONDS:
            return
        if self.asked:
            os.write(2, b"bgrs worker: told a second time to end; what runs is cut off\n")
            os._exit(1)
        self._asked_at = time.monotonic()
        self.asked = True
        self._wakeups.wake()
        self._tell()


def end_with(lifeline: int) -> None:
    """Make this process end in order when the other end of a pipe is closed: its supervisor is no more."""

    def watch() -> None:
        while os.read(lifeline, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="bgrs-lifeline", daemon=True).start()
