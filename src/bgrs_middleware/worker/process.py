"""One worker process, from start to end: finds the middleware, opens its service, waits, drains.

An ASGI application runs on an event loop with its lifespan around, a WSGI application in threads, as under a server.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..errors import SettingsError, StorageError
from ..pending import in_thread, on_loop
from ..service.service import Service
from .errors import CannotWork, WorkerError
from .finding import Door, Found, choose, is_asgi, load_application, walk
from .lifespan import Lifespan
from .signals import StopSignals, end_with

LAST_SECONDS = 3.0
"""How long threads that do not end may hold the process up when all is said and done."""


def run(reference: str, *, app_dir: str, concurrency: int | None, lifeline: int | None) -> int:
    """Be a worker until the process is told to end. In the main thread.

    Parameters:
        reference: the application, "module:attribute".
        app_dir: the folder that the module is in.
        concurrency: requests at a time. None: as the settings say.
        lifeline: a file descriptor whose end means that the supervisor is gone. None: there is no supervisor.

    Returns:
        The exit code, 0.

    Raises:
        WorkerError: it could not start.
    """
    signals = StopSignals()
    signals.install()
    if lifeline is not None:
        end_with(lifeline)
    application = load_application(reference, app_dir)
    worker = _Worker(application, reference, concurrency, signals)
    if is_asgi(application):
        asyncio.run(worker.run_on_loop())
    else:
        worker.run_in_threads()
    return 0


class _Worker:
    def __init__(self, application: Any, reference: str, concurrency: int | None, signals: StopSignals) -> None:
        self._application = application
        self._reference = reference
        self._concurrency = concurrency
        self._signals = signals

    async def run_on_loop(self) -> None:
        told = self._signals.event_on_loop()
        announced: list[Found] = []

        def announce(door: Door, scope: Any) -> None:
            announced.append(Found(door=door, scope=scope))

        lifespan = Lifespan(self._application, announce)
        await lifespan.start()
        try:
            services = self._services([*announced, *walk(self._application, lifespan.state)])
            try:
                await asyncio.to_thread(self._open, services)
                await told.wait()
                await asyncio.gather(*(on_loop(service.drain()) for service in services))
            finally:
                # In a thread of its own: the application may have left none of the loop's threads free.
                with ThreadPoolExecutor(1, "bgrs-close") as thread:
                    await asyncio.wrap_future(thread.submit(_close, services))
        finally:
            await lifespan.stop()
        _end_soon()

    def run_in_threads(self) -> None:
        services = self._services(walk(self._application))
        try:
            self._open(services)
            self._signals.wait()
            self._signals.run_aside(partial(_drain, services))
        finally:
            self._signals.run_aside(partial(_close, services))
        _end_soon()

    def _services(self, found: Sequence[Found]) -> list[Service]:
        try:
            chosen = choose(self._application, self._reference, found)
            return [each.become_worker(self._concurrency) for each in chosen]
        except SettingsError as error:
            raise CannotWork(str(error)) from error

    def _open(self, services: Sequence[Service]) -> None:
        if self._signals.asked:
            return
        try:
            for service in services:
                service.open()
        except SettingsError as error:
            raise CannotWork(str(error)) from error
        except StorageError as error:
            raise WorkerError(f"the store cannot be used now: {error}") from error
        at_a_time = sum(service.settings.concurrency for service in services)
        _say(f"process {os.getpid()} runs the requests of {self._reference}, {at_a_time} at a time")


def _drain(services: Sequence[Service]) -> None:
    """All at the same time: each may take its `drain_seconds`."""
    with ThreadPoolExecutor(len(services), "bgrs-drain") as threads:
        for _ in threads.map(lambda service: in_thread(service.drain()), services):
            pass


def _close(services: Sequence[Service]) -> None:
    for service in services:
        service.close()


def _say(text: str) -> None:
    sys.stderr.write(f"bgrs worker: {text}\n")
    sys.stderr.flush()


def _end_soon() -> None:
    """Let the process end in order, but not wait for ever for threads of the application that do not listen."""

    def end() -> None:
        time.sleep(LAST_SECONDS)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    threading.Thread(target=end, name="bgrs-end", daemon=True).start()
