"""A WSGI server without sockets: builds environs as gunicorn does and judges what an application returns (PEP 3333).

Each call runs in the thread that makes it, as in a threaded worker.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .answer import CLIENT, SERVER, SERVER_ERROR_BODY, SERVER_ERROR_HEADERS, Answer, Pairs, Sent, is_whole, sent


class WsgiGateway:
    """A server of one application.

    Parameters:
        app: the application.
        script_name: where the application is mounted.
    """

    def __init__(self, app: Any, *, script_name: str = "") -> None:
        self.app = app
        self._script_name = script_name

    def call(
        self, method: str, target: str | bytes, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", **more: Any
    ) -> Answer:
        """Send a request and wait for the answer."""
        return self.exchange(sent(method, target, headers, body, **more))

    def environ(self, request: Sent) -> dict[str, Any]:
        """The environ of a request, as gunicorn builds it."""
        path = request.path_bytes.decode("latin-1")
        environ: dict[str, Any] = {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": _FileWrapper,
            "wsgi.input_terminated": True,
            "SERVER_SOFTWARE": "gunicorn/test",
            "wsgi.input": io.BytesIO(request.body),
            "gunicorn.socket": object(),
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query.decode("latin-1"),
            "RAW_URI": request.target.decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "REMOTE_ADDR": CLIENT[0],
            "REMOTE_PORT": str(CLIENT[1]),
            "SERVER_NAME": SERVER[0],
            "SERVER_PORT": str(SERVER[1]),
            "PATH_INFO": path.removeprefix(self._script_name),
            "SCRIPT_NAME": self._script_name,
        }
        for name, value in request.header_lines:
            _set_header(environ, name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1"))
        return environ

    def exchange(self, request: Sent, environ: dict[str, Any] | None = None) -> Answer:
        """The same as `call`."""
        cycle = _Cycle(request)
        ended = False
        try:
            cycle.run(self.app, self.environ(request) if environ is None else environ)
            ended = True
        except Exception:
            # A server logs it. What the client sees depends on what was sent before.
            pass
        return cycle.answer(ended=ended)


def _set_header(environ: dict[str, Any], key: str, value: str) -> None:
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
        if key in environ:
            value = f"{environ[key]},{value}"
    environ[key] = value


class _FileWrapper:
    """gunicorn's, which a replay must not get hold of: it is made for sockets."""

    def __init__(self, file: Any, block_bytes: int = 8192) -> None:
        self._file = file
        self._block_bytes = block_bytes
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self._file.read(self._block_bytes):
            yield block


class _Cycle:
    """One request and its response."""

    def __init__(self, request: Sent) -> None:
        self._request = request
        self._status: int | None = None
        self._headers: Pairs = ()
        self._body = bytearray()
        self._headers_sent = False

    def run(self, app: Callable[..., Any], environ: dict[str, Any]) -> None:
        pieces = app(environ, self._start_response)
        try:
            for piece in pieces:
                self._write(piece)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None:
            try:
                if self._headers_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status is not None:
            raise AssertionError("a second response was started")
        self._status = int(status.split(" ", 1)[0])
        self._headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return self._write

    def _write(self, piece: bytes) -> None:
        assert isinstance(piece, bytes)
        assert self._status is not None, "a body came before the response was started"
        if piece:
            # PEP 3333: the headers go out with the first byte of the body, not before.
            self._headers_sent = True
            self._body += piece

    def answer(self, *, ended: bool) -> Answer:
        if self._status is None or not (ended or self._headers_sent):
            return Answer(status=500, headers=SERVER_ERROR_HEADERS, body=SERVER_ERROR_BODY)
        whole = is_whole(self._request.method, self._status, self._headers, len(self._body), ended=ended)
        return Answer(status=self._status, headers=self._headers, body=bytes(self._body), whole=whole)


def close_service(middleware: Any) -> None:
    """End this process's service, for which WSGI has no sign: a server just ends its process."""
    service = middleware._doorway.open_service
    if service is not None:
        service.close()
