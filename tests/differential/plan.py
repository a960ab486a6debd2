"""What a response should be like: a plan that travels in a request header, so that one request steers six frameworks.

Each application of `apps/` follows it in its own framework's idiom. A response tells what the application received
(`echo`), then as many bytes as the plan wants, so that a difference in the replayed request shows as well.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal, Self

HEADER = "x-plan"

Way = Literal["whole", "json", "stream", "file"]
Raises = Literal["before", "at the first piece", "in the middle", "at the end"]
Declares = Literal["right", "short", "long"]


class Boom(Exception):
    """What an application raises that was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One response.

    Parameters:
        way: at once, at once as the framework's JSON, in pieces, or from a file.
        status, headers: of the response; header names may repeat, values are latin-1.
        sizes: bytes of each piece after the echo; `way="file"` takes the first for its file.
        empty: no body at all, not even the echo.
        raises: where the application raises.
        declares: the Content-Length that it sends for a streamed body; None: none.
    """

    way: Way = "whole"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    sizes: tuple[int, ...] = ()
    empty: bool = False
    raises: Raises | None = None
    declares: Declares | None = None

    def dump(self) -> str:
        """As the value of a header."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str | None) -> Self:
        """From the value of a header; a plain answer where there is none."""
        if not text:
            return cls()
        fields = json.loads(text)
        fields["headers"] = tuple((name, value) for name, value in fields["headers"])
        fields["sizes"] = tuple(fields["sizes"])
        return cls(**fields)

    def check_before(self) -> None:
        """Raise where the application should, before it answers."""
        if self.raises == "before":
            raise Boom("before the response")

    def body(self, echo: bytes) -> bytes:
        """The whole body."""
        return b"" if self.empty else b"".join((echo, *map(filler, self.sizes)))

    def pieces(self, echo: bytes) -> Iterator[bytes]:
        """The body in pieces, an empty one among them now and then, or broken off by an exception."""
        if self.raises == "at the first piece":
            raise Boom("at the first piece")
        if not self.empty:
            yield echo
        if self.raises == "in the middle":
            raise Boom("in the middle")
        if not self.empty:
            for size in self.sizes:
                yield filler(size)
        if self.raises == "at the end":
            raise Boom("at the end")

    def declared(self, echo: bytes) -> int | None:
        """The Content-Length of a streamed body, where one is sent."""
        if self.declares is None:
            return None
        length = len(self.body(echo))
        return {"right": length, "short": max(0, length - 1), "long": length + 1}[self.declares]


@lru_cache(maxsize=64)
def filler(size: int) -> bytes:
    """So many bytes, of all values."""
    return random.Random(size).randbytes(size)


def received(
    *,
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    **more: object,
) -> dict[str, object]:
    """What an application says that it received.

    Three headers stand apart: Accept-Encoding is replaced by a replay, at a place that means nothing, and how a body is
    framed (Content-Length or Transfer-Encoding) may differ; its bytes may not.
    """
    apart = {"accept-encoding", "content-length", "transfer-encoding"}
    pairs = [(name.lower(), value) for name, value in headers]
    return {
        "method": method,
        "path": path,
        "query": query,
        "headers": [pair for pair in pairs if pair[0] not in apart],
        "accept-encoding": [value for name, value in pairs if name == "accept-encoding"],
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        **more,
    }


def encoded(echo: dict[str, object]) -> bytes:
    """The echo as bytes; ASCII, so that no framework has an opinion on them."""
    return json.dumps(echo).encode("ascii") + b"\n"
