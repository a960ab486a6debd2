"""What a client of either gateway gets, and what it sends: the words that both in-process servers share.

The servers of this folder stand where uvicorn or gunicorn would, without sockets between: they build the scope or the
environ as those do, and judge what the application sends as those do. Both give the same `Answer`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

Pairs = tuple[tuple[bytes, bytes], ...]

CLIENT = ("203.0.113.9", 51234)
SERVER = ("198.51.100.7", 8080)
HOST = b"api.example.com"

SERVER_ERROR_BODY = b"Internal Server Error"
SERVER_ERROR_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response as a client sees it. `whole`: it came to its end, as long as its Content-Length says."""

    status: int
    headers: Pairs
    body: bytes
    whole: bool = True

    def all(self, name: str) -> list[str]:
        """All values of a header, in order."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]

    def header(self, name: str) -> str | None:
        """The only value of a header, or None."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands there {len(values)} times"
        return values[0] if values else None

    @property
    def names(self) -> list[str]:
        """The header names, lower-case, in order."""
        return [name.decode("latin-1").lower() for name, _ in self.headers]

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def rid(self) -> str:
        """The id in a 202."""
        assert self.status == 202, self
        rid: str = self.json()["request"]
        return rid


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it arrives at a server. `target` is what stands in the request line; `pieces` are the body's.

    `leaves`: the client is gone before the body is whole.
    """

    method: str
    target: bytes
    headers: Pairs = ()
    pieces: tuple[bytes, ...] = ()
    chunked: bool = False
    leaves: bool = False

    @property
    def raw_path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    @property
    def path_bytes(self) -> bytes:
        return unquote_to_bytes(self.raw_path)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def header_lines(self) -> Pairs:
        """The headers as they arrive: with a Host, and with what says how long the body is."""
        given = {name.lower() for name, _ in self.headers}
        lines = list(self.headers)
        if b"host" not in given:
            lines.insert(0, (b"Host", HOST))
        if self.chunked:
            lines.append((b"Transfer-Encoding", b"chunked"))
        elif self.pieces and b"content-length" not in given:
            lines.append((b"Content-Length", b"%d" % len(self.body)))
        return tuple(lines)


def sent(
    method: str,
    target: str | bytes,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | Iterable[bytes] = b"",
    *,
    chunked: bool = False,
    leaves: bool = False,
) -> Sent:
    """A request, from text: one letter of it is one byte."""
    return Sent(
        method=method,
        target=target.encode("latin-1") if isinstance(target, str) else target,
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers),
        pieces=((body,) if body else ()) if isinstance(body, bytes) else tuple(body),
        chunked=chunked,
        leaves=leaves,
    )


def is_whole(method: str, status: int, headers: Pairs, length: int, *, ended: bool) -> bool:
    """Whether a response came to its end with as many bytes as it declares (RFC 9112, section 6)."""
    if method == "HEAD" or status in (204, 304) or status < 200:
        return ended
    declared = {value.strip() for name, value in headers if name.lower() == b"content-length"}
    return ended and (not declared or declared == {b"%d" % length})
