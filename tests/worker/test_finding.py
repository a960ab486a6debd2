"""Finding the middleware inside an application: every known kind of wrapping, and nothing that is endless."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, Router

from bgrs_middleware.asgi import BgrsMiddleware as AsgiDoor
from bgrs_middleware.worker.errors import CannotWork
from bgrs_middleware.worker.finding import MOST_OBJECTS, Found, choose, is_asgi, load_application, walk
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiDoor


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    return


class Wrapper:
    """Keeps what it wraps under the name that it is given."""

    def __init__(self, attribute: str, app: Any) -> None:
        setattr(self, attribute, app)

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []


def doors(application: Any) -> list[Any]:
    return [found.door for found in walk(application)]


@pytest.mark.parametrize("attribute", ["app", "wsgi_app", "application", "_app", "__wrapped__"])
def test_wrappers_are_looked_into_by_their_attributes(attribute: str) -> None:
    door = WsgiDoor(wsgi)
    assert doors(Wrapper(attribute, Wrapper(attribute, door))) == [door]


def test_functions_and_methods_around_it_are_looked_into() -> None:
    door = WsgiDoor(wsgi)

    def around(environ: Any, start_response: Any) -> Any:
        return door(environ, start_response)

    assert doors(around) == [door]
    assert doors(functools.partial(around)) == [door]
    assert doors(Wrapper("app", door).__call__) == [door]


def test_a_circle_is_walked_once() -> None:
    outer = Wrapper("app", None)
    inner = Wrapper("app", outer)
    door = WsgiDoor(inner)
    outer.app = door  # type: ignore[attr-defined]  # a wrapper has what it was given
    assert doors(outer) == [door]


def test_what_invents_attributes_is_asked_for_none() -> None:
    mock = MagicMock()
    assert doors(Wrapper("app", mock)) == []
    assert "app" not in mock._mock_children


def test_a_chain_without_end_is_given_up() -> None:
    class Endless:
        made = 0

        @property
        def app(self) -> Any:
            Endless.made += 1
            return Endless()

        def __call__(self) -> None: ...

    assert doors(Endless()) == []
    assert Endless.made <= 2 * MOST_OBJECTS


def test_an_attribute_that_raises_is_passed_by() -> None:
    door = WsgiDoor(wsgi)

    class Bad(Wrapper):
        @property
        def wsgi_app(self) -> Any:
            raise RuntimeError("only in a request")

    assert doors(Bad("app", door)) == [door]


def named(found: Found) -> tuple[Any, Any]:
    return found.scope.get("app"), found.scope.get("router")


def test_below_mounts_it_is_known_what_a_scope_would_name() -> None:
    """As Starlette names itself: the innermost application, the outermost router."""
    first, second, third = AsgiDoor(asgi), AsgiDoor(asgi), AsgiDoor(asgi)
    router = Router([Mount("/third", third)])
    inner = Starlette(routes=[Mount("/second", second)])
    outer = Starlette(routes=[Mount("/first", first), Mount("/inner", inner), Mount("/router", router)])
    found = {id(each.door): named(each) for each in walk(outer)}
    assert found == {
        id(first): (outer, outer.router),
        id(second): (inner, outer.router),
        id(third): (outer, outer.router),
    }


def test_a_middleware_that_was_added_stands_outside_of_the_router() -> None:
    app = Starlette(routes=[Route("/", asgi)])
    app.add_middleware(AsgiDoor)
    [found] = walk(app, {"pool": 1})
    assert named(found) == (app, None)
    assert found.scope["state"] == {"pool": 1}
    # The one that will be called, not another one made for the look.
    assert app.middleware_stack.app is found.door


def test_there_is_one_for_each_store(tmp_path: Path) -> None:
    first = WsgiDoor(wsgi, data_dir=str(tmp_path / "a"))
    same = WsgiDoor(first, data_dir=str(tmp_path / "b" / ".." / "a"))
    other = WsgiDoor(same, data_dir=str(tmp_path / "b"))
    database = WsgiDoor(other, data_dir=str(tmp_path / "b"), store=f"sqlite:///{tmp_path / 'c'}")
    assert [each.door for each in choose(database, "app:app", walk(database))] == [database, other, same]


def test_the_gateway_is_known_by_the_call_or_by_the_middleware() -> None:
    assert is_asgi(asgi)
    assert is_asgi(functools.partial(asgi))
    assert is_asgi(AsgiDoor(asgi))
    assert is_asgi(Wrapper("app", AsgiDoor(asgi)))
    assert not is_asgi(wsgi)
    assert not is_asgi(WsgiDoor(wsgi))


def test_what_is_no_application_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setitem(__import__("sys").modules, "some_site", SimpleNamespace(app=asgi, number=1))
    assert load_application("some_site:app", str(tmp_path)) is asgi
    with pytest.raises(CannotWork, match=r"some_site:number: a builtins\.int, which is no application"):
        load_application("some_site:number", str(tmp_path))
    with pytest.raises(CannotWork, match="there is no 'nobody' in it"):
        load_application("some_site:nobody", str(tmp_path))
