"""A replay passes the whole application: users, sessions, error handlers, context and teardown, as the call does."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort, g, session
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser, requires
from starlette.background import BackgroundTask
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bgrs_middleware import report_progress
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

from .answer import Answer
from .asgi_gateway import AsgiGateway
from .stage import Stage
from .wsgi_gateway import WsgiGateway, close_service

ANN = ("Authorization", "Basic " + base64.b64encode(b"ann:x").decode())
IDENTITY = ("Accept-Encoding", "identity")


class Basic(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        if "Authorization" not in conn.headers:
            return None
        name = base64.b64decode(conn.headers["Authorization"].split()[1]).decode().partition(":")[0]
        return AuthCredentials(["authenticated"]), SimpleUser(name)


@requires("authenticated")
async def me(request: Request) -> Response:
    seen = request.session.get("seen", 0)
    request.session["seen"] = seen + 1
    return JSONResponse({"user": request.user.display_name, "seen": seen, "resource": request.state.resource})


async def fails(request: Request) -> Response:
    raise LookupError("no such shelf")


async def teapot(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=500, headers={"X-Handled": "yes"})


def sync_endpoint(request: Request) -> Response:
    report_progress(60, "in the thread pool")
    request.app.state.stage.gate("sync").pass_through()
    return PlainTextResponse("sync")


async def with_task(request: Request) -> Response:
    stage: Stage = request.app.state.stage
    return PlainTextResponse("sent", background=BackgroundTask(stage.gate("task").pass_through_async))


async def large(request: Request) -> Response:
    return PlainTextResponse("x" * 5000)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"resource": "a pool"}


class Starlettes:
    """A Starlette application with all that, and its gateway."""

    def __init__(self, data_dir: Path) -> None:
        self.stage = Stage()
        routes = [
            Route("/me", me),
            Route("/fails", fails),
            Route("/sync", sync_endpoint),
            Route("/task", with_task),
            Route("/large", large),
        ]
        app = Starlette(routes=routes, exception_handlers={500: teapot}, lifespan=lifespan)
        app.state.stage = self.stage
        app.add_middleware(
            AsgiMiddleware, data_dir=str(data_dir), min_free_bytes=0, identify=lambda scope: scope.get("user")
        )
        app.add_middleware(AuthenticationMiddleware, backend=Basic())
        app.add_middleware(SessionMiddleware, secret_key="only for tests")
        app.add_middleware(GZipMiddleware)
        app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
        self.gateway = AsgiGateway(app)

    def background(self, target: str, *headers: tuple[str, str]) -> Answer:
        return self.gateway.call("GET", f"{target}?bgrs=yes&wait_for=25", headers)


@pytest.fixture
def starlettes(data_dir: Path) -> Iterator[Starlettes]:
    made = Starlettes(data_dir)
    with made.gateway:
        yield made
        made.stage.open_all()


def test_user_session_and_lifespan_state_are_those_of_the_call(starlettes: Starlettes) -> None:
    plain = starlettes.gateway.call("GET", "/me", [ANN])
    cookie = ("Cookie", (plain.all("set-cookie")[0]).partition(";")[0])
    again = starlettes.gateway.call("GET", "/me", [ANN, cookie])
    assert again.json() == {"user": "ann", "seen": 1, "resource": "a pool"}
    answer = starlettes.background("/me", ANN, cookie)
    assert (answer.status, answer.json()) == (200, again.json())
    assert answer.all("set-cookie") == []


def test_the_owner_is_the_applications_user(starlettes: Starlettes) -> None:
    rid = starlettes.background("/me", ANN).header("bgrs-request")
    (document,) = starlettes.gateway.call("GET", f"/bgrs/{rid}").json()
    assert document["user_id"] == "ann"
    assert starlettes.gateway.call("GET", f"/bgrs/{rid}/details").status == 403
    assert starlettes.gateway.call("GET", f"/bgrs/{rid}/details", [ANN]).status == 200


def test_what_the_user_may_not_do_is_refused_in_the_replay_too(starlettes: Starlettes) -> None:
    assert starlettes.gateway.call("GET", "/me").status == 403
    assert starlettes.background("/me").status == 403


def test_the_applications_own_500_is_the_result(starlettes: Starlettes) -> None:
    plain, answer = starlettes.gateway.call("GET", "/fails"), starlettes.background("/fails")
    assert (answer.status, answer.body) == (plain.status, plain.body) == (500, b'{"error":"no such shelf"}')
    assert answer.header("x-handled") == "yes"


def test_middlewares_around_encode_the_results_and_not_the_captured_body(starlettes: Starlettes) -> None:
    rid = starlettes.background("/large", ("Accept-Encoding", "gzip")).header("bgrs-request")
    plain = starlettes.gateway.call("GET", f"/bgrs/{rid}/result", [IDENTITY])
    assert plain.body == b"x" * 5000
    assert plain.header("content-encoding") is None
    allowed = starlettes.gateway.call("GET", f"/bgrs/{rid}/result", [("Origin", "https://app.example"), IDENTITY])
    assert allowed.header("access-control-allow-origin") == "https://app.example"


def test_a_sync_endpoint_reports_from_its_thread(starlettes: Starlettes) -> None:
    rid = starlettes.gateway.call("GET", "/sync?bgrs=yes").rid
    starlettes.stage.gate("sync").wait_until_reached()
    (document,) = starlettes.gateway.call("GET", f"/bgrs/{rid}").json()
    assert (document["progress"], document["message"]) == ("60.00", "in the thread pool")
    starlettes.stage.gate("sync").open()


def test_the_result_is_there_while_a_background_task_still_runs(starlettes: Starlettes) -> None:
    answer = starlettes.background("/task")
    assert (answer.status, answer.body) == (200, b"sent")
    starlettes.stage.gate("task").wait_until_reached()
    (document,) = starlettes.gateway.call("GET", f"/bgrs/{answer.header('bgrs-request')}").json()
    assert (document["status_name"], document["progress"]) == ("finished", "100.00")


class Flasks:
    """A Flask application with a session, `g`, an error page and a teardown."""

    def __init__(self, data_dir: Path) -> None:
        self.told: list[str] = []
        app = Flask("whole")
        app.secret_key = "only for tests"
        app.add_url_rule("/me", view_func=self.me)
        app.add_url_rule("/fails", view_func=self.fails)
        app.add_url_rule("/forbidden", view_func=self.forbidden)
        app.before_request(self.begin)
        app.after_request(self.sign)
        app.teardown_request(self.end)
        app.register_error_handler(500, lambda error: ({"error": "sorry"}, 500))
        self.middleware = WsgiMiddleware(app.wsgi_app, data_dir=str(data_dir), min_free_bytes=0)
        app.wsgi_app = self.middleware  # type: ignore[method-assign]  # Flask's documented place for it
        self.gateway = WsgiGateway(app)

    def begin(self) -> None:
        g.begun = True

    def me(self) -> dict[str, Any]:
        session["seen"] = session.get("seen", 0) + 1
        return {"seen": session["seen"], "begun": g.begun}

    def fails(self) -> str:
        raise LookupError("no such shelf")

    def forbidden(self) -> str:
        abort(403)

    def sign(self, response: Any) -> Any:
        response.headers["X-Signed"] = str(g.begun)
        return response

    def end(self, _: BaseException | None) -> None:
        self.told.append("teardown")


@pytest.fixture
def flasks(data_dir: Path) -> Iterator[Flasks]:
    made = Flasks(data_dir)
    yield made
    close_service(made.middleware)


@pytest.mark.parametrize("path", ["/me", "/fails", "/forbidden", "/nothing"])
def test_flask_answers_a_replay_as_it_answers_a_call(flasks: Flasks, path: str) -> None:
    plain = flasks.gateway.call("GET", path)
    answer = flasks.gateway.call("GET", f"{path}?bgrs=yes&wait_for=25")
    assert (answer.status, answer.body) == (plain.status, plain.body)
    assert answer.header("x-signed") == plain.header("x-signed") == "True"
    # Two calls, each with its teardown.
    assert flasks.told == ["teardown"] * 2


def test_flasks_session_is_read_in_a_replay(flasks: Flasks) -> None:
    plain = flasks.gateway.call("GET", "/me")
    cookie = ("Cookie", plain.all("set-cookie")[0].partition(";")[0])
    assert flasks.gateway.call("GET", "/me?bgrs=yes&wait_for=25", [cookie]).json() == {"seen": 2, "begun": True}
