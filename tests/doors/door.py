"""A door with an application behind it, called as a client would: the same words whichever gateway it is.

`Door.call` sends a request; the other methods are what clients do with it: ask for the background, wait, read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware
from bgrs_middleware.pending import in_thread
from bgrs_middleware.service.service import Service
from bgrs_middleware.settings import Settings
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware

from .answer import Answer
from .applications import AsgiApplication, WsgiApplication
from .asgi_gateway import AsgiGateway, LoopThread
from .stage import Stage
from .wsgi_gateway import WsgiGateway, close_service

Kind = Literal["asgi", "wsgi"]
HeaderPairs = Iterable[tuple[str, str]]

KINDS: tuple[Kind, ...] = ("asgi", "wsgi")
MIDDLEWARES: dict[Kind, Callable[..., Any]] = {"asgi": AsgiMiddleware, "wsgi": WsgiMiddleware}
FINAL = frozenset({"finished", "failed", "cancelled", "lost", "expired"})
MAX_POLLS = 200


class Door:
    """A middleware of one kind around the application of that kind.

    Parameters:
        kind: which gateway.
        data_dir: the setting of that name.
        root_path: where the application is mounted.
        wrap: what is put around the application, below the middleware.
        lifespan: whether the ASGI server speaks that protocol.
        settings: further settings.
    """

    def __init__(
        self,
        kind: Kind,
        data_dir: Path,
        *,
        root_path: str = "",
        wrap: Callable[[Any], Any] = lambda app: app,
        lifespan: bool = True,
        **settings: Any,
    ) -> None:
        self.kind = kind
        self.data_dir = data_dir
        self.stage = Stage()
        self._closed = False
        self._callers = ThreadPoolExecutor(8)
        chosen = Settings(**{"data_dir": str(data_dir), "min_free_bytes": 0, **settings})
        self._loop: LoopThread | None = None
        self.gateway: AsgiGateway | WsgiGateway
        self.middleware: AsgiMiddleware | WsgiMiddleware
        if kind == "asgi":
            self._loop = LoopThread()
            self.middleware = AsgiMiddleware(wrap(AsgiApplication(self.stage)), settings=chosen)
            self.gateway = AsgiGateway(self.middleware, loop=self._loop, root_path=root_path, lifespan=lifespan)
            self.gateway.__enter__()
        else:
            self.middleware = WsgiMiddleware(wrap(WsgiApplication(self.stage)), settings=chosen)
            self.gateway = WsgiGateway(self.middleware, script_name=root_path)

    def close(self) -> None:
        """End everything, whatever still waits. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.stage.open_all()
        self._callers.shutdown()
        if isinstance(self.gateway, AsgiGateway):
            self.gateway.close()
        self._end()

    def clean_up(self) -> None:
        """Wait until what has ended is cleaned up after, bodies included. The last thing a test asks of a door."""
        in_thread(self.service.drain())
        self.service._janitor.close()

    def close_after_gateway(self) -> None:
        """The same where the gateway is closed already."""
        self._closed = True
        self.stage.open_all()
        self._callers.shutdown()
        self._end()

    def _end(self) -> None:
        close_service(self.middleware)
        if self._loop is not None:
            self._loop.close()

    @property
    def service(self) -> Service:
        """This process's service."""
        return self.middleware._doorway.service

    # What a client does.

    def call(self, method: str, target: str, headers: HeaderPairs = (), body: bytes = b"", **more: Any) -> Answer:
        """Send a request and wait for the answer."""
        return self.gateway.call(method, target, headers, body, **more)

    def get(self, target: str, headers: HeaderPairs = ()) -> Answer:
        """GET."""
        return self.call("GET", target, headers)

    def start(self, method: str, target: str, headers: HeaderPairs = (), body: bytes = b"") -> Future[Answer]:
        """Send a request that will be held; its answer comes later."""
        return self._callers.submit(self.call, method, target, headers, body)

    def ask(self, target: str, headers: HeaderPairs = (), *, method: str = "GET", body: bytes = b"") -> str:
        """Ask for the background with the marker; returns the rid."""
        marked = target + ("&" if "?" in target else "?") + "bgrs=yes"
        return self.call(method, marked, headers, body).rid

    def result(self, rid: str, headers: HeaderPairs = ()) -> Answer:
        """The result, however long it takes."""
        self.ended(rid)
        return self.get(f"/bgrs/{rid}/result", headers)

    def status(self, rid: str, headers: HeaderPairs = ()) -> dict[str, Any]:
        """The status document's only object."""
        answer = self.get(f"/bgrs/{rid}", headers)
        assert answer.status == 200, answer
        (document,) = answer.json()
        return dict(document)

    def ended(self, rid: str, headers: HeaderPairs = ()) -> dict[str, Any]:
        """The status document, once it has ended."""
        return self.when(rid, lambda document: document["status_name"] in FINAL, headers)

    def when(
        self,
        rid: str,
        holds: Callable[[dict[str, Any]], bool],
        headers: HeaderPairs = (),
        *,
        poll_seconds: float = 5.0,
    ) -> dict[str, Any]:
        """The status document, once something holds for it.

        Parameters:
            poll_seconds: how often to look; a change of status is seen at once.
        """
        for _ in range(MAX_POLLS):
            (document,) = self.get(f"/bgrs/{rid}?wait_for={poll_seconds}", headers).json()
            if holds(document):
                return dict(document)
        raise AssertionError(f"it never came to that: {document}")

    def details(self, rid: str, headers: HeaderPairs = ()) -> list[str]:
        """The texts of the details, oldest first."""
        answer = self.get(f"/bgrs/{rid}/details", headers)
        assert answer.status == 200, answer
        return [entry["details"] for entry in answer.json()]

    def hold(self, name: str, *steps: str) -> str:
        """Ask for work that stops at a gate, wait until it stands there, and return the rid."""
        rid = self.ask("/do/" + "/".join((f"gate:{name}", *steps)))
        self.stage.gate(name).wait_until_reached()
        return rid

    def release(self, name: str) -> None:
        """Open a gate."""
        self.stage.gate(name).open()
