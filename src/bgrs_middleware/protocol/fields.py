"""Header fields in a list of pairs: replaced where they stand, dropped, or added at the end.

Order and repetition are part of what was sent, so no header list here ever becomes a dict. Names are compared in any
case, because an application may spell them as it likes.
"""

from __future__ import annotations

from collections.abc import Container

from ..models import Headers


def media_type(content_type: bytes) -> bytes:
    """Return the media type of a `Content-Type`, in lower case and without its parameters."""
    return content_type.partition(b";")[0].strip(b" \t").lower()


def with_field(headers: Headers, name: bytes, value: bytes) -> Headers:
    """Return the headers with exactly one field of this name: where the first one stood, else at the end.

    Parameters:
        name: lower-case. A field that stands there keeps its spelling.
    """
    kept: list[tuple[bytes, bytes]] = []
    placed = False
    for pair in headers:
        if pair[0].lower() != name:
            kept.append(pair)
        elif not placed:
            kept.append((pair[0], value))
            placed = True
    if not placed:
        kept.append((name, value))
    return tuple(kept)


def without_fields(headers: Headers, names: Container[bytes]) -> Headers:
    """Return the headers without the fields of these (lower-case) names."""
    return tuple(pair for pair in headers if pair[0].lower() not in names)


def only_fields(headers: Headers, names: Container[bytes]) -> Headers:
    """Return the fields of these (lower-case) names, and no other."""
    return tuple(pair for pair in headers if pair[0].lower() in names)


def field_values(headers: Headers, name: bytes) -> list[bytes]:
    """Return all values of a (lower-case) name, in order."""
    return [value for key, value in headers if key.lower() == name]


def first_field(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of a (lower-case) name, or None."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None
