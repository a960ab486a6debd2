"""Below a mount: routes, URLs and replays know where they are (`root_path`, `SCRIPT_NAME`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

from .answer import Answer
from .asgi_gateway import AsgiGateway
from .door import Door
from .wsgi_gateway import WsgiGateway, close_service


def where(request: Request) -> dict[str, Any]:
    """Where an endpoint believes that it is."""
    return {
        "url": str(request.url),
        "path": request.url.path,
        "root_path": request.scope["root_path"],
        "item": request.path_params.get("item"),
        "outer": request.scope.get("outer"),
    }


async def endpoint(request: Request) -> JSONResponse:
    return JSONResponse(where(request))


class Outer:
    """A middleware of the outer application, which a call passes and so a replay must."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "outer": scope.get("outer", 0) + 1}, receive, send)


def starlette_mount(settings: dict[str, Any]) -> Any:
    inner = Starlette(routes=[Route("/items/{item:path}", endpoint, methods=["GET", "POST"])])
    return Starlette(routes=[Mount("/api", app=AsgiMiddleware(inner, **settings))], middleware=[Middleware(Outer)])


def starlette_routes_mount(settings: dict[str, Any]) -> Any:
    """The middleware on the mount itself, whose routes belong to the outer application."""
    routes = [Route("/items/{item:path}", endpoint, methods=["GET", "POST"])]
    mount = Mount("/api", routes=routes, middleware=[Middleware(AsgiMiddleware, **settings)])
    return Starlette(routes=[mount], middleware=[Middleware(Outer)])


def fastapi_sub_application(settings: dict[str, Any]) -> Any:
    sub = FastAPI()
    sub.add_middleware(AsgiMiddleware, **settings)

    @sub.api_route("/items/{item:path}", methods=["GET", "POST"])
    async def items(request: Request) -> dict[str, Any]:
        return where(request)

    app = FastAPI()
    app.add_middleware(Outer)
    app.mount("/api", sub)
    return app


def nested_mounts(settings: dict[str, Any]) -> Any:
    inner = Starlette(routes=[Route("/items/{item:path}", endpoint, methods=["GET", "POST"])])
    deeper = Starlette(routes=[Mount("/pi", app=AsgiMiddleware(inner, **settings))])
    return Starlette(routes=[Mount("/a", app=deeper)], middleware=[Middleware(Outer)])


def mount_with_middleware(settings: dict[str, Any]) -> Any:
    """A mounted application that names itself, behind a middleware of its mount."""
    inner = Starlette(
        routes=[Route("/items/{item:path}", endpoint, methods=["GET", "POST"])],
        middleware=[Middleware(AsgiMiddleware, **settings)],
    )
    return Starlette(routes=[Mount("/api", app=inner, middleware=[Middleware(Outer)])])


PREFIXES = {
    mount_with_middleware: "/api",
    starlette_mount: "/api",
    starlette_routes_mount: "/api",
    fastapi_sub_application: "/api",
    nested_mounts: "/a/pi",
}
# Where an inner application names itself in the scope, nothing tells which one is around it: a replay enters by the
# outermost router, and the outermost application's own middleware is not passed.
OUT_OF_REACH = (fastapi_sub_application, nested_mounts)


@pytest.fixture(params=PREFIXES, ids=lambda maker: maker.__name__)
def mounted(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[tuple[AsgiGateway, str, dict[str, None]]]:
    settings = {"data_dir": str(data_dir), "min_free_bytes": 0}
    built: list[Any] = []
    build = AsgiMiddleware.__init__

    def remember(self: Any, *arguments: Any, **keywords: Any) -> None:
        built.append(self)
        build(self, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsgiMiddleware, "__init__", remember)
        with AsgiGateway(request.param(settings)) as gateway:
            yield gateway, PREFIXES[request.param], {"outer": None} if request.param in OUT_OF_REACH else {}
            for middleware in built:
                close_service(middleware)


def finished(call: Any, path: str) -> Answer:
    """The result below a path, once it is there."""
    for _ in range(20):
        answer: Answer = call("GET", f"{path}/result?wait_for=5")
        if answer.header("bgrs-status") not in ("queued", "running"):
            return answer
    raise AssertionError("it does not end")


@pytest.mark.parametrize("path", ["/items/a", "/items/a%2Fb/%C3%A9", "/items/x?a=1&b=%20"])
def test_a_mounted_asgi_application_is_replayed_where_it_is(
    mounted: tuple[AsgiGateway, str, dict[str, None]], path: str
) -> None:
    gateway, prefix, passed = mounted
    plain = gateway.call("GET", prefix + path)
    assert plain.status == 200
    assert plain.json()["outer"] == 1
    accepted = gateway.call("GET", prefix + path + ("&" if "?" in path else "?") + "bgrs=yes")
    location = accepted.header("location") or ""
    assert location == f"http://api.example.com{prefix}/bgrs/{accepted.rid}/result"
    result = finished(gateway.call, f"{prefix}/bgrs/{accepted.rid}")
    assert (result.status, result.json()) == (200, plain.json() | passed)
    assert gateway.call("GET", f"{prefix}/bgrs/{accepted.rid}").json()[0]["name"].startswith(prefix)


def test_our_routes_of_a_mount_are_below_it_only(mounted: tuple[AsgiGateway, str, dict[str, None]]) -> None:
    gateway, prefix, _ = mounted
    rid = gateway.call("GET", f"{prefix}/items/a?bgrs=yes").rid
    finished(gateway.call, f"{prefix}/bgrs/{rid}")
    assert gateway.call("GET", f"/bgrs/{rid}").header("content-type") != "application/problem+json"
    assert gateway.call("GET", f"/bgrs/{rid}").status == 404


def test_the_type_of_a_mounted_request_is_named_below_the_mount(open_door) -> None:
    door = open_door(root_path="/proxy")
    target = "/items/a" if door.kind == "asgi" else "/proxy/items/a"
    prefix = "" if door.kind == "asgi" else "/proxy"
    rid = door.call("GET", f"{target}?bgrs=yes").rid
    finished(door.call, f"{prefix}/bgrs/{rid}")
    (document,) = door.get(f"{prefix}/bgrs/{rid}").json()
    assert (document["name"], document["type"]) == ("/proxy/items/a?bgrs=yes", "GET_ITEMS_A")


def test_a_root_path_of_the_server_is_in_the_replay(open_door) -> None:
    door = open_door(root_path="/proxy")
    prefix = "" if door.kind == "asgi" else "/proxy"
    plain = door.get(f"{prefix}/items/a%2Fb?q", [("Accept-Encoding", "identity")]).json()
    rid = door.call("GET", f"{prefix}/items/a%2Fb?q&bgrs=yes").rid
    assert finished(door.call, f"{prefix}/bgrs/{rid}").json() == plain
    assert plain["root_path" if door.kind == "asgi" else "script_name"] == "/proxy"


def test_a_mounted_flask_application_is_replayed_where_it_is(data_dir: Path) -> None:
    flask = Flask("inner")

    @flask.route("/items/<path:item>")
    def items(item: str) -> dict[str, Any]:
        return {"url": flask_request.url, "root": flask_request.script_root, "item": item}

    middleware = WsgiMiddleware(flask.wsgi_app, data_dir=str(data_dir), min_free_bytes=0)
    gateway = WsgiGateway(DispatcherMiddleware(Flask("outer").wsgi_app, {"/api": middleware}))
    plain = gateway.call("GET", "/api/items/a/%C3%A9?x=1")
    accepted = gateway.call("GET", "/api/items/a/%C3%A9?x=1&bgrs=yes")
    assert accepted.header("location") == f"http://api.example.com/api/bgrs/{accepted.rid}/result"
    result = finished(gateway.call, f"/api/bgrs/{accepted.rid}")
    assert result.json() == plain.json()
    assert plain.json()["root"] == "/api"
    close_service(middleware)


def test_two_middlewares_with_their_own_data_know_their_own_only(tmp_path: Path, kind: Any) -> None:
    one, two = Door(kind, tmp_path / "one"), Door(kind, tmp_path / "two")
    rid = one.ask("/items")
    one.ended(rid)
    assert two.get(f"/bgrs/{rid}").status == 404
    one.close()
    two.close()
