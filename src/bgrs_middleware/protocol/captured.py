"""What of an application's response is kept, and how long its body should be.

A captured response is served again, later and perhaps to someone else, so it loses what belongs to one connection or
one client (CONTRACT, section 3). Pure functions over header pairs; names compare without case, and what is kept keeps
its order, its repetition and the spelling that the application chose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..models import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""RFC 9110 section 7.6.1, RFC 9112, and the list of RFC 2616 section 13.5.1 that proxies still follow."""

NOT_TO_BE_SHARED = frozenset(
    {b"set-cookie", b"clear-site-data", b"refresh", b"strict-transport-security", b"alt-svc"}
)  # fmt: skip

MAX_NAME_LENGTH = 100

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BREAKS_A_VALUE = re.compile(rb"[\r\n\0]")


def withhold(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Headers, tuple[str, ...]]:
    """Part what is kept of a response's headers from what is not.

    Parameters:
        headers: the pairs as the application sent them.

    Returns:
        The pairs that are kept, and the names withheld: lower-case, each once, in order, printable.
    """
    pairs = tuple(headers)
    unwanted = HOP_BY_HOP | NOT_TO_BE_SHARED | _named_by_connection(pairs)
    kept: list[tuple[bytes, bytes]] = []
    withheld: dict[str, None] = {}
    for name, value in pairs:
        if name.lower() in unwanted or not _TOKEN.fullmatch(name) or _BREAKS_A_VALUE.search(value):
            withheld[_printable(name)] = None
        else:
            kept.append((name, value))
    return tuple(kept), tuple(withheld)


def has_no_body(method: str, status: int) -> bool:
    """Tell whether a response has no body whatever its application sends (RFC 9110, section 6.4.1)."""
    return 100 <= status < 200 or status in (204, 304) or method == "HEAD"


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The body's length in bytes, as its headers declare it.

    Returns:
        None where nothing usable is declared: no Content-Length, a malformed one, several that differ (equal ones
        count as one, RFC 9110 section 8.6), or a Transfer-Encoding beside it, which overrides it (RFC 9112 section
        6.3). The body's end is then where the application ends it.
    """
    found: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        if lower == b"transfer-encoding":
            return None
        if lower == b"content-length":
            found.update(part.strip(b" \t") for part in value.split(b","))
    if len(found) != 1:
        return None
    (text,) = found
    # isdigit() on bytes is ASCII only; int() alone would take "+1", "1_0" and spaces. 19 digits hold any 64-bit size.
    return int(text) if text.isdigit() and len(text) <= 19 else None


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    values = b",".join(value for name, value in headers if name.lower() == b"connection")
    return frozenset(part.strip(b" \t").lower() for part in values.split(b",")) - {b""}


def _printable(name: bytes) -> str:
    text = name.lower().decode("ascii", "backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)[:MAX_NAME_LENGTH]
