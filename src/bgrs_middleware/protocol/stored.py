"""A request as bytes, for sealing and storing until it is replayed: a versioned table of lengths, then the fields.

Fields are bytes, and text is UTF-8 that lets lone surrogates through, so that header values that are no UTF-8, odd
paths and anything else come back exactly. Not pickle: opening what was stored must never run anything. Every accepted
request passes here; a format with quoting, such as JSON, took three times as long.

Layout (big-endian): one byte version, one byte "has a body" (0 or 1), one byte each "has a client" and "has a server",
four bytes each the number of headers and of gateway variables; four bytes for the length of each field; the fields:
method, path, root_path, raw_path, query, scheme, http_version, host and port of client and of server where there is
one, then names and values of the headers and of the gateway variables; the body. A port is decimal, or empty.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..errors import SealError
from .message import RequestHead

VERSION = 1

_PREFIX = struct.Struct(">BBBBII")
_SINGLE_FIELDS = 7


def dump(head: RequestHead, body: bytes | None) -> bytes:
    """Return head and body as one string of bytes.

    Parameters:
        body: None where the body is stored elsewhere; not the same as an empty one.
    """
    fields = [
        _bytes(head.method),
        _bytes(head.path),
        _bytes(head.root_path),
        head.raw_path,
        head.query,
        _bytes(head.scheme),
        _bytes(head.http_version),
    ]
    for address in (head.client, head.server):
        if address is not None:
            host, port = address
            fields += (_bytes(host), b"" if port is None else b"%d" % port)
    for pair in head.headers:
        fields += pair
    for name, value in head.gateway:
        fields += (_bytes(name), _bytes(value))
    prefix = _PREFIX.pack(
        VERSION,
        body is not None,
        head.client is not None,
        head.server is not None,
        len(head.headers),
        len(head.gateway),
    )
    lengths = struct.pack(f">{len(fields)}I", *map(len, fields))
    return b"".join((prefix, lengths, *fields, body or b""))


def load(data: bytes) -> tuple[RequestHead, bytes | None]:
    """Return what `dump` was given.

    Raises:
        SealError: these bytes are not a stored request, or one of a newer version.
    """
    try:
        version, has_body, clients, servers, headers, variables = _PREFIX.unpack_from(data)
    except struct.error as error:
        raise SealError("a stored request is too short to be one") from error
    if version != VERSION:
        raise SealError(f"a stored request has version {version}; this package reads version {VERSION}")
    try:
        fields, body_at = _fields(data, _SINGLE_FIELDS + 2 * (clients + servers + headers + variables))
        head = _head(fields, clients, servers, headers)
    except (ValueError, struct.error) as error:
        raise SealError("a stored request cannot be read") from error
    if not has_body and body_at < len(data):
        raise SealError("a stored request has a body where it says that it has none")
    return head, data[body_at:] if has_body else None


def _fields(data: bytes, count: int) -> tuple[list[bytes], int]:
    """The fields, and where they end."""
    at = _PREFIX.size + 4 * count
    if at > len(data):
        raise ValueError("more fields than bytes")
    fields: list[bytes] = []
    for length in struct.unpack_from(f">{count}I", data, _PREFIX.size):
        fields.append(data[at : at + length])
        at += length
    if at > len(data):
        raise ValueError("fields that are longer than all bytes")
    return fields, at


def _head(fields: Sequence[bytes], clients: int, servers: int, headers: int) -> RequestHead:
    if clients > 1 or servers > 1:
        raise ValueError("more than one address")
    method, path, root_path, raw_path, query, scheme, http_version = fields[:_SINGLE_FIELDS]
    pairs = list(zip(fields[_SINGLE_FIELDS::2], fields[_SINGLE_FIELDS + 1 :: 2], strict=True))
    addresses, pairs = pairs[: clients + servers], pairs[clients + servers :]
    return RequestHead(
        method=_text(method),
        path=_text(path),
        root_path=_text(root_path),
        raw_path=raw_path,
        query=query,
        headers=tuple(pairs[:headers]),
        scheme=_text(scheme),
        http_version=_text(http_version),
        client=(_text(addresses[0][0]), int(addresses[0][1])) if clients else None,
        server=(_text(addresses[-1][0]), int(addresses[-1][1]) if addresses[-1][1] else None) if servers else None,
        gateway=tuple([(_text(name), _text(value)) for name, value in pairs[headers:]]),
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(field: bytes) -> str:
    return field.decode("utf-8", "surrogatepass")
