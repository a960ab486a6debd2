"""Sends each case twice: plainly to the bare application, and through the middleware, in many cases at a time.

One application, one middleware, one store and, for ASGI, one event loop for a whole run, as in a server process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.settings import Settings
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware
from doors.answer import Answer, Sent, sent
from doors.asgi_gateway import AsgiGateway, LoopThread
from doors.wsgi_gateway import WsgiGateway, close_service

from .cases import FILE_SIZES, Case
from .compare import assert_equal
from .plan import filler

MAX_POLLS = 20
ROW_BYTES = 64 * 1024


def make_files(folder: Path) -> str:
    """The files that plans name, with old times, so that nothing depends on when they were made."""
    folder.mkdir()
    for size in FILE_SIZES:
        (folder / f"{size}.bin").write_bytes(filler(size))
    return str(folder)


def settings_for(data_dir: Path) -> Settings:
    """The settings of a run."""
    return Settings(data_dir=str(data_dir), min_free_bytes=0, concurrency=8)


class Harness(Protocol):
    """Runs cases against one application. `seen` counts what kinds of answers there were."""

    seen: Counter[str]

    def run(self, cases: Sequence[Case]) -> None:
        """Send all of them at a time.

        Raises:
            AssertionError: a captured answer is not equal to the plain one.
        """

    def close(self) -> None:
        """End application, service and loop."""


class AsgiHarness:
    """For an ASGI application."""

    def __init__(self, app: Any, data_dir: Path) -> None:
        self.seen: Counter[str] = Counter()
        self._loop = LoopThread()
        self._bare = AsgiGateway(app, loop=self._loop, lifespan=False)
        self._wrapped = AsgiGateway(AsgiMiddleware(app, settings=settings_for(data_dir)), loop=self._loop)
        self._wrapped.__enter__()

    def run(self, cases: Sequence[Case]) -> None:
        self._loop.run(self._run(cases))

    async def _run(self, cases: Sequence[Case]) -> None:
        failures = await asyncio.gather(*map(self._check, cases), return_exceptions=True)
        raise_first(cases, failures)

    async def _check(self, case: Case) -> None:
        plain = await self._bare.exchange(case.plain())
        rid = (await self._wrapped.exchange(case.asking)).rid
        for _ in range(MAX_POLLS):
            result = await self._wrapped.exchange(polling(rid))
            if not is_unfinished(result):
                break
        assert_equal(plain, result, rid)
        self.seen.update(kinds_of(plain))
        status = await self._wrapped.exchange(sent("GET", f"/bgrs/{rid}"))
        assert_status(plain, status)

    def close(self) -> None:
        self._wrapped.close()
        self._loop.close()


class WsgiHarness:
    """For a WSGI application.

    Parameters:
        reads_chunked: whether it reads a chunked upload. Django's WSGI handler takes it for empty, called plainly; in
            the background, where the length is known, it reads it.
    """

    def __init__(self, app: Any, data_dir: Path, *, reads_chunked: bool = True) -> None:
        self.seen: Counter[str] = Counter()
        self._reads_chunked = reads_chunked
        self._bare = WsgiGateway(app)
        self._middleware = WsgiMiddleware(app, settings=settings_for(data_dir))
        self._wrapped = WsgiGateway(self._middleware)
        self._threads = ThreadPoolExecutor(20)

    def run(self, cases: Sequence[Case]) -> None:
        raise_first(cases, list(self._threads.map(self._failure, cases)))

    def _failure(self, case: Case) -> Exception | AssertionError | None:
        try:
            self._check(case)
        except Exception as error:  # raised by the caller, in its own thread
            return error
        return None

    def _check(self, case: Case) -> None:
        plain = self._bare.exchange(case.plain(may_be_chunked=self._reads_chunked))
        rid = self._wrapped.exchange(case.asking).rid
        for _ in range(MAX_POLLS):
            result = self._wrapped.exchange(polling(rid))
            if not is_unfinished(result):
                break
        assert_equal(plain, result, rid)
        self.seen.update(kinds_of(plain))
        assert_status(plain, self._wrapped.exchange(sent("GET", f"/bgrs/{rid}")))

    def close(self) -> None:
        self._threads.shutdown()
        close_service(self._middleware)


def polling(rid: str) -> Sent:
    """A request that waits for the result."""
    return sent("GET", f"/bgrs/{rid}/result?wait_for=25")


def kinds_of(plain: Answer) -> Iterator[str]:
    """What kinds of answers a run must have had, so that it says something."""
    if not plain.whole:
        yield "broken off"
    elif len(plain.body) > ROW_BYTES:
        yield "in a file"
    elif not plain.body:
        yield "empty"
    elif plain.status >= 500:
        yield "server errors"


def is_unfinished(result: Answer) -> bool:
    """Whether to ask again. A captured 202 is a result."""
    return result.status == 202 and result.header("bgrs-status") in ("queued", "running")


def assert_status(plain: Answer, status: Answer) -> None:
    """The status document says how it ended."""
    (document,) = status.json()
    if plain.whole:
        assert (document["status_name"], document["status"]) == ("finished", str(plain.status))
        assert document["progress"] == "100.00"
    else:
        assert (document["status_name"], document["status"], document["result"]) == ("failed", None, None)


def raise_first(cases: Sequence[Case], failures: Sequence[BaseException | None]) -> None:
    """Raise the first failure, with the case that it happened in."""
    for case, failure in zip(cases, failures, strict=True):
        if failure is not None:
            failure.add_note(f"in the case {case!r}")
            raise failure
