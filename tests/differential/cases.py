"""What Hypothesis draws: a request, how it asks for the background, and the plan of the response.

Large bodies are rare, and their bytes come from a seed, so that thousands of cases are drawn in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import TypeVar

from hypothesis import strategies as st

from doors.answer import Sent

from .plan import HEADER, Declares, Plan, Raises, Way, filler

T = TypeVar("T")

MIB = 1024 * 1024
DRAWN_BYTES = 64
FILE_SIZES = (0, 1, 100, 65_536, 65_537, 300_000, MIB + 1)
CASES_PER_EXAMPLE = 20

# What a replay is sent without (CONTRACT, section 1), and so the plain request that it is compared with.
NOT_REPLAYED = frozenset({"range", "if-range", "if-none-match", "if-modified-since"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request. `segments` are the query's, between its `&`; `marker` is set in before the one at `marker_at`."""

    method: str
    path: str
    segments: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    body_size: int
    piece_count: int
    chunked: bool
    marker: str
    marker_at: int
    prefer: str | None
    plan: Plan

    @property
    def asking(self) -> Sent:
        """The request that asks for the background."""
        segments = list(self.segments)
        headers = self.headers
        if self.prefer is None:
            segments.insert(self.marker_at, self.marker)
        else:
            headers += (("Prefer", self.prefer),)
        return self._sent("&".join(segments), headers)

    def plain(self, *, may_be_chunked: bool = True) -> Sent:
        """The request that its replay should be equal to."""
        headers = [pair for pair in self.headers if pair[0].lower() not in NOT_REPLAYED | {"accept-encoding"}]
        request = self._sent("&".join(self.segments), (*headers, ("Accept-Encoding", "identity")))
        return request if may_be_chunked else replace(request, chunked=False)

    def _sent(self, query: str, headers: tuple[tuple[str, str], ...]) -> Sent:
        return Sent(
            method=self.method,
            target=(self.path + ("?" + query if query else "")).encode("latin-1"),
            headers=tuple(
                (name.encode(), value.encode("latin-1")) for name, value in (*headers, (HEADER, self.plan.dump()))
            ),
            pieces=self._pieces(),
            chunked=self.chunked,
        )

    def _pieces(self) -> tuple[bytes, ...]:
        if not self.body_size:
            return ()
        step = -(-self.body_size // self.piece_count)
        body = filler(self.body_size)
        return tuple(body[start : start + step] for start in range(0, len(body), step))


METHODS = ("GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "PURGE")
PATH_SEGMENTS = (
    "", ".", "..", "a", "items", "42", "%2F", "a%2Fb", "%C3%A9t%C3%A9", "%E6%97%A5%E6%9C%AC", "%20", "a+b", "a%2Bb",
    "%25", "%252F", "%3F", "%23", ";v=1", "a,b", "@x:y", "bgrs", "bgrsx", "%62grs", "%FF", "~user", "(1)", "*", "'",
    "index.html",
)  # fmt: skip
QUERY_SEGMENTS = (
    "", "a=1", "a=2", "a=", "a", "=", "=b", "a=b=c", "a=1;b=2", "q=%C3%A9", "q=%E9", "q=%FF%FE", "q=a+b", "q=a%20b",
    "q=%2B", "q=%26x%3D1", "q=%", "q=%zz", "limit=10", "limit=ten", "b%67rs=no", "BGRS=yes", "xbgrs=1", "bgrsx=1",
    "wait_forx=3", "Wait_for=3", "next=/a/b?c", "arr[]=1", "q=\xe9", "q=\"'<>", "q=~!*()", "a=%2526",
)  # fmt: skip
MARKERS = ("bgrs=yes", "bgrs=1", "bgrs=true", "bgrs=YES", "bgrs=Yes", "bgrs=%79es", "wait_for=0&bgrs=yes")
PREFERS = ("respond-async", "respond-async, wait=0", "Respond-Async;x=1", "wait=0, respond-async")
REQUEST_HEADERS = (
    ("Accept", "*/*"), ("Accept", "application/json, text/html;q=0.5"), ("Accept-Encoding", "gzip, br"),
    ("Accept-Language", "de-AT, de;q=0.8"), ("Authorization", "Bearer abc.def"), ("Cookie", "a=1; b=\"two\"; c=%20"),
    ("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded"),
    ("Content-Type", "multipart/form-data; boundary=xyz"), ("Content-Type", "text/plain; charset=latin-1"),
    ("Range", "bytes=0-3"), ("If-Range", '"abc"'), ("If-None-Match", "*"), ("If-None-Match", '"abc", W/"d"'),
    ("If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"), ("If-Match", "*"), ("Prefer", "handling=lenient"),
    ("Prefer", 'return=minimal, x="a, respond-async"'), ("User-Agent", "curl/8.5.0"), ("Referer", "https://a.example/?b"),
    ("X-Forwarded-For", "192.0.2.1, 192.0.2.2"), ("X-Forwarded-Proto", "https"),
    ("Forwarded", "for=192.0.2.1;proto=https"),
    ("Origin", "https://app.example"), ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Empty", ""), ("X-Twice", "one"), ("X-Twice", "two"), ("X-High", "caf\xe9"), ("x-lower", "a\tb"),
)  # fmt: skip
RESPONSE_HEADERS = (
    ("Set-Cookie", "a=1; Path=/; HttpOnly"), ("set-cookie", "b=2"), ("X-Twice", "one"), ("X-Twice", "two"),
    ("x-twice", "three"), ("X-Empty", ""), ("X-High", "caf\xe9"), ("X-Long", "x" * 5000), ("Vary", "Accept, Origin"),
    ("ETag", '"abc"'), ("ETag", 'W/"weak"'), ("Last-Modified", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ("Cache-Control", "public, max-age=3600"), ("Link", '<https://a.example/>; rel="next"'),
    ("Location", "/elsewhere?a=1"), ("Retry-After", "7"), ("WWW-Authenticate", 'Basic realm="x"'),
    ("Content-Disposition", 'inline; filename="r\xe9sum\xe9.csv"'), ("Content-Language", "de"),
    ("Content-Encoding", "gzip"), ("X-Content-Type-Options", "nosniff"), ("Access-Control-Allow-Origin", "*"),
    ("Content-Security-Policy", "default-src 'self'"), ("Accept-Ranges", "none"), ("Bgrs-Request", "not yours"),
    ("Bgrs-Status", "not yours"), ("Server-Timing", "db;dur=53"), ("Deprecation", "@1688169599"),
    ("Strict-Transport-Security", "max-age=1"), ("Clear-Site-Data", '"cache"'), ("Refresh", "1"), ("Alt-Svc", "clear"),
)  # fmt: skip
HOP_BY_HOP = (
    ("Connection", "close, X-Twice"), ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Upgrade", "h2c"),
    ("Proxy-Authenticate", "Basic"), ("Trailer", "Expires"), ("TE", "trailers"),
)  # fmt: skip
UNSENDABLE = (("Bad Name", "1"), ("X-Injected", "a\r\nSet-Cookie: b=1"), ("X-Nul", "a\0b"), ("X(Y)", "1"))
CONTENT_TYPES = (
    "text/plain", "text/plain; charset=utf-8", "application/json", "text/csv", "text/html; charset=utf-8",
    "image/svg+xml", "application/pdf", "application/octet-stream", "TEXT/HTML", "application/xhtml+xml",
    "text/javascript", "image/png", "application/problem+json",
)  # fmt: skip
STATUSES = (200,) * 12 + (
    201, 202, 203, 204, 205, 206, 299, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 412, 413, 418,
    422, 429, 451, 500, 501, 502, 503, 504, 599,
)  # fmt: skip
BODY_SIZES = (0, 0, 0, 0, 1, 2, 17, 100, 1000, 5000)
ODD_BODY_SIZES = (65_535, 65_536, 65_537, 200_000, MIB, 4 * MIB)
PIECE_SIZES = (0, 0, 1, 10, 100, 1000, 5000, 5000)
ODD_PIECE_SIZES = (65_535, 65_536, 65_537, 250_000, MIB)
WAYS: tuple[Way, ...] = ("whole", "whole", "json", "stream", "stream", "file")
DECLARES: tuple[Declares | None, ...] = (None, None, None, "right", "right", "short", "long")
RAISES: tuple[Raises | None, ...] = (
    *(None,) * 12, "before", "before", "at the first piece", "in the middle", "in the middle", "at the end"
)  # fmt: skip


class Choices:
    """Choices that bytes make. Hypothesis draws the bytes at once, which is ten times faster than choice by choice.

    Where the bytes end, everything is the first, and simplest, of its kind.
    """

    def __init__(self, drawn: bytes) -> None:
        self._rest = iter(drawn)

    def number(self, below: int) -> int:
        """0 or more."""
        return next(self._rest, 0) % below

    def one_of(self, elements: Sequence[T]) -> T:
        return elements[self.number(len(elements))]

    def some_of(self, elements: Sequence[T], most: int) -> tuple[T, ...]:
        return tuple(self.one_of(elements) for _ in range(self.number(most + 1)))

    def happens(self, one_in: int) -> bool:
        return self.number(one_in) == one_in - 1

    def rarely(self, usual: Sequence[T], rare: Sequence[T], one_in: int) -> T:
        return self.one_of(rare if self.happens(one_in) else usual)


def plan_from(choices: Choices, extra_headers: tuple[tuple[str, str], ...] = ()) -> Plan:
    """A plan. `extra_headers`: response headers that only some frameworks let pass."""
    way = choices.one_of(WAYS)
    headers = choices.some_of(RESPONSE_HEADERS, 6)
    if extra_headers and choices.happens(4):
        headers += choices.some_of(extra_headers, 2)
    if choices.happens(2):
        headers += (("Content-Type", choices.one_of(CONTENT_TYPES)),)
    status = choices.one_of(STATUSES)
    raises = choices.one_of(RAISES)
    if status in (204, 304):
        # What has no body by its status must not send one: servers differ in what they make of that.
        return Plan(way="whole", status=status, headers=headers, empty=True)
    if way == "file":
        return Plan(way=way, status=status, headers=headers, sizes=(choices.one_of(FILE_SIZES),))
    return Plan(
        way=way,
        status=status,
        headers=headers,
        sizes=tuple(choices.rarely(PIECE_SIZES, ODD_PIECE_SIZES, 25) for _ in range(choices.number(6))),
        empty=choices.happens(10),
        # An exception inside a body can only be where there are pieces.
        raises=raises if raises == "before" or way == "stream" else None,
        declares=choices.one_of(DECLARES) if way == "stream" else None,
    )


def case_from(drawn: bytes, extra_headers: tuple[tuple[str, str], ...] = ()) -> Case:
    """A request and the plan of its response."""
    choices = Choices(drawn)
    segments = choices.some_of(QUERY_SEGMENTS, 4)
    path = choices.some_of(PATH_SEGMENTS, 4)
    return Case(
        method=choices.one_of(METHODS),
        # Below the first segment `bgrs`, encoded or not, nothing belongs to the application.
        path="/" + "/".join(dropwhile(("bgrs", "%62grs").__contains__, path)),
        segments=segments,
        headers=choices.some_of(REQUEST_HEADERS, 6),
        body_size=choices.rarely(BODY_SIZES, ODD_BODY_SIZES, 30),
        piece_count=1 + choices.number(4),
        chunked=choices.happens(4),
        marker=choices.one_of(MARKERS),
        marker_at=choices.number(len(segments) + 1),
        prefer=choices.one_of(PREFERS) if choices.happens(8) else None,
        plan=plan_from(choices, extra_headers),
    )


def cases(extra_headers: tuple[tuple[str, str], ...] = ()) -> st.SearchStrategy[Case]:
    """Requests, each with the plan of its response."""
    return st.binary(min_size=DRAWN_BYTES, max_size=DRAWN_BYTES).map(lambda drawn: case_from(drawn, extra_headers))
