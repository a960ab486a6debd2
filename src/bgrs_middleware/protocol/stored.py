"""A request as bytes, for sealing and storing until it is replayed: a versioned JSON head, then the body as it is.

Every field is text in which one letter is one byte (latin-1), so that header values that are no UTF-8, paths with lone
surrogates and anything else come back exactly. Not pickle: opening what was stored must never run anything.

Layout: one byte version, one byte "has a body" (0 or 1), four bytes length of the head, the head, the body.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from ..errors import SealError
from .message import RequestHead

VERSION = 1

_PREFIX = struct.Struct(">BBI")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def dump(head: RequestHead, body: bytes | None) -> bytes:
    """Return head and body as one string of bytes.

    Parameters:
        body: None where the body is stored elsewhere; not the same as an empty one.
    """
    fields = (
        _letters(head.method),
        _letters(head.path),
        _letters(head.root_path),
        head.raw_path.decode("latin-1"),
        head.query.decode("latin-1"),
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers],
        _letters(head.scheme),
        _letters(head.http_version),
        head.client and (_letters(head.client[0]), head.client[1]),
        head.server and (_letters(head.server[0]), head.server[1]),
        [(_letters(name), _letters(value)) for name, value in head.gateway],
    )
    encoded = _encode(fields).encode("ascii")
    return b"".join((_PREFIX.pack(VERSION, body is not None, len(encoded)), encoded, body or b""))


def load(data: bytes) -> tuple[RequestHead, bytes | None]:
    """Return what `dump` was given.

    Raises:
        SealError: these bytes are not a stored request, or one of a newer version.
    """
    try:
        version, has_body, length = _PREFIX.unpack_from(data)
    except struct.error as error:
        raise SealError("a stored request is too short to be one") from error
    if version != VERSION:
        raise SealError(f"a stored request has version {version}; this package reads version {VERSION}")
    body_at = _PREFIX.size + length
    try:
        head = _head(*json.loads(data[_PREFIX.size : body_at]))
    except (ValueError, TypeError, AttributeError) as error:
        raise SealError("a stored request cannot be read") from error
    return head, data[body_at:] if has_body else None


def _head(
    method: str,
    path: str,
    root_path: str,
    raw_path: str,
    query: str,
    headers: list[tuple[str, str]],
    scheme: str,
    http_version: str,
    client: Any,
    server: Any,
    gateway: list[tuple[str, str]],
) -> RequestHead:
    return RequestHead(
        method=_text(method),
        path=_text(path),
        root_path=_text(root_path),
        raw_path=raw_path.encode("latin-1"),
        query=query.encode("latin-1"),
        headers=tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]),
        scheme=_text(scheme),
        http_version=_text(http_version),
        client=client and (_text(client[0]), client[1]),
        server=server and (_text(server[0]), server[1]),
        gateway=tuple([(_text(name), _text(value)) for name, value in gateway]),
    )


def _letters(text: str) -> str:
    """Text as UTF-8, one letter per byte. JSON itself would join two lone surrogates that stand side by side."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")


def _text(letters: str) -> str:
    return letters if letters.isascii() else letters.encode("latin-1").decode("utf-8", "surrogatepass")
