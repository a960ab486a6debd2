"""A client that sends a request plainly and in the background, and tells whether the two answers are equal.

Over real sockets, without decoding what comes: a gzipped body is compared as it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

# What the middleware withholds, what it sets on a result itself, and what the server's socket decides.
NOT_COMPARED = frozenset(
    [
        "set-cookie",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "date",
        "server",
        "cache-control",
        "etag",
        "accept-ranges",
        "x-content-type-options",
        "content-security-policy",
        "content-disposition",
        "bgrs-request",
        "bgrs-status",
    ]
)
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer, its body as it came over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def compared(self) -> list[tuple[str, str]]:
        """The headers that must be equal."""
        return [(name, value) for name, value in self.headers if name not in NOT_COMPARED]

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)


class Client:
    """A client of one server.

    Parameters:
        url: where the server answers.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Got:
        """Send a request."""
        sent_headers = {"Accept-Encoding": "identity", **(headers or {})}
        # `content=None` where there is none: httpx would else send a Content-Length of 0.
        with self._http.stream(method, target, headers=sent_headers, content=body or None) as response:
            return Got(
                status=response.status_code,
                headers=tuple((name.lower(), value) for name, value in response.headers.multi_items()),
                body=b"".join(response.iter_raw()),
            )

    def in_background(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[str, Got]:
        """Send it with the marker and wait for its result; returns the rid too."""
        accepted = self.send(method, target + ("&" if "?" in target else "?") + "bgrs=yes", headers, body)
        assert accepted.status == 202, accepted
        location = accepted.header("location")
        assert location is not None
        while True:
            result = self.send("GET", f"{location}?wait_for=25")
            if result.header("bgrs-status") not in ("queued", "running"):
                return location.rsplit("/", 2)[1], result

    def check_equal(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        varying: bytes = rb"(?!)",
    ) -> tuple[Got, Got]:
        """Send it both ways and compare; returns both answers.

        Parameters:
            varying: matches what the application itself writes differently each time, such as how long it took.
        """
        plain = self.send(method, target, headers, body)
        rid, result = self.in_background(method, target, headers, body)
        assert result.header("bgrs-request") == rid
        assert result.header("bgrs-status") == "finished", result
        assert result.status == plain.status
        assert re.sub(varying, b"", result.body) == re.sub(varying, b"", plain.body)
        assert result.compared == plain.compared
        assert result.header("content-length") == (None if result.status in (204, 304) else str(len(result.body)))
        return plain, result
