"""Hears the signals by which a server is told to end, and passes them on to whoever took them before.

An ASGI server tells of its end by the lifespan, but only when every connection is closed, and a long-poll keeps one
open for as long as it waits. A WSGI server does not tell at all. So the service is told here, at the first signal: it
lets go of all who wait, and claims nothing more. Under WSGI the server gets that signal when what runs has ended, after
`drain_seconds` and 5 at the latest; under ASGI at once, because its lifespan waits for the same. A second signal is
passed on at once, and waits for nothing.

Python runs handlers in the main thread, between two steps of whatever it does there. So they take no lock, and leave
the work to a thread. Where the main thread is not ours, nothing is heard, and leases decide as after a crash.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

from ..pending import in_thread

FIRST = (signal.SIGTERM, signal.SIGINT)
"""A first one of these asks for an orderly end."""

QUICK = tuple(getattr(signal, name) for name in ("SIGQUIT",) if hasattr(signal, name))
"""What some servers take as "at once": heard only where they do."""

REPEAT_SECONDS = 1.0
"""A signal that follows another one sooner is the same one: a service manager tells all processes of a server, and the
first of them tells the others again."""

STEP_SECONDS = 0.1
"""How long a main thread that is awake takes to its next step, at the most."""

WAKE_SECONDS = 5.0

Handler = Callable[[int, FrameType | None], Any] | int | None

logger = logging.getLogger("bgrs_middleware.service")


class Stoppable(Protocol):
    """What a service does when its process is to end."""

    def leave(self) -> None:
        """Take nothing new, let nobody wait. At once."""

    async def drain(self) -> None:
        """Wait for what runs, and stop the rest. Awaits nothing but `Pending`s."""

    def hurry(self) -> None:
        """Let the drain end. At once."""


def heed_signals(service: Stoppable, *, holds: bool) -> None:
    """Tell a service when its process is told to end, from now on. Idempotent.

    Parameters:
        service: of this process.
        holds: whether the first signal is kept from the server until the service has drained; then from any thread.
            Otherwise from the main thread: where a server's loop runs in another one, the signals are not for it.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread and not holds:
        return
    current = signal.getsignal(FIRST[0])
    if isinstance(current, _Signals) and current.pid == os.getpid():
        current.add(service, holds)
        return
    handler = _Signals()
    handler.add(service, holds)
    if in_main_thread:
        handler.install()
    else:
        threading.Thread(target=_in_main_thread, args=(handler.install,), name="bgrs-signals-set", daemon=True).start()


def ignore_signals(service: Stoppable) -> None:
    """Tell it no more. From any thread."""
    current = signal.getsignal(FIRST[0])
    if isinstance(current, _Signals):
        current.forget(service)


class _Signals:
    """The handler of all signals of this process that ask for its end; one for all services of the process.

    It is found in the interpreter's own table of handlers, so that nothing else has to know of it.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        """Of the two below; never taken by the handler."""
        self._services: list[Stoppable] = []
        self._listener: threading.Thread | None = None
        self._holds = False
        self._previous: dict[int, Handler] = {}
        self._told: SimpleQueue[bool | None] = SimpleQueue()
        """One for each signal: whether it hurries. None ends the listener."""
        self._begin()

    def _begin(self) -> None:
        self._asked_at: float | None = None
        self._kept: int | None = None
        """The signal that the server has not got yet."""
        self._has_drained = self._has_passed = False

    def add(self, service: Stoppable, holds: bool) -> None:
        """Tell this service, too. Not from a handler, nor from what the main thread does in between."""
        with self._lock:
            if service not in self._services:
                self._services.append(service)
                self._holds |= holds
            if self._listener is None:
                self._begin()
                self._listener = threading.Thread(target=self._listen, name="bgrs-signals", daemon=True)
                self._listener.start()

    def forget(self, service: Stoppable) -> None:
        """Tell this service no more. As `add`."""
        with self._lock:
            with suppress(ValueError):
                self._services.remove(service)
            listener = self._listener
            if listener is None or self._services or self.pid != os.getpid():
                return
            self._listener = None
            self._told.put(None)
        if listener is not threading.current_thread():
            listener.join()

    def install(self) -> None:
        """Take the place of the handlers that are there. In the main thread."""
        for number in (*FIRST, *QUICK):
            previous = signal.getsignal(number)
            # Not what was made outside of Python, nor what is to be ignored; and the quick ones only with a server's.
            if callable(previous) or (previous is signal.SIG_DFL and number in FIRST):
                self._previous[number] = previous
                # Where the host of the interpreter forbids it, nothing is heard.
                with suppress(ValueError, OSError):
                    signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if os.getpid() != self.pid or not self._services:
            self._pass_on(number, frame)
        elif number in QUICK:
            self._tell(hurry=True)
            self._pass_on(number, frame)
        elif self._asked_at is None:
            self._asked_at = now
            # Where nobody else hears it, its effect is the end of the process, there and then.
            keeps = self._holds or not callable(self._previous.get(number))
            self._kept = number if keeps else None
            self._tell()
            if not keeps:
                self._pass_on(number, frame)
        elif self._has_drained or now - self._asked_at >= REPEAT_SECONDS:
            self._tell(hurry=True)
            self._pass_on(number, frame)
        elif self._kept is None:
            self._pass_on(number, frame)

    def _tell(self, *, hurry: bool = False) -> None:
        # This takes no lock that Python code can hold: a handler may interrupt anything, itself included.
        self._told.put(hurry)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._has_passed = True
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _listen(self) -> None:
        """In a thread of its own. A drain has another one, so that a second signal is heard meanwhile."""
        drain: threading.Thread | None = None
        while (hurry := self._told.get()) is not None:
            for service in list(self._services):
                service.leave()
                if hurry:
                    service.hurry()
            if self._kept is not None and drain is None:
                send = partial(self._drain_and_send, self._kept)
                drain = threading.Thread(target=send, name="bgrs-drain", daemon=True)
                drain.start()

    def _drain_and_send(self, number: int) -> None:
        services = list(self._services)
        try:
            with ThreadPoolExecutor(max(1, len(services)), "bgrs-drain") as threads:
                for future in [threads.submit(in_thread, service.drain()) for service in services]:
                    future.result()
        finally:
            self._has_drained = True
            main = threading.main_thread().ident
            # To that thread: one that the kernel gives to another thread does not wake it. And more than once: one that
            # comes just before it goes to sleep on a lock does not wake it either.
            while not self._has_passed and main is not None:
                signal.pthread_kill(main, number)
                time.sleep(STEP_SECONDS)


def _in_main_thread(call: Callable[[], None]) -> None:
    """Have something called by the main thread at its next step, and wait for it, but not for ever.

    Only that thread may set handlers, and a WSGI application may never see it: the server's threads call the
    application, and the main one waits for connections. This is the interpreter's own way to reach it.
    """
    called = threading.Event()

    def call_and_tell() -> None:
        try:
            call()
        finally:
            called.set()

    argument = ctypes.py_object(call_and_tell)
    ctypes.pythonapi.Py_IncRef(argument)
    ctypes.pythonapi.Py_AddPendingCall(_trampoline(), argument)
    if not called.wait(STEP_SECONDS):
        _interrupt_main_thread(called)


def _interrupt_main_thread(called: threading.Event) -> None:
    """Let a main thread that sleeps on a lock (granian's does) come to its next step, by a signal that nobody uses.

    It must have a handler, or it interrupts nothing, and only the main thread may set one of Python's. That of
    `faulthandler` is none, so it can be lent: what it writes goes nowhere.
    """
    number, main = getattr(signal, "SIGURG", None), threading.main_thread().ident
    if number is None or main is None or signal.getsignal(number) is not signal.SIG_DFL:
        return
    with open(os.devnull, "w") as nowhere:
        faulthandler.register(number, file=nowhere, all_threads=False)
        try:
            signal.siginterrupt(number, True)
            deadline = time.monotonic() + WAKE_SECONDS
            while time.monotonic() < deadline and not called.is_set():
                signal.pthread_kill(main, number)
                called.wait(STEP_SECONDS)
        finally:
            faulthandler.unregister(number)


@cache
def _trampoline() -> Any:
    """Made once, and never given back: it is the code that the interpreter jumps to."""
    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(_called)


def _called(call: Callable[[], None]) -> int:
    try:
        call()
    except Exception:
        logger.exception("Signals cannot be heard.")
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(call))
    return 0
