"""Between a WSGI environ and a `RequestHead`: what is stored of a request, and the environ that a replay is given.

The environ of a replay is built from a list of what is allowed, so that no socket, file wrapper or buffer of a server's
comes back to life in it. Paths keep their bytes, whatever their encoding: PEP 3333 has them as Latin-1 text, and
`raw_path` has them percent-encoded.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ..models import Headers
from ..progress import Run
from ..protocol.message import SAFE_IN_A_PATH, RequestHead
from .base import REPLAY_KEY, copied

KEPT = frozenset(
    {
        "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_HOST",
        "REMOTE_USER", "AUTH_TYPE", "REQUEST_URI", "RAW_URI", "HTTPS",
    }
)  # fmt: skip
"""The variables that are stored verbatim, beside all that begin with `SSL_`."""

URI_VARIABLES = ("RAW_URI", "REQUEST_URI")

# Where some servers tell the same again: of another request it would be wrong.
_TOLD_TWICE = frozenset(
    {
        *("DOCUMENT_URI", "PATH_TRANSLATED", "REDIRECT_QUERY_STRING", "REDIRECT_URL", "SCRIPT_URI", "SCRIPT_URL"),
        *("CONTENT_LENGTH", "CONTENT_TYPE", "UNENCODED_URL"),
    }
)

# These are headers of the body's way here, or stand in variables of their own.
_NOT_AS_HTTP = frozenset({b"content-type", b"content-length", b"transfer-encoding"})


def head_from_environ(environ: Mapping[str, Any]) -> RequestHead:
    """The head of the request in a WSGI environ (PEP 3333).

    Header names are those of the variables: WSGI does not tell `X-A_B` from `X-A-B`.
    """
    script_name = _bytes_of(environ.get("SCRIPT_NAME", ""))
    whole = script_name + _bytes_of(environ.get("PATH_INFO", ""))
    port, remote_port = environ.get("SERVER_PORT", ""), environ.get("REMOTE_PORT", "")
    address = environ.get("REMOTE_ADDR")
    return RequestHead(
        method=environ["REQUEST_METHOD"],
        path=whole.decode("utf-8", "replace"),
        root_path=script_name.decode("utf-8", "replace"),
        raw_path=_raw_path(environ, whole),
        query=_bytes_of(environ.get("QUERY_STRING", "")),
        headers=tuple(_headers_in(environ)),
        scheme=environ.get("wsgi.url_scheme", "http"),
        http_version=environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2] or "1.1",
        client=(address, _port(remote_port) or 0) if address else None,
        server=(environ["SERVER_NAME"], _port(port)) if environ.get("SERVER_NAME") else None,
        gateway=tuple(
            (name, value)
            for name, value in environ.items()
            if (name in KEPT or name.startswith("SSL_")) and isinstance(value, str)
        ),
    )


def environ_of(head: RequestHead, run: Run, body_length: int, body: io.BufferedIOBase) -> dict[str, Any]:
    """The environ of a replay.

    Parameters:
        head: the stored request; what its `gateway` does not say is made from the rest of it.
        run: what the environ carries under `REPLAY_KEY`.
        body_length: bytes of the request's body.
        body: becomes `wsgi.input`; it ends where the body ends.
    """
    kept = {name: value for name, value in head.gateway if name in KEPT or name.startswith("SSL_")}
    script_name, path_info = _split_path(head, kept.get("SCRIPT_NAME"))
    environ: dict[str, Any] = {
        **_addresses(head),
        **kept,
        **_variables_of(head.headers),
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": head.query.decode("latin-1"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": head.scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        REPLAY_KEY: run,
    }
    environ |= {name: _uri(head) for name in URI_VARIABLES if name in kept}
    if body_length or any(name in (b"content-length", b"transfer-encoding") for name, _ in head.headers):
        environ["CONTENT_LENGTH"] = str(body_length)
    return environ


def environ_as(environ: Mapping[str, Any], head: RequestHead) -> dict[str, Any]:
    """A copy of an environ as if another request had come the same way; what stands in it beside the request stays.

    Its `wsgi.input` is empty: the body is not offered.

    Parameters:
        head: the other request, below the same root.
    """
    beside = {
        name: value
        for name, value in copied(environ).items()
        if name not in _TOLD_TWICE and not name.startswith("HTTP_")
    }
    script_name, path_info = _split_path(head, environ.get("SCRIPT_NAME"))
    length = head.header(b"content-length")
    return {
        **beside,
        **_variables_of(head.headers),
        **({} if length is None else {"CONTENT_LENGTH": length.decode("latin-1")}),
        **{name: _uri(head) for name in URI_VARIABLES if name in environ},
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": head.query.decode("latin-1"),
        "wsgi.input": io.BytesIO(),
    }


def _headers_in(environ: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        # Some servers set these to an empty text where the header is missing.
        if environ.get(name):
            yield _header_name(name), _bytes_of(environ[name])
    for name, value in environ.items():
        if name.startswith("HTTP_") and isinstance(value, str):
            header = _header_name(name[5:])
            if header not in (b"content-type", b"content-length"):
                yield header, _bytes_of(value)


def _variables_of(headers: Headers) -> dict[str, str]:
    values: dict[bytes, list[str]] = {}
    for name, value in headers:
        # An underscore would become the same variable as a hyphen: a way to slip past a proxy that removes headers.
        if b"_" not in name:
            values.setdefault(name, []).append(value.decode("latin-1"))
    variables = {
        "HTTP_" + _variable(name): ("; " if name == b"cookie" else ",").join(texts)
        for name, texts in values.items()
        if name not in _NOT_AS_HTTP
    }
    if b"content-type" in values:
        variables["CONTENT_TYPE"] = ",".join(values[b"content-type"])
    return variables


def _addresses(head: RequestHead) -> dict[str, str]:
    name, port = head.server or ("", None)
    addresses = {
        "SERVER_NAME": name,
        "SERVER_PORT": str(port if port is not None else 443 if head.scheme == "https" else 80),
        "SERVER_PROTOCOL": f"HTTP/{head.http_version}",
    }
    if head.client is not None:
        addresses["REMOTE_ADDR"], addresses["REMOTE_PORT"] = head.client[0], str(head.client[1])
    return addresses


def _uri(head: RequestHead) -> str:
    return (head.raw_path + (b"?" + head.query if head.query else b"")).decode("latin-1")


def _split_path(head: RequestHead, script_name: str | None) -> tuple[str, str]:
    """SCRIPT_NAME and PATH_INFO, with the bytes of `raw_path`."""
    whole = unquote_to_bytes(head.raw_path)
    root = head.root_path.encode("utf-8", "replace") if script_name is None else _bytes_of(script_name)
    if not whole.startswith(root):
        root = b""
    return root.decode("latin-1"), whole[len(root) :].decode("latin-1")


def _raw_path(environ: Mapping[str, Any], whole: bytes) -> bytes:
    """The path as sent where the server tells it and it is the same path, else percent-encoded anew."""
    for name in URI_VARIABLES:
        sent = environ.get(name)
        if isinstance(sent, str):
            raw = _bytes_of(sent).partition(b"?")[0]
            if unquote_to_bytes(raw) == whole:
                return raw
    return quote_from_bytes(whole, safe=SAFE_IN_A_PATH).encode("ascii")


def _header_name(variable: str) -> bytes:
    return _bytes_of(variable.replace("_", "-").lower())


def _variable(header: bytes) -> str:
    return header.decode("latin-1").upper().replace("-", "_")


def _bytes_of(text: str) -> bytes:
    # PEP 3333 has only Latin-1 in these texts; a server that breaks this must not break the request.
    return text.encode("latin-1", "replace")


def _port(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
