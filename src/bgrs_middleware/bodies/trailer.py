"""The end of a response's body: all that is known of the response, so that it can outlive the process that captured it.

A body and the record that names it are not written at once. A process that dies between the two leaves a body that
nobody could serve without its status and headers; so they stand behind it, in the same file: one flush and one rename
make both appear together. Who serves the body reads as many bytes as its record says, and never sees the trailer.

Layout: the body; the response's head as JSON; the length of that JSON in four bytes (big-endian), its SHA-256, and
eight bytes that say what this is.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any, Final

from ..models import Captured
from .base import BodyReader

_MARK: Final = b"bgrs-r1\n"
_END: Final = struct.Struct(">I32s8s")
_PIECE_BYTES: Final = 1024 * 1024


def trailer_of(captured: Captured) -> bytes:
    """Return what follows the body of this response in its file."""
    head = {
        "body_name": captured.body_name,
        "status": captured.status,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in captured.headers],
        "length": captured.length,
        "sha256": captured.sha256,
    }
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    return text + _END.pack(len(text), hashlib.sha256(text).digest(), _MARK)


def captured_in(reader: BodyReader, body_name: str) -> Captured | None:
    """The response that a body is part of, if its trailer is there and every byte of the body is as it says.

    Reads the whole body, in pieces of 1 MiB.

    Parameters:
        reader: the body; closing it is the caller's.
        body_name: its name; a trailer that speaks of another one does not count.

    Raises:
        BodyError: it could not be read.
    """
    captured = _head_in(reader, body_name)
    if captured is None or _sha256(reader, captured.length) != captured.sha256:
        return None
    return captured


def _head_in(reader: BodyReader, body_name: str) -> Captured | None:
    end_at = reader.size - _END.size
    if end_at < 0:
        return None
    length, digest, mark = _END.unpack(_read(reader, end_at, _END.size))
    text_at = end_at - length
    if mark != _MARK or text_at < 0:
        return None
    text = _read(reader, text_at, length)
    if hashlib.sha256(text).digest() != digest:
        return None
    # Its digest holds, so it is what `trailer_of` wrote.
    head: dict[str, Any] = json.loads(text)
    if head["body_name"] != body_name or head["length"] != text_at:
        return None
    return Captured(
        status=head["status"],
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]),
        length=head["length"],
        sha256=head["sha256"],
        body_name=body_name,
    )


def _sha256(reader: BodyReader, length: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while offset < length and (piece := reader.read(offset, min(_PIECE_BYTES, length - offset))):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()


def _read(reader: BodyReader, offset: int, length: int) -> bytes:
    """All of it: a reader may return less than it was asked for."""
    data = b""
    while len(data) < length and (more := reader.read(offset + len(data), length - len(data))):
        data += more
    return data
