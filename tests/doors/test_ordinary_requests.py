"""Ordinary requests and other scopes are passed on untouched, and nothing starts before it is needed."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware import Rule
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.errors import NotFound
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

from .answer import sent
from .asgi_gateway import AsgiGateway, LoopThread
from .door import Door
from .wsgi_gateway import WsgiGateway

ORDINARY = [
    sent("GET", "/items"),
    sent("POST", "/items?a=1&a=2", [("Content-Type", "text/plain")], b"body"),
    sent("GET", "/items?bgrs=no"),
    sent("GET", "/bgrs-like/bgrs?x=bgrs"),
    sent("GET", "/items", [("Prefer", "return=minimal")]),
    sent("HEAD", "/items?bgrs=yes"),
    sent("OPTIONS", "/items?bgrs=yes", [("Prefer", "respond-async")]),
]
RULES = (Rule(path="/other", wait_seconds=3),)


@pytest.mark.parametrize("request_", ORDINARY, ids=lambda request: request.target.decode())
@pytest.mark.parametrize("rules", [(), RULES])
def test_the_very_objects_are_passed_on_under_asgi(data_dir: Path, request_: Any, rules: tuple[Rule, ...]) -> None:
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.extend(arguments)

    async def receive() -> Any:
        raise AssertionError("nobody may read the request but the application")

    async def send(message: Any) -> None:
        raise AssertionError("nobody may answer but the application")

    loop = LoopThread()
    middleware = AsgiMiddleware(app, data_dir=str(data_dir), rules=rules)
    scope = AsgiGateway(middleware, loop=loop).scope(request_)
    before = dict(scope)
    loop.run(middleware(scope, receive, send))
    loop.close()
    assert passed[0] is scope
    assert passed[1:] == [receive, send]
    assert scope == before
    assert not data_dir.exists()


@pytest.mark.parametrize("request_", ORDINARY, ids=lambda request: request.target.decode())
@pytest.mark.parametrize("rules", [(), RULES])
def test_the_very_objects_are_passed_on_under_wsgi(data_dir: Path, request_: Any, rules: tuple[Rule, ...]) -> None:
    passed: list[Any] = []
    answer = [b"the application's own iterable"]

    def app(*arguments: Any) -> list[bytes]:
        passed.extend(arguments)
        return answer

    middleware = WsgiMiddleware(app, data_dir=str(data_dir), rules=rules)
    environ = WsgiGateway(middleware).environ(request_)
    before = dict(environ)

    def start_response(*_: Any) -> None:
        raise AssertionError("nobody may answer but the application")

    assert middleware(environ, start_response) is answer
    assert passed[0] is environ
    assert passed[1] is start_response
    assert environ == before
    assert not data_dir.exists()


@pytest.mark.parametrize("kind", ["websocket", "lifespan.like", "unknown"])
def test_other_scopes_are_passed_on_with_their_objects(data_dir: Path, kind: str) -> None:
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.extend(arguments)

    async def receive() -> Any: ...
    async def send(message: Any) -> None: ...

    scope = {"type": kind, "path": "/bgrs/x", "query_string": b"bgrs=yes", "headers": [(b"prefer", b"respond-async")]}
    asyncio.run(AsgiMiddleware(app, data_dir=str(data_dir))(scope, receive, send))
    assert passed[0] is scope
    assert passed[1:] == [receive, send]
    assert not data_dir.exists()


def test_nothing_starts_before_the_first_background_request(open_door, data_dir: Path) -> None:
    gc.collect()
    door = open_door(lifespan=False)
    for request in ORDINARY:
        door.gateway.call(request.method, request.target)
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("bgrs")]
    assert ours == []
    assert not data_dir.exists()
    assert door.result(door.ask("/items")).status == 200
    assert data_dir.exists()


def test_nothing_starts_for_a_request_that_is_refused_at_first_sight(open_door, data_dir: Path) -> None:
    door = open_door(lifespan=False)
    assert door.get("/items?bgrs=perhaps").status == 400
    assert door.get("/bgrs/no-rid").status == 404
    assert door.call("PUT", "/bgrs").status == 405
    assert not data_dir.exists()


def test_the_exceptions_of_an_ordinary_call_are_the_servers_to_answer(door: Door) -> None:
    assert door.get("/do/raise:oops").body == b"Internal Server Error"
    answer = door.get("/do/length:9/send:3/raise:oops")
    assert (answer.status, answer.whole) == (200, False)


@pytest.mark.parametrize("request_", ORDINARY, ids=lambda request: request.target.decode())
def test_an_exception_of_our_own_that_the_application_raises_is_not_taken_for_ours(
    data_dir: Path, request_: Any
) -> None:
    def wsgi_app(*_: Any) -> list[bytes]:
        raise NotFound

    async def asgi_app(*_: Any) -> None:
        raise NotFound

    middleware = WsgiMiddleware(wsgi_app, data_dir=str(data_dir), rules=RULES)
    with pytest.raises(NotFound):
        middleware(WsgiGateway(middleware).environ(request_), lambda *_: None)
    door = AsgiMiddleware(asgi_app, data_dir=str(data_dir), rules=RULES)

    async def receive() -> Any: ...
    async def send(message: Any) -> None: ...

    loop = LoopThread()
    scope = AsgiGateway(door, loop=loop).scope(request_)
    with pytest.raises(NotFound):
        loop.run(door(scope, receive, send))
    loop.close()


def test_the_files_are_for_their_owner_alone(door: Door, data_dir: Path) -> None:
    umask = os.umask(0)
    try:
        rid = door.ask("/do/length:200000/send:200000", method="POST", body=b"x" * 200_000)
        door.ended(rid)
    finally:
        os.umask(umask)
    modes = {}
    for path in [data_dir, *data_dir.rglob("*")]:
        # What is replayed no more is removed some time soon.
        with suppress(FileNotFoundError):
            modes[path] = path.stat().st_mode
    assert len(modes) > 4
    for path, mode in modes.items():
        assert mode & 0o777 == (0o700 if stat.S_ISDIR(mode) else 0o600), path


FORKING = """
import os, sys
sys.path[:0] = sys.argv[2:]
from doors.applications import WsgiApplication
from doors.stage import Stage
from doors.wsgi_gateway import WsgiGateway
from bgrs_middleware.wsgi import BgrsMiddleware

middleware = BgrsMiddleware(WsgiApplication(Stage()), data_dir=sys.argv[1], min_free_bytes=0)
gateway = WsgiGateway(middleware)

def ask():
    answer = gateway.call("GET", "/do/me?bgrs=yes&wait_for=25")
    assert answer.status == 200, answer
    return answer.json()[0]["rid"]

first = ask()
service = middleware._doorway.service
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    status = 1
    try:
        mine = ask()
        assert middleware._doorway.service is not service
        assert gateway.call("GET", f"/bgrs/{first}/result").status == 200
        os.write(writer, mine.encode())
        status = 0
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
theirs = os.read(reader, 100).decode()
assert gateway.call("GET", f"/bgrs/{theirs}/result").status == 200
second = ask()
assert middleware._doorway.service is service
assert len({first, second, theirs}) == 3
print("all answered")
"""


def test_a_forked_child_has_a_service_of_its_own(tmp_path: Path) -> None:
    tests = Path(__file__).parent.parent
    paths = [str(tests), *(path for path in sys.path if path)]
    command = [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path / "data"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "all answered\n", done.stderr
