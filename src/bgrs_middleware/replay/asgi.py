"""Runs one stored request against an ASGI application, on the running event loop.

`start_replay` gives it a task and an empty context of its own: nothing of the request that was answered long ago is
visible in it. The application runs in a second task below that one, so that a request to stop can be told to it the
way it listens for it, and so that the outcome is recorded whatever is cancelled. `replay/exchange.py` holds the two
channels that the application talks through.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from ..pending import on_loop
from ..progress import current_run
from ..service.job import Job
from .base import Application
from .exchange import Exchange
from .outcome import STOPPED, describe, log_broken, note_late_error, note_server_error, reason_of, record_server_error
from .scope import scope_of

LISTENER_GRACE_SECONDS = 3.0
"""How long an application that listens for a disconnect is left to end by itself, before its task is cancelled."""

THREAD_GRACE_SECONDS = 0.25
"""How long an application is left to answer after a thread of its has come back."""

THREAD_POLL_SECONDS = 0.05


def start_replay(
    app: Application, job: Job, *, state: Mapping[str, Any] | None, loop: asyncio.AbstractEventLoop
) -> asyncio.Task[None]:
    """Start `replay_asgi` in a task with a new, empty context. Call it in the loop's thread; keep the task.

    Cancelling the task stops the replay; it ends when the application's work has ended and the outcome is told. A
    second cancellation is passed on to the application at once.

    Parameters:
        app, job, state: as `replay_asgi`.
        loop: the running loop.
    """
    context = contextvars.Context()
    context.run(current_run.set, job.run)
    replay = _Replay(app, job, state)
    task = loop.create_task(replay.run(), name=f"bgrs-replay-{job.run.rid}", context=context)

    def tell_if_never_begun(_: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step runs no line of its coroutine, so nobody would be told.
        if not replay.begun:
            job.body.close()
            loop.create_task(on_loop(job.listener.broken(STOPPED, stopped=True)), context=context)

    task.add_done_callback(tell_if_never_begun)
    return task


async def replay_asgi(app: Application, job: Job, *, state: Mapping[str, Any] | None) -> None:
    """Run one stored request and tell its outcome to `job.listener`, once.

    Meant for a task of its own, see `start_replay`. Returns when the application has returned, after its background
    tasks; the listener is told when the whole response is there.

    Parameters:
        app: the ASGI application.
        job: the request, and where its response goes.
        state: the lifespan state, copied shallowly as servers do; None where there is none.

    Raises:
        asyncio.CancelledError: it was cancelled, and there is no whole response.
        Exception: what the listener raised.
    """
    await _Replay(app, job, state).run()


class _Replay:
    """One run of `replay_asgi`."""

    def __init__(self, app: Application, job: Job, state: Mapping[str, Any] | None) -> None:
        self._app = app
        self._job = job
        self._state = state
        self._exchange = Exchange(job)
        self._error: BaseException | None = None
        self._stop_asked = False
        self.begun = False

    async def run(self) -> None:
        self.begun = True
        task = asyncio.create_task(self._call())
        try:
            await self._until_over(task)
            await _to_the_end(self._tell(was_cancelled=task.cancelled()))
        finally:
            self._job.body.close()
            # Tracebacks hold this object and its exchange.
            self._error = self._exchange.fault = None
        if self._exchange.listener_error is not None:
            raise self._exchange.listener_error
        if task.cancelled() and self._stop_asked:
            raise asyncio.CancelledError

    async def _call(self) -> None:
        scope = scope_of(self._job.head, self._job.run, self._state)
        try:
            await self._app(scope, self._exchange.receive, self._exchange.send)
        except (Exception, SystemExit, BaseExceptionGroup) as error:  # noqa: BLE001  # it is what servers do
            # SystemExit would end the loop. Servers answer it with a 500 like any other.
            self._error = error

    async def _until_over(self, task: asyncio.Task[None]) -> None:
        """Wait for the application's end, and stop it when this task is cancelled."""
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError:
                if not self._stop_asked:
                    self._stop_asked = True
                    await self._let_it_end(task)
                task.cancel()

    async def _let_it_end(self, task: asyncio.Task[None]) -> None:
        """Give the application what time it needs to end in order. Cut short by a second cancellation.

        An application that listens for a disconnect is told by one: Django leaves its view running when its own task
        is cancelled, and cancels it at a disconnect. A sync endpoint in a thread cannot be stopped, and cancelling
        the task that waits for it would lose its answer and leave it running unseen, so it is waited for. (It sees
        `cancelled()`.)
        """
        loop = asyncio.get_running_loop()
        listens = self._exchange.disconnect()
        until = loop.time() + (LISTENER_GRACE_SECONDS if listens else 0.0)
        try:
            while not task.done():
                if _waits_for_thread(task):
                    until = max(until, loop.time() + THREAD_GRACE_SECONDS)
                if loop.time() >= until:
                    return
                await asyncio.wait((task,), timeout=THREAD_POLL_SECONDS)
        except asyncio.CancelledError:
            # Asked a second time: no more waiting.
            return

    async def _tell(self, *, was_cancelled: bool) -> None:
        await self._exchange.commit_over()
        job, fault, error = self._job, self._exchange.fault, self._error
        if self._exchange.told:
            if error is not None:
                note_late_error(job.run, error)
            return
        if was_cancelled and not self._stop_asked:
            # Nobody asked for it: the application cancelled itself, which servers take for any other exception.
            error = asyncio.CancelledError("the application cancelled itself")
        if fault is not None:
            await self._broken(str(fault) or describe(fault), stopped=False)
        elif self._stop_asked:
            await self._broken(STOPPED, stopped=True)
        elif job.recorder.started:
            log_broken(job.run, error)
            await self._broken(reason_of(error), stopped=False)
        else:
            note_server_error(job.run, error)
            record_server_error(job.recorder)
            # The status and the headers are ours: nothing is withheld from them.
            await on_loop(job.listener.captured(job.recorder.finish()))

    async def _broken(self, reason: str, *, stopped: bool) -> None:
        self._job.recorder.discard()
        await on_loop(self._job.listener.broken(reason, stopped=stopped))


def _waits_for_thread(task: asyncio.Task[None]) -> bool:
    """Whether the task itself waits for a thread of anyio's pool, where Starlette and FastAPI run sync endpoints.

    anyio waits by itself for the threads of tasks in its task groups, and asgiref for those of Django.
    """
    to_thread = sys.modules.get("anyio.to_thread")
    if to_thread is None:
        return False
    return task in to_thread.current_default_thread_limiter().statistics().borrowers


async def _to_the_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that cancelling the caller must not stop; the caller is cancelled after it."""
    task = asyncio.ensure_future(coroutine)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            interrupted = error
    task.result()
    if interrupted is not None:
        raise interrupted
