"""Finds the application, and the middleware inside it: a worker uses the very settings that it was given.

An ASGI middleware that the lifespan reaches announces itself. One that it does not reach (below a mount), and any WSGI
one, is found by following the attributes in which wrappers keep what they wrap. Each object is looked at once.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..asgi import BgrsMiddleware as AsgiDoor
from ..service.service import Service
from ..setting_parts import load
from ..settings import Settings
from ..stores import make_store
from ..wsgi import BgrsMiddleware as WsgiDoor
from .errors import CannotWork

Door = AsgiDoor | WsgiDoor
Announce = Callable[[Door, Mapping[str, Any]], None]

WRAPPED_IN = (
    *("middleware_stack", "app", "wsgi_app", "asgi_app", "application", "_app", "_application", "router"),
    *("__wrapped__", "__self__", "func"),
)
"""The attributes in which frameworks, servers' helpers and functools keep what they wrap."""

MOST_OBJECTS = 10_000
MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A middleware, and what a scope names where it stands."""

    door: Door
    scope: Mapping[str, Any]

    def become_worker(self, concurrency: int | None) -> Service:
        """Its service, that runs requests; not open. An ASGI one in its loop's thread."""
        if isinstance(self.door, WsgiDoor):
            return self.door.become_worker(concurrency=concurrency)
        return self.door.become_worker(concurrency=concurrency, scope=self.scope)


def load_application(reference: str, app_dir: str) -> Any:
    """Return what "module:attribute" names, with a folder at the front of the module path.

    Raises:
        CannotWork: there is no such module or attribute.
    """
    sys.path.insert(0, app_dir)
    try:
        application = load(reference)
    except ValueError as error:
        raise CannotWork(f"{reference}: {error}") from error
    if not callable(application):
        raise CannotWork(f"{reference}: a {_name_of(application)}, which is no application")
    return application


def is_asgi(application: Any) -> bool:
    """Whether an application is called with a scope: its call is a coroutine, or there is such a middleware in it."""
    if inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(type(application).__call__):
        return True
    return any(isinstance(found.door, AsgiDoor) for found in walk(application))


def walk(application: Any, state: Mapping[str, Any] | None = None) -> list[Found]:
    """All middlewares that can be found inside an application, the outermost first."""
    scope = {} if state is None else {"state": state}
    return [Found(door=each, scope=named) for each, named in _all_inside(application, scope) if isinstance(each, Door)]


def choose(application: Any, reference: str, found: Iterable[Found]) -> list[Found]:
    """The middlewares to work for: one for each store, the first that was found.

    Raises:
        CannotWork: there is none, or one has a store that no other process sees.
    """
    by_store: dict[Any, Found] = {}
    for each in found:
        by_store.setdefault(_store_of(each.door.settings), each)
    if not by_store:
        raise CannotWork(_nothing_in(application, reference))
    for each in by_store.values():
        if not make_store(each.door.settings).shared_between_processes:
            raise CannotWork("store: a memory store serves one process. Choose a store that processes share.")
    return list(by_store.values())


def _all_inside(application: Any, scope: Mapping[str, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """An application and what it wraps, from the outside in, each with what a scope names there."""
    waiting = deque([(application, scope)])
    seen: dict[int, Any] = {}
    while waiting and len(seen) < MOST_OBJECTS:
        each, named = waiting.popleft()
        if id(each) in seen or isinstance(each, type) or not callable(each):
            continue
        # Kept, so that no other object gets its id.
        seen[id(each)] = each
        yield each, named
        below = _named_below(each, named)
        waiting.extend((inner, below) for inner in _wrapped_by(each))


def _named_below(each: Any, named: Mapping[str, Any]) -> Mapping[str, Any]:
    """As Starlette does it: every application names itself, a router only where there is none around it."""
    if _is_starlette(each):
        return {**named, "app": each}
    if "router" not in named and _is_router(each):
        return {**named, "router": each}
    return named


def _wrapped_by(each: Any) -> Iterator[Any]:
    if _is_starlette(each) and _get(each, "middleware_stack") is None:
        # As its first call would.
        each.middleware_stack = each.build_middleware_stack()
    for attribute in WRAPPED_IN:
        yield _get(each, attribute)
    # An application and a mount show routes, too: those of a router that they lead to.
    for several in (_get(each, "routes") if _is_router(each) else None, _get(each, "mounts")):
        if isinstance(several, Mapping):
            yield from several.values()
        elif isinstance(several, list | tuple):
            yield from several
    for cell in _get(each, "__closure__") or ():
        with suppress(ValueError):  # One that is empty yet.
            yield cell.cell_contents


def _is_starlette(each: Any) -> bool:
    return _get(each, "build_middleware_stack") is not None and hasattr(each, "middleware_stack")


def _is_router(each: Any) -> bool:
    return _get(each, "routes") is not None and _get(each, "not_found") is not None


def _get(each: Any, attribute: str) -> Any:
    """An attribute that is really there: what proxies make up for any name is not asked for."""
    with suppress(Exception):
        inspect.getattr_static(each, attribute)
        return getattr(each, attribute)
    return None


def _store_of(settings: Settings) -> Any:
    if settings.store is None:
        return os.path.abspath(settings.data_dir)
    return settings.store if isinstance(settings.store, str) else id(settings.store)


def _nothing_in(application: Any, reference: str) -> str:
    names = list(dict.fromkeys(_name_of(each) for each, _ in _all_inside(application, {})))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    how = "the lifespan reached none, and there is none in " if is_asgi(application) else "there is none in "
    return (
        f"{reference}: no BgrsMiddleware was found: {how}{', '.join(names[:MOST_NAMED])}{more}. Name the application "
        "as the web server gets it, with the middleware around it or added to it."
    )


def _name_of(each: Any) -> str:
    kind = each if inspect.isroutine(each) else type(each)
    return f"{kind.__module__}.{kind.__qualname__}"
