"""The ASGI door: one line around a Starlette, FastAPI, Django or any other ASGI application.

It translates between ASGI and the service, and decides nothing but whether a request may concern the service at all:
that look is all an ordinary request pays. Nothing starts in the constructor.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from .asgi_reply import send_reply
from .bodies.small import SmallBody
from .bodies.spool import Spool, check_declared_length
from .doorway import Doorway
from .errors import BgrsError
from .lifespan import WORKER_KEY, run_lifespan
from .models import new_rid
from .pending import on_loop
from .protocol.ask import Ask
from .protocol.batches import BatchItem
from .protocol.message import RequestHead
from .protocol.replayed import replayed_head
from .protocol.routes import Action, Route, is_for_anybody, max_body_bytes
from .replay.asgi_replayer import AsgiReplayer
from .replay.base import REPLAY_KEY, copied
from .replay.scope import head_from_scope, scope_as
from .service.answers import Story
from .service.callers import Caller, check_authorized
from .service.service import Service
from .setting_forms import checked_parent
from .settings import Settings, settings_of

# As loose as every framework's own types, so that each of them accepts the class where it takes middleware.
Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ASKED_PER_TURN = 8
"""Of how many items of a batch `authorize` is asked before others have their turn on the event loop."""

logger = logging.getLogger("bgrs_middleware.asgi")


class ClientLeft(Exception):
    """The client went away before its request was whole; nobody is there to be answered."""


class BgrsMiddleware:
    """Makes every endpoint of an ASGI application callable in the background.

    Parameters:
        app: the application. Alone (`BgrsMiddleware(app)`) or through `app.add_middleware(BgrsMiddleware, ...)`.
        settings: a `Settings` object; instead of it, its fields as keywords.

    Raises:
        SettingsError: a setting is unknown or unusable.
    """

    def __init__(self, app: Application, /, *, settings: Settings | None = None, **keywords: Any) -> None:
        self.app = app
        self.settings = settings_of(settings, keywords)
        self._replayer = AsgiReplayer(app)
        self._doorway = Doorway(self.settings, self._replayer)
        self._param = self.settings.param.encode()
        self._path = self.settings.path
        self._has_rules = bool(self.settings.rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an ordinary request on, and answer what concerns us."""
        if scope["type"] == "http":
            # Every ordinary request pays for these looks, and for nothing else.
            path = scope["path"]
            if (
                self._has_rules
                or self._param in scope["query_string"]
                or self._path in path
                or "/operations" in path  # of every operation, wherever `operations_path` leads
            ):
                await self._look_closer(scope, receive, send)
                return
            for name, _ in scope["headers"]:
                if name == b"prefer":
                    await self._look_closer(scope, receive, send)
                    return
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def become_worker(self, *, concurrency: int | None, scope: Mapping[str, Any]) -> Service:
        """Run requests in this process, on the running loop; for the command `bgrs worker`.

        Parameters:
            concurrency: see `Doorway.become_worker`.
            scope: what a scope names here: "app", "router", and the lifespan's "state".
        """
        self._learn(scope)
        self._replayer.state = scope.get("state")
        return self._doorway.become_worker(concurrency)

    def _look_closer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What is to be awaited for a request that may concern us.

        Not a coroutine of its own, as nothing on the way of a request is that need not be: each one that waits for the
        store is looked at by the garbage collector again and again, with all that it holds.
        """
        if REPLAY_KEY in scope:
            return self.app(scope, receive, send)
        head = head_from_scope(scope)
        try:
            concern = self._doorway.concern(head)
        except BgrsError as error:
            return send_reply(self._doorway.error_reply(error, head), None, receive, send)
        return self.app(scope, receive, send) if concern is None else self._serve(concern, head, scope, receive, send)

    async def _serve(self, concern: Route | Ask, head: RequestHead, scope: Scope, receive: Receive, send: Send) -> None:
        service: Service | None = None
        try:
            service = self._doorway.open_service
            if service is None or isinstance(concern, Ask):
                self._learn(scope)
            if isinstance(concern, Route) and is_for_anybody(concern):
                # Before anything that may take long: opening the store, and finding out who asks.
                reply = await on_loop(self._doorway.answer_anybody(concern, head))
                if service is not None:
                    service.heed_signals(holds=False)
                await send_reply(reply, service, receive, send)
                return
            service = service or await self._service()
            service.heed_signals(holds=False)
            identify = self.settings.identify
            identified = None if identify is None else await _settled(identify(scope))
            caller = service.caller(identified, head)
            if isinstance(concern, Ask):
                story = await self._accept(scope, receive, head, concern, caller, service)
            elif concern.action is Action.BATCH:
                story = await self._accept_batch(scope, receive, head, concern, caller, service)
            else:
                body = await self._message(receive, head, concern)
                story = service.desks.answer(concern, head, caller, body)
            reply = await on_loop(story)
        except ClientLeft:
            return
        except BgrsError as error:
            reply = self._doorway.error_reply(error, head, concern)
        await send_reply(reply, service, receive, send)

    async def _accept(
        self, scope: Scope, receive: Receive, head: RequestHead, ask: Ask, caller: Caller, service: Service
    ) -> Story:
        """Read a request; returns what is then to be done to record and answer it."""
        await self._authorize(scope, caller)
        check_declared_length(head.header(b"content-length"), self.settings.max_body_bytes)
        parent = await self._operations_parent(scope)
        rid = new_rid()
        with service.desks.acceptance.spool(rid, ask) as spool:
            await _read_body(receive, spool)
            body, body_name = await asyncio.to_thread(spool.finish) if spool.on_disk else spool.finish()
        return service.desks.acceptance.accept(
            rid=rid,
            head=_as_entered(head, scope),
            ask=ask,
            caller=caller,
            body_length=spool.length,
            body=body,
            body_name=body_name,
            operations_parent=parent,
            body_sha256=spool.sha256,
        )

    async def _accept_batch(
        self, scope: Scope, receive: Receive, head: RequestHead, route: Route, caller: Caller, service: Service
    ) -> Story:
        """Read a batch; returns what is then to be done to record and answer it."""
        batches = service.desks.batches
        # Copied before `authorize` can write into it: of each item it is asked as if of no other.
        given = None if self.settings.authorize is None else copied(scope)
        await self._authorize(scope, caller)
        parent = await self._operations_parent(scope)
        body = await self._message(receive, head, route)
        head = _as_entered(head, scope)
        items: list[BatchItem] | None = None
        if given is not None:
            items = await on_loop(batches.read(head=head, body=body))
            await self._authorize_items(items, given, caller)
        return batches.accept(head=head, body=body, caller=caller, operations_parent=parent, items=items)

    async def _authorize_items(self, items: list[BatchItem], given: Scope, caller: Caller) -> None:
        for number, item in enumerate(items, 1):
            head = replayed_head(item.head, self.settings, len(item.body))
            await self._authorize(scope_as(given, head), caller, item.place)
            if number % ASKED_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _message(self, receive: Receive, head: RequestHead, route: Route) -> bytes:
        """The body of a request to a route of ours that has one."""
        most = max_body_bytes(route, self.settings)
        if most is None:
            return b""
        check_declared_length(head.header(b"content-length"), most)
        body = SmallBody(most)
        await _read_body(receive, body)
        return body.finish()

    async def _authorize(self, scope: Scope, caller: Caller, place: str | None = None) -> None:
        if self.settings.authorize is not None:
            check_authorized(await _settled(self.settings.authorize(scope)), caller, place)

    async def _operations_parent(self, scope: Scope) -> str:
        parent = self.settings.operations_parent
        return parent if isinstance(parent, str) else checked_parent(await _settled(parent(scope)))

    async def _service(self) -> Service:
        service = self._doorway.service
        if not service.is_open:
            await asyncio.to_thread(service.open)
        return service

    def _learn(self, scope: Scope) -> None:
        self._replayer.enter_through(_entrance(scope), asyncio.get_running_loop())

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if WORKER_KEY in scope:
            # Who sent this opens and drains the service itself.
            scope[WORKER_KEY](self, scope)
            await self.app(scope, receive, send)
            return
        self._learn(scope)
        self._replayer.state = scope.get("state")
        await run_lifespan(self.app, scope, receive, send, startup=self._start, shutdown=self._stop)

    async def _start(self) -> None:
        try:
            service = await self._service()
            # The lifespan tells of the end, too, but not before the last connection is closed.
            service.heed_signals(holds=False)
        except BgrsError as error:
            # The application can serve without us; the first background request tries again and gets its 503.
            logger.error("Background requests are not available yet: %s", error, exc_info=error)

    async def _stop(self) -> None:
        service = self._doorway.open_service
        if service is not None:
            await on_loop(service.drain())
            await asyncio.to_thread(service.close)


def _entrance(scope: Scope) -> Any:
    """The outermost of what the scope names that leads to us, or None: the application, or a router around it.

    Every Starlette application names itself in the scope, so below a mount `app` may be an inner one, while `router`
    is always the outermost. Of an outermost application that is named no more, its own middleware is out of reach.
    """
    app, router = scope.get("app"), scope.get("router")
    return app if app is None or router is None or getattr(app, "router", router) is router else router


def _as_entered(head: RequestHead, scope: Scope) -> RequestHead:
    """The head as a replay must enter by the entrance, which may lie further out than we do.

    Below a Starlette `Mount`, `root_path` is the mount's; `app_root_path` is the outermost application's.
    """
    if _entrance(scope) is None or "app_root_path" not in scope:
        return head
    return replace(head, gateway=(*head.gateway, ("root_path", scope["app_root_path"])))


async def _read_body(receive: Receive, into: Spool | SmallBody) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        body = message.get("body", b"")
        if body:
            into.write(body)
        if not message.get("more_body", False):
            return


async def _settled(value: Any) -> Any:
    """What a callback of the user's returned, awaited where it must be."""
    return await value if inspect.isawaitable(value) else value
