"""The raw query string, as bytes: read without decoding it, and edited without touching the rest.

What a client sent must reach the application byte for byte, so nothing here parses a query and builds it again: a
parameter is the text between two `&`, its name is what stands before the first `=`, and names are compared as sent.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_to_bytes


def parameters(query: bytes) -> list[tuple[bytes, bytes]]:
    """Return the parameters as raw pairs of name and value, in order; one without `=` has the value `b""`.

    Empty segments (`a=1&&b=2`) are no parameters.
    """
    pairs = []
    for segment in query.split(b"&"):
        if segment:
            name, _, value = segment.partition(b"=")
            pairs.append((name, value))
    return pairs


def without(query: bytes, names: Collection[bytes]) -> bytes:
    """Return the query without the parameters of these names; everything else stays byte for byte, in place.

    Names are compared with the bytes before the `=` as sent, not percent-decoded. Empty segments stay.
    """
    return b"&".join([segment for segment in query.split(b"&") if segment.partition(b"=")[0] not in names])


def decoded(raw: bytes) -> str:
    """Return a raw name or value percent-decoded, `+` as a space; what is no UTF-8 becomes U+FFFD."""
    raw = raw.replace(b"+", b" ")
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8", "replace")


def values(query: bytes, name: bytes) -> list[str]:
    """Return the decoded values of all parameters of this name, in order."""
    if name not in query:
        return []
    return [decoded(value) for key, value in parameters(query) if key == name]


def first_value(query: bytes, name: bytes) -> str | None:
    """Return the decoded value of the first parameter of this name, or None."""
    found = values(query, name)
    return found[0] if found else None
