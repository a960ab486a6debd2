"""Whether the plain answer and the captured one are equal, by the words of CONTRACT sections 1 to 3.

Written from the contract and not with the package's own functions: what is wrong there must show here.
"""

from __future__ import annotations

import json
import re

from doors.answer import Answer

Pair = tuple[bytes, bytes]

WITHHELD = frozenset(
    b"set-cookie clear-site-data refresh strict-transport-security alt-svc connection keep-alive te trailer upgrade "
    b"transfer-encoding proxy-authenticate proxy-authorization proxy-connection".split()
)
"""What a captured response loses: what must not be shared or repeated, and what is hop-by-hop."""

OURS = frozenset(
    b"x-content-type-options cache-control bgrs-request bgrs-status content-length accept-ranges etag "
    b"content-security-policy content-disposition".split()
)
"""What the result route sets itself; each is looked at on its own."""

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
RUN_BY_BROWSERS = re.compile(rb"html|svg|xml|pdf|javascript")


def kept(headers: tuple[Pair, ...]) -> list[Pair]:
    """The headers that a captured response keeps, names in lower case."""
    named = {
        name.strip().lower() for key, value in headers if key.lower() == b"connection" for name in value.split(b",")
    }
    return [
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in WITHHELD | named and TOKEN.fullmatch(name) and not set(value) & set(b"\r\n\0")
    ]


def assert_equal(plain: Answer, result: Answer, rid: str) -> None:
    """The result is the plain answer; or, where that broke off, a refusal without any of it.

    Raises:
        AssertionError: they differ.
    """
    assert result.whole
    assert values(result, b"bgrs-request") == [rid.encode()] or not plain.whole
    if not plain.whole:
        assert_failed(plain, result, rid)
        return
    assert values(result, b"bgrs-status") == [b"finished"], result
    assert result.status == plain.status
    assert result.body == plain.body
    expected = kept(plain.headers)
    assert without_ours(result.headers) == without_ours(expected)
    _assert_ours(dict_of(expected), result)


def assert_failed(plain: Answer, result: Answer, rid: str) -> None:
    """A broken response is never shown, not even in part."""
    assert result.status == 500
    assert values(result, b"bgrs-status") == [b"failed"]
    assert values(result, b"content-type") == [b"application/problem+json"]
    document = json.loads(result.body)
    assert (document["status"], document["rid"]) == (500, rid)
    assert not plain.body or plain.body not in result.body


def values(answer: Answer, name: bytes) -> list[bytes]:
    """All values of a header."""
    return [value for key, value in answer.headers if key.lower() == name]


def without_ours(headers: tuple[Pair, ...] | list[Pair]) -> list[Pair]:
    """The headers that the result route passes on; of a Date, only that it is there."""
    passed_on = [(name.lower(), value) for name, value in headers if name.lower() not in OURS]
    return [(name, b"" if name == b"date" else value) for name, value in passed_on]


def dict_of(headers: list[Pair]) -> dict[bytes, list[bytes]]:
    """All values by name."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found


def _assert_ours(plain: dict[bytes, list[bytes]], result: Answer) -> None:
    assert values(result, b"x-content-type-options") == [b"nosniff"]
    assert values(result, b"cache-control") == [b"no-store"]
    has_no_body = result.status in (204, 304)
    assert values(result, b"content-length") == ([] if has_no_body else [b"%d" % len(result.body)])
    if result.status == 200:
        assert values(result, b"accept-ranges") == [b"bytes"]
        etags = values(result, b"etag")
        assert len(etags) == 1
        assert etags == plain.get(b"etag", etags)[:1]
    else:
        assert values(result, b"accept-ranges") == plain.get(b"accept-ranges", [])
        assert values(result, b"etag") == plain.get(b"etag", [])
    policy, disposition = values(result, b"content-security-policy"), values(result, b"content-disposition")
    if result.body and would_run(plain.get(b"content-type", [])):
        assert policy == [b"sandbox; default-src 'none'"]
        assert [value.partition(b";")[0].strip() for value in disposition] == [b"attachment"]
        given = plain.get(b"content-disposition", [])
        assert not given or disposition[0].partition(b";")[2] == given[0].partition(b";")[2]
    else:
        assert policy == plain.get(b"content-security-policy", [])
        assert disposition == plain.get(b"content-disposition", [])


def would_run(content_types: list[bytes]) -> bool:
    """Whether a browser would run it; what has no type may be anything."""
    return not content_types or any(RUN_BY_BROWSERS.search(value.lower()) for value in content_types)
