"""The neutral HTTP messages: what every door translates its gateway's request into, and what it sends back.

No framework, no clock, no disk. A door fills a `RequestHead`, and turns a `Reply` into its gateway's calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..hot import hot_dataclass
from ..models import Headers

SAFE_IN_A_PATH = "/:@!$&'()*+,;=~-._"
"""What stands in a path as it is, beside letters and digits (RFC 3986, section 3.3); all else is percent-encoded."""


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """A request without its body.

    `path` is percent-decoded and includes `root_path`; `raw_path` is the path as sent, with `root_path`, without the
    query. `query` is raw. Header names are lower-case. `gateway` holds what a replay through the same gateway needs
    verbatim and what has no place of its own here (WSGI variables), as pairs of text.
    """

    method: str
    path: str
    root_path: str
    raw_path: bytes
    query: bytes
    headers: Headers
    scheme: str = "http"
    http_version: str = "1.1"
    client: tuple[str, int] | None = None
    server: tuple[str, int | None] | None = None
    gateway: tuple[tuple[str, str], ...] = ()

    @property
    def route_path(self) -> str:
        """The path below `root_path`. Decided from `path` and `root_path` alone, never from a rebuilt URL."""
        root = self.root_path.rstrip("/")
        if root and (self.path == root or self.path.startswith(root + "/")):
            return self.path[len(root) :]
        return self.path

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def header_values(self, name: bytes) -> list[bytes]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSlice:
    """A part of a stored body: what a `Reply` carries instead of bytes when they lie in a file."""

    body_name: str
    offset: int
    length: int


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. Its headers include Content-Length; a door adds nothing and leaves nothing out."""

    status: int
    headers: Headers
    body: bytes | StoredSlice = b""
