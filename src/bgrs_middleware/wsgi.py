"""The WSGI door: one line around a Flask, Django or any other WSGI application.

It translates between WSGI and the service, and decides nothing but whether a request may concern the service at all:
that look is all an ordinary request pays. Nothing starts in the constructor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from .bodies.base import BodyReader
from .bodies.small import SmallBody
from .bodies.spool import Spool, check_declared_length
from .doorway import Doorway
from .errors import BadRequest, BgrsError, SettingsError
from .models import new_rid
from .pending import in_thread
from .protocol.ask import Ask
from .protocol.batches import BatchItem
from .protocol.message import Reply, RequestHead, StoredSlice
from .protocol.replayed import replayed_head
from .protocol.routes import Action, Route, is_for_anybody, max_body_bytes
from .replay.base import REPLAY_KEY, copied
from .replay.environ import environ_as, head_from_environ
from .replay.wsgi_replayer import WsgiReplayer
from .service.callers import Caller, check_authorized
from .service.service import Service
from .setting_forms import checked_parent
from .settings import Settings, settings_of

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

READ_BYTES = 64 * 1024
PIECE_BYTES = 1024 * 1024


class BgrsMiddleware:
    """Makes every endpoint of a WSGI application callable in the background.

    Parameters:
        app: the application; for Flask, `app.wsgi_app = BgrsMiddleware(app.wsgi_app)`.
        settings: a `Settings` object; instead of it, its fields as keywords.

    Raises:
        SettingsError: a setting is unknown or unusable.
    """

    def __init__(self, app: Application, /, *, settings: Settings | None = None, **keywords: Any) -> None:
        self.app = app
        self.settings = settings_of(settings, keywords)
        self._doorway = Doorway(self.settings, WsgiReplayer(app))
        self._param = self.settings.param
        self._path = self.settings.path
        self._has_rules = bool(self.settings.rules)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass an ordinary request on, and answer what concerns us."""
        # Every ordinary request pays for these looks, and for nothing else.
        path = environ.get("PATH_INFO", "")
        if (
            self._has_rules
            or self._path in path
            or "/operations" in path  # of every operation, wherever `operations_path` leads
            or self._param in environ.get("QUERY_STRING", "")
            or "HTTP_PREFER" in environ
        ):
            return self._look_closer(environ, start_response)
        return self.app(environ, start_response)

    def become_worker(self, *, concurrency: int | None) -> Service:
        """Run requests in this process; for the command `bgrs worker`. See `Doorway.become_worker`."""
        return self._doorway.become_worker(concurrency)

    def _look_closer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if REPLAY_KEY in environ:
            return self.app(environ, start_response)
        head = head_from_environ(environ)
        try:
            concern = self._doorway.concern(head)
        except BgrsError as error:
            return _send_error(self._doorway.error_reply(error, head), start_response)
        if concern is None:
            return self.app(environ, start_response)
        return self._serve(concern, head, environ, start_response)

    def _serve(
        self, concern: Route | Ask, head: RequestHead, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            service = self._doorway.service
            if isinstance(concern, Route) and is_for_anybody(concern):
                # Before anything that may take long: opening the store, and finding out who asks.
                reply = in_thread(self._doorway.answer_anybody(concern, head))
                if service.is_open:
                    service.heed_signals(holds=True)
                return self._send(reply, service, start_response)
            service.open()
            # Nobody else tells a WSGI application that its server stops.
            service.heed_signals(holds=True)
            identify = self.settings.identify
            caller = service.caller(None if identify is None else _plain("identify", identify(environ)), head)
            if isinstance(concern, Ask):
                reply = self._accept(environ, head, concern, caller, service)
            elif concern.action is Action.BATCH:
                reply = self._accept_batch(environ, head, concern, caller, service)
            else:
                body = self._message(environ, head, concern)
                reply = in_thread(service.desks.answer(concern, head, caller, body))
            return self._send(reply, service, start_response)
        except BgrsError as error:
            return _send_error(self._doorway.error_reply(error, head, concern), start_response)

    def _accept(self, environ: Environ, head: RequestHead, ask: Ask, caller: Caller, service: Service) -> Reply:
        self._authorize(environ, caller)
        declared = head.header(b"content-length")
        check_declared_length(declared, self.settings.max_body_bytes)
        parent = self._operations_parent(environ)
        rid = new_rid()
        with service.desks.acceptance.spool(rid, ask) as spool:
            _read_body(environ, declared, spool)
            body, body_name = spool.finish()
        return in_thread(
            service.desks.acceptance.accept(
                rid=rid,
                head=head,
                ask=ask,
                caller=caller,
                body_length=spool.length,
                body=body,
                body_name=body_name,
                operations_parent=parent,
                body_sha256=spool.sha256,
            )
        )

    def _accept_batch(
        self, environ: Environ, head: RequestHead, route: Route, caller: Caller, service: Service
    ) -> Reply:
        batches = service.desks.batches
        # Copied before `authorize` can write into it: of each item it is asked as if of no other.
        given = None if self.settings.authorize is None else copied(environ)
        self._authorize(environ, caller)
        parent = self._operations_parent(environ)
        body = self._message(environ, head, route)
        items: list[BatchItem] | None = None
        if given is not None:
            items = in_thread(batches.read(head=head, body=body))
            self._authorize_items(items, given, caller)
        return in_thread(batches.accept(head=head, body=body, caller=caller, operations_parent=parent, items=items))

    def _authorize_items(self, items: list[BatchItem], given: Environ, caller: Caller) -> None:
        for item in items:
            head = replayed_head(item.head, self.settings, len(item.body))
            self._authorize(environ_as(given, head), caller, item.place)

    def _message(self, environ: Environ, head: RequestHead, route: Route) -> bytes:
        """The body of a request to a route of ours that has one."""
        most = max_body_bytes(route, self.settings)
        if most is None:
            return b""
        declared = head.header(b"content-length")
        check_declared_length(declared, most)
        body = SmallBody(most)
        _read_body(environ, declared, body)
        return body.finish()

    def _authorize(self, environ: Environ, caller: Caller, place: str | None = None) -> None:
        if self.settings.authorize is not None:
            check_authorized(_plain("authorize", self.settings.authorize(environ)), caller, place)

    def _operations_parent(self, environ: Environ) -> str:
        parent = self.settings.operations_parent
        return parent if isinstance(parent, str) else checked_parent(_plain("operations_parent", parent(environ)))

    def _send(self, reply: Reply, service: Service, start_response: StartResponse) -> Iterable[bytes]:
        if isinstance(reply.body, StoredSlice):
            pieces = _Pieces(service.open_body(reply, reply.body), reply.body)
            _start(reply, start_response)
            return pieces
        _start(reply, start_response)
        return [reply.body]


class _Pieces:
    """A part of a stored body, as a WSGI iterable that gives its file back."""

    def __init__(self, reader: BodyReader, part: StoredSlice) -> None:
        self._reader = reader
        self._offset = part.offset
        self._end = part.offset + part.length

    def __iter__(self) -> Iterator[bytes]:
        while self._offset < self._end:
            piece = self._reader.read(self._offset, min(PIECE_BYTES, self._end - self._offset))
            if not piece:
                raise EOFError("the stored body is shorter than its record says")
            self._offset += len(piece)
            yield piece

    def close(self) -> None:
        self._reader.close()


def _read_body(environ: Environ, declared: bytes | None, into: Spool | SmallBody) -> None:
    """Read the whole body: as long as declared, or to the end where the server marks it (chunked uploads)."""
    stream = environ["wsgi.input"]
    if declared is None:
        if environ.get("wsgi.input_terminated") or "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            while piece := stream.read(READ_BYTES):
                into.write(piece)
        return
    missing = int(declared)
    while missing > 0:
        piece = stream.read(min(READ_BYTES, missing))
        if not piece:
            raise BadRequest("The request's body is shorter than its Content-Length says.")
        into.write(piece)
        missing -= len(piece)


def _plain(name: str, value: Any) -> Any:
    """What a callback of the user's returned; a coroutine, which nobody awaits here, would count as a yes."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise SettingsError(f"{name}: an async function is not usable under WSGI; it takes a plain one")
    return value


def _send_error(reply: Reply, start_response: StartResponse) -> Iterable[bytes]:
    assert isinstance(reply.body, bytes), "errors are short"
    _start(reply, start_response)
    return [reply.body]


def _start(reply: Reply, start_response: StartResponse) -> None:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers]
    start_response(f"{reply.status} {phrase}", headers)
