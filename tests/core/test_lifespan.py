"""Lifespan: ours around the application's, and alone where it has none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette

from bgrs_middleware.lifespan import run_lifespan


class Server:
    """Plays the server's part: startup, then shutdown, and notes everything in order."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.inbox = ["lifespan.startup", "lifespan.shutdown"]

    async def receive(self):
        return {"type": self.inbox.pop(0)}

    async def send(self, message):
        self.log.append(message["type"])


def play(app) -> list[str]:
    log: list[str] = []
    server = Server(log)

    async def startup():
        log.append("we start")

    async def shutdown():
        log.append("we stop")

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    try:
        asyncio.run(run_lifespan(app, scope, server.receive, server.send, startup=startup, shutdown=shutdown))
    except RuntimeError as error:
        log.append(f"raised {error}")
    return log


ALONE = ["we start", "lifespan.startup.complete", "we stop", "lifespan.shutdown.complete"]


def test_the_application_starts_before_us_and_stops_after_us():
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(app):
        log.append("application starts")
        yield
        log.append("application stops")

    app = Starlette(lifespan=lifespan)
    server = Server(log)

    async def startup():
        log.append("we start")

    async def shutdown():
        log.append("we stop")

    scope = {"type": "lifespan", "app": app, "state": {}}
    asyncio.run(run_lifespan(app, scope, server.receive, server.send, startup=startup, shutdown=shutdown))
    assert log == [
        "application starts",
        "we start",
        "lifespan.startup.complete",
        "we stop",
        "application stops",
        "lifespan.shutdown.complete",
    ]


async def refuses(scope, receive, send):
    raise ValueError("only http here")


async def refuses_after_receiving(scope, receive, send):
    await receive()
    raise KeyError("path")


async def ignores(scope, receive, send):
    return


@pytest.mark.parametrize("app", [refuses, refuses_after_receiving, ignores])
def test_it_is_answered_here_where_the_application_has_none(app):
    assert play(app) == ALONE


def test_a_failed_startup_of_the_application_is_passed_on_and_we_do_not_start():
    async def fails(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    assert play(fails) == ["lifespan.startup.failed", "raised no database"]


def test_an_application_that_breaks_down_while_it_serves_stops_us_and_is_heard():
    async def breaks(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise RuntimeError("pool lost")

    assert play(breaks) == ["we start", "lifespan.startup.complete", "we stop", "raised pool lost"]
