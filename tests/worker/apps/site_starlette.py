"""Starlette applications with a resource of their lifespan, the middleware at different places inside."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from bgrs_middleware import Settings
from bgrs_middleware.asgi import BgrsMiddleware

SETTINGS = Settings.from_env()
GO = Path(os.environ["ORACLE_GO"])


def note(text):
    with (GO / "lifespan").open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


@asynccontextmanager
async def lifespan(app):
    note("startup")
    yield {"pool": "a pool"}
    note("shutdown")


async def told(request):
    return JSONResponse(
        {"pid": os.getpid(), "pool": getattr(request.state, "pool", None), "path": request.url.path},
        headers={"x-outer": request.scope.get("passed", "no")},
    )


def deaf(request):
    note("deaf")
    while not (GO / "deaf").exists():
        pass
    return PlainTextResponse("heard")


class Passed:
    """Further out than the background middleware: a replay must pass it as a call does."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app({**scope, "passed": "yes"}, receive, send)


ROUTES = [Route("/told", told, methods=["GET", "POST"]), Route("/deaf", deaf, methods=["POST"])]
MIDDLEWARE = [Middleware(Passed), Middleware(BgrsMiddleware, settings=SETTINGS)]

added = Starlette(routes=ROUTES, lifespan=lifespan, middleware=MIDDLEWARE)
around = BgrsMiddleware(Passed(Starlette(routes=ROUTES, lifespan=lifespan)), settings=SETTINGS)

# Nothing of a lifespan comes below a mount.
wrapped = BgrsMiddleware(Starlette(routes=ROUTES), settings=SETTINGS)
mounted = Starlette(routes=[Mount("/below", app=wrapped)], lifespan=lifespan, middleware=[Middleware(Passed)])
inner = Starlette(routes=ROUTES, middleware=MIDDLEWARE[1:])
inside_mounted = Starlette(routes=[Mount("/below", app=inner)], lifespan=lifespan, middleware=[Middleware(Passed)])


async def hidden(scope, receive, send):
    """Nothing can be seen from outside; but the lifespan passes."""
    await around(scope, receive, send)


def failing_lifespan(app):
    raise RuntimeError("the licence server is away")


unstartable = Starlette(lifespan=failing_lifespan, middleware=MIDDLEWARE)
without = Starlette(routes=ROUTES, lifespan=lifespan, middleware=[Middleware(Passed)])
in_memory = BgrsMiddleware(Starlette(), store="memory://")
