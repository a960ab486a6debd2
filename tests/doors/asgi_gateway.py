"""An ASGI server without sockets: builds scopes as uvicorn does, runs the lifespan, judges what an application sends.

It has one event loop in a thread of its own, as a server process has, so that tests are plain functions and an
application's pools and tasks live on between two requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar
from urllib.parse import unquote

from .answer import CLIENT, SERVER, SERVER_ERROR_BODY, SERVER_ERROR_HEADERS, Answer, Sent, is_whole, sent

T = TypeVar("T")

WAIT_SECONDS = 60.0


class LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="test-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_SECONDS)

    def close(self) -> None:
        """End everything that still runs, and the thread."""
        self.run(_end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_SECONDS)
        self.loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


class AsgiGateway:
    """A server of one application.

    Parameters:
        app: the application.
        loop: where it runs; one of its own where it is left out.
        root_path: the prefix that a proxy has taken away, as uvicorn's `--root-path`.
        lifespan: whether the server speaks the lifespan protocol.
    """

    def __init__(self, app: Any, *, loop: LoopThread | None = None, root_path: str = "", lifespan: bool = True) -> None:
        self.app = app
        self.loop = LoopThread() if loop is None else loop
        self._owns_loop = loop is None
        self._root_path = root_path
        self._state: dict[str, Any] = {}
        self._lifespan = _Lifespan(app, self._state) if lifespan else None

    def __enter__(self) -> AsgiGateway:
        if self._lifespan is not None:
            self.loop.run(self._lifespan.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut the application down, as at SIGTERM."""
        if self._lifespan is not None:
            self.loop.run(self._lifespan.stop())
        if self._owns_loop:
            self.loop.close()

    def call(
        self, method: str, target: str | bytes, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", **more: Any
    ) -> Answer:
        """Send a request and wait for the answer."""
        return self.loop.run(self.exchange(sent(method, target, headers, body, **more)))

    def scope(self, request: Sent) -> dict[str, Any]:
        """The scope of a request, as uvicorn builds it."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": SERVER,
            "client": CLIENT,
            "scheme": "http",
            "method": request.method,
            "root_path": self._root_path,
            "path": self._root_path + unquote(request.raw_path.decode("latin-1")),
            "raw_path": self._root_path.encode() + request.raw_path,
            "query_string": request.query,
            "headers": [(name.lower(), value) for name, value in request.header_lines],
            "state": self._state.copy(),
            "extensions": {},
        }

    async def exchange(self, request: Sent, scope: dict[str, Any] | None = None) -> Answer:
        """The same as `call`, on the loop."""
        cycle = _Cycle(request)
        try:
            await self.app(self.scope(request) if scope is None else scope, cycle.receive, cycle.send)
        except Exception:
            # A server logs it. What the client sees depends on what was sent before.
            pass
        finally:
            cycle.ended.set()
        return cycle.answer()


class _Cycle:
    """One request and its response."""

    def __init__(self, request: Sent) -> None:
        self._request = request
        self._unsent = list(request.pieces)
        self._body_given = False
        self._status: int | None = None
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._body = bytearray()
        self._complete = False
        self.ended = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._unsent:
            piece = self._unsent.pop(0)
            more = bool(self._unsent) or self._request.chunked or self._request.leaves
            self._body_given = not more
            return {"type": "http.request", "body": piece, "more_body": more}
        if self._request.leaves:
            return {"type": "http.disconnect"}
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            assert self._status is None, "a second response was started"
            self._status = message["status"]
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers", ()))
            return
        assert message["type"] == "http.response.body", message["type"]
        assert self._status is not None, "a body came before the response was started"
        assert not self._complete, "something came after the end of the response"
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            self._complete = True
            self.ended.set()

    def answer(self) -> Answer:
        if self._status is None:
            # Raised, or returned without a response: both are the server's own 500.
            return Answer(status=500, headers=SERVER_ERROR_HEADERS, body=SERVER_ERROR_BODY)
        whole = is_whole(self._request.method, self._status, self._headers, len(self._body), ended=self._complete)
        return Answer(status=self._status, headers=self._headers, body=bytes(self._body), whole=whole)


class _Lifespan:
    """The server's half of the lifespan protocol; an application without one is left alone."""

    def __init__(self, app: Any, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        await self._inbox.put({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run())
        answer = await self._outbox.get()
        assert answer in ("lifespan.startup.complete", "none"), answer

    async def stop(self) -> None:
        await self._inbox.put({"type": "lifespan.shutdown"})
        assert self._task is not None
        await self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception:
            # As uvicorn's `--lifespan auto`: an application that raises has no lifespan.
            await self._outbox.put("none")

    async def _send(self, message: Any) -> None:
        await self._outbox.put(message["type"])
