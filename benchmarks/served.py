"""The applications that are measured behind uvicorn, and the process that serves one of them.

Each is raw ASGI. Two constants are answered before the middleware is reached: what the same server can do at most.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from socket import socket
from time import perf_counter
from typing import Any

from bgrs_middleware.asgi import BgrsMiddleware
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores import make_store
from bgrs_middleware.stores.base import Store, Transaction

from .machine import use_all_cores

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PIECE = bytes(range(256)) * 256
"""64 KiB, what a streaming application sends at a time."""

MANY = 100_000_000


async def answer(send: Send, body: bytes, content_type: bytes = b"application/json") -> None:
    """Send one whole response."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def trivial(scope: Scope, receive: Receive, send: Send) -> None:
    """An endpoint that does nothing."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await answer(send, b'{"done": true}')


async def stream(send: Send, length: int) -> None:
    """Send so many bytes, which must be a multiple of 64 KiB, in pieces of 64 KiB."""
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for sent in range(len(PIECE), length + 1, len(PIECE)):
        await send({"type": "http.response.body", "body": PIECE, "more_body": sent < length})


def beside_constants(app: Application, beside: Mapping[str, Application]) -> Application:
    """The application, with two constants and others answered before it.

    `/bare` is the least that this server can answer. `/constant` is the first answer of the application itself, sent
    again: the same status, headers and body, so that what it costs more to make them is all that differs.
    """
    answer_again: list[Message] = []

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b'{"constant": true}')

    async def constant(scope: Scope, receive: Receive, send: Send) -> None:
        for message in answer_again:
            await send(message)

    outside = {"/bare": bare, "/constant": constant, **beside}

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = outside.get(scope["path"]) if scope["type"] == "http" else app
        if chosen is None and not answer_again:
            await app(scope, receive, _kept(send, answer_again))
        else:
            await (chosen or app)(scope, receive, send)

    return dispatch


def _kept(send: Send, answer_again: list[Message]) -> Send:
    """Send, and keep the messages of an answer when it is over; of several that begin at once, the first to end."""
    messages: list[Message] = []

    async def keep_and_send(message: Message) -> None:
        messages.append(message)
        await send(message)
        if message["type"] == "http.response.body" and not answer_again:
            answer_again.extend(messages)

    return keep_and_send


class _CountedTransaction:
    """A transaction that counts what is finished in it."""

    def __init__(self, transaction: Transaction, counts: Counts) -> None:
        self._transaction = transaction
        self._counts = counts

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._transaction, verb)

    def finish(self, orders: Sequence[Any]) -> Any:
        outcomes = self._transaction.finish(orders)
        self._counts.finished += sum(outcome.done for outcome in outcomes)
        return outcomes


class Counts:
    """What was committed since the process began; `at` is the clock at the last commit that ended a request."""

    def __init__(self) -> None:
        self.commits = 0
        self.finished = 0
        self.at = 0.0

    def as_json(self) -> bytes:
        return json.dumps({"commits": self.commits, "finished": self.finished, "at": self.at}).encode("ascii")


def count(store: Store) -> Counts:
    """Count the commits of a store. The clock that is noted is monotonic and the same in all processes."""
    counts = Counts()
    begin = store.transaction

    @contextmanager
    def transaction() -> Iterator[Any]:
        finished = counts.finished
        with begin() as one:
            yield _CountedTransaction(one, counts)
        counts.commits += 1
        if counts.finished > finished:
            counts.at = perf_counter()

    # In place of the method, so that the store stays the one that is measured in every other respect.
    setattr(store, "transaction", transaction)  # noqa: B010  # an assignment would be an error of types
    return counts


def accepting(folder: str, *, executor: str, concurrency: int) -> Application:
    """Accepts requests for a trivial endpoint; `/counts` tells what was committed."""
    store = make_store(Settings(data_dir=folder))
    counted = count(store)
    app = BgrsMiddleware(
        trivial, data_dir=folder, store=store, executor=executor, concurrency=concurrency, max_queued=MANY
    )

    async def counts(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, counted.as_json())

    return beside_constants(app, {"/counts": counts})


def reading(folder: str, *, few: str, many: str) -> Application:
    """Answers for two stores, below `/few` and `/many`, filled beforehand and never run here."""
    app: Application = trivial
    for name, where in (("few", few), ("many", many)):
        app = BgrsMiddleware(
            app, path=f"/{name}", param=f"bgrs-{name}", data_dir=os.path.join(folder, where), executor="worker"
        )
    return beside_constants(app, {})


def streaming(folder: str, *, length: int, plain: str) -> Application:
    """`/stream` sends so many bytes, `/file` sends the file `plain` through Starlette's FileResponse."""
    from starlette.responses import FileResponse

    async def big(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        await stream(send, length)

    async def file(scope: Scope, receive: Receive, send: Send) -> None:
        await FileResponse(plain, media_type="application/octet-stream")(scope, receive, send)

    return beside_constants(BgrsMiddleware(big, data_dir=folder), {"/file": file})


def main() -> None:
    """Serve the application that the command line names, on a socket that is open already."""
    import uvicorn

    use_all_cores()
    name, folder, number, options = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    applications: dict[str, Callable[..., Application]] = {
        "accepting": accepting,
        "reading": reading,
        "streaming": streaming,
    }
    app = applications[name](folder, **json.loads(options))
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        lifespan="on",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=600,
        backlog=1024,
    )
    server = uvicorn.Server(config)
    runner = config.get_loop_factory()
    with asyncio.Runner(loop_factory=runner) as loop:
        loop.run(server.serve([socket(fileno=int(number))]))


if __name__ == "__main__":
    main()
