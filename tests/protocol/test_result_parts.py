"""A captured response in part, or not again: ranges and conditions (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bgrs_middleware.errors import RangeNotSatisfiable
from bgrs_middleware.models import Captured, Headers
from bgrs_middleware.protocol.message import Reply
from bgrs_middleware.protocol.result import result_reply
from protocol.samples import RID, captured, finished, request_head, value

BODY = b"0123456789"
JSON = (b"content-type", b"application/json")
DATE = b"Wed, 01 Jan 2025 00:00:00 GMT"


def served(response: Captured, method: str = "GET", headers: Headers = ()) -> Reply:
    return result_reply(finished(), response, request_head(method, headers=headers))


# Ranges


@pytest.mark.parametrize(
    ("line", "start", "end"),
    [
        (b"bytes=0-0", 0, 1),
        (b"bytes=0-9", 0, 10),
        (b"bytes=2-4", 2, 5),
        (b"bytes=7-", 7, 10),
        (b"bytes=7-99", 7, 10),
        (b"bytes=-3", 7, 10),
        (b"bytes=-99", 0, 10),
        (b"bytes=0-" + b"9" * 5_000, 0, 10),
        (b"bytes=-" + b"9" * 5_000, 0, 10),
        (b"bytes=0002-0000004", 2, 5),
        (b"Bytes=2-4", 2, 5),
        (b"bytes= 2-4 ", 2, 5),
    ],
)
def test_one_range_is_206(line: bytes, start: int, end: int) -> None:
    reply = served(captured(BODY, headers=(JSON, (b"content-length", b"10"))), headers=((b"range", line),))
    assert (reply.status, reply.body) == (206, BODY[start:end])
    assert value(reply, b"content-range") == b"bytes %d-%d/10" % (start, end - 1)
    assert value(reply, b"content-length") == b"%d" % (end - start)
    assert value(reply, b"etag")


@pytest.mark.parametrize(
    "line", [b"bytes=10-", b"bytes=10-12", b"bytes=-0", b"bytes=-000", b"bytes=" + b"9" * 5_000 + b"-"]
)
def test_a_range_outside_is_416_with_the_length(line: bytes) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        served(captured(BODY), headers=((b"range", line),))
    assert refused.value.headers == ((b"content-range", b"bytes */10"),)
    assert refused.value.rid == RID


@pytest.mark.parametrize("line", [b"bytes=0-", b"bytes=0-5", b"bytes=-1"])
def test_an_empty_result_has_no_ranges(line: bytes) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        served(captured(b""), headers=((b"range", line),))
    assert refused.value.headers == ((b"content-range", b"bytes */0"),)


@pytest.mark.parametrize(
    "lines",
    [
        [b"bytes=0-1,3-4"],
        [b"bytes=0-1", b"bytes=3-4"],
        [b"bytes=4-2"],
        [b"bytes=-"],
        [b"bytes="],
        [b"bytes"],
        [b"rows=0-1"],
        [b""],
        [b"bytes=a-b"],
        [b"bytes=+1-2"],
        [b"bytes=1_0-"],
        [b"bytes=0x0-1"],
        [b"bytes=--1"],
        [b"bytes =0-1"],
        [b"bytes=0 - 1"],
        [b"bytes=\xb2-"],
        [b"bytes=99-98"],
        [b"bytes=0-1,"],
    ],
)
def test_several_ranges_and_malformed_ones_get_the_whole(lines: list[bytes]) -> None:
    reply = served(captured(BODY), headers=tuple((b"range", line) for line in lines))
    assert (reply.status, reply.body) == (200, BODY)
    assert value(reply, b"content-range") is None


@given(st.binary(max_size=30), st.integers(0, 40), st.none() | st.integers(0, 40), st.booleans())
def test_a_range_is_a_slice(body: bytes, first: int, last: int | None, from_the_end: bool) -> None:
    """Against Python's own slicing."""
    if from_the_end:
        line, expected = b"bytes=-%d" % first, body[len(body) - min(first, len(body)) :]
    else:
        assume(last is None or last >= first)
        line = b"bytes=%d-" % first + (b"" if last is None else b"%d" % last)
        expected = body[first:] if last is None else body[first : last + 1]
    if not expected:
        with pytest.raises(RangeNotSatisfiable):
            served(captured(body), headers=((b"range", line),))
        return
    reply = served(captured(body), headers=((b"range", line),))
    assert (reply.status, reply.body) == (206, expected)
    start = len(body) - len(expected) if from_the_end else first
    assert value(reply, b"content-range") == b"bytes %d-%d/%d" % (start, start + len(expected) - 1, len(body))


@given(st.one_of(st.binary(max_size=20), st.text("bytes=0123456789-, ", max_size=20).map(str.encode)))
def test_any_range_is_a_part_the_whole_or_416(line: bytes) -> None:
    try:
        reply = served(captured(BODY), headers=((b"range", line),))
    except RangeNotSatisfiable:
        return
    assert reply.status in (200, 206)
    assert isinstance(reply.body, bytes)
    assert reply.body in BODY
    assert value(reply, b"content-length") == b"%d" % len(reply.body)


# Conditions

OWN_ETAG = b'"%s"' % captured(BODY).sha256.encode()


@pytest.mark.parametrize(
    ("theirs", "if_range", "status"),
    [
        ((), OWN_ETAG, 206),
        ((), b" " + OWN_ETAG + b" ", 206),
        ((), b"W/" + OWN_ETAG, 200),
        ((), b'"other"', 200),
        ((), b"", 200),
        ((), b"*", 200),
        (((b"ETag", b'"theirs"'),), b'"theirs"', 206),
        (((b"ETag", b'"theirs"'),), OWN_ETAG, 200),
        (((b"ETag", b'W/"theirs"'),), b'W/"theirs"', 200),
        (((b"ETag", b'W/"theirs"'),), b'"theirs"', 200),
        (((b"Last-Modified", DATE),), DATE, 206),
        (((b"Last-Modified", DATE),), b"Thu, 02 Jan 2025 00:00:00 GMT", 200),
        ((), DATE, 200),
    ],
)
def test_if_range(theirs: Headers, if_range: bytes, status: int) -> None:
    reply = served(captured(BODY, headers=theirs), headers=((b"range", b"bytes=0-1"), (b"if-range", if_range)))
    assert reply.status == status


def test_two_lines_of_if_range_hold_nothing() -> None:
    asked = ((b"range", b"bytes=0-1"), (b"if-range", OWN_ETAG), (b"if-range", OWN_ETAG))
    assert served(captured(BODY), headers=asked).status == 200


def test_a_range_outside_does_not_matter_where_if_range_does_not_hold() -> None:
    assert served(captured(BODY), headers=((b"range", b"bytes=99-"), (b"if-range", b'"other"'))).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("theirs", "line"),
    [
        ((), OWN_ETAG),
        ((), b"W/" + OWN_ETAG),
        ((), b"*"),
        ((), b'"x", ' + OWN_ETAG),
        (((b"ETag", b'"theirs"'),), b'"theirs"'),
        (((b"ETag", b'W/"theirs"'),), b'"theirs"'),
        (((b"ETag", b'W/"theirs"'),), b'W/"theirs"'),
    ],
)
def test_what_the_client_has_already_is_304(theirs: Headers, line: bytes, method: str) -> None:
    headers = (*theirs, JSON, (b"Date", DATE), (b"vary", b"Cookie"), (b"x", b"1"), (b"content-length", b"10"))
    reply = served(captured(BODY, headers=headers), method, ((b"if-none-match", line), (b"range", b"bytes=0-1")))
    assert (reply.status, reply.body) == (304, b"")
    assert sorted(name.lower() for name, _ in reply.headers) == [
        b"bgrs-request",
        b"bgrs-status",
        b"cache-control",
        b"date",
        b"etag",
        b"vary",
        b"x-content-type-options",
    ]


@pytest.mark.parametrize("line", [b'"x"', b"", OWN_ETAG[1:-1], b"x*"])
def test_another_entity_tag_gets_the_result(line: bytes) -> None:
    assert served(captured(BODY), headers=((b"if-none-match", line),)).status == 200


def test_the_applications_entity_tag_is_kept() -> None:
    reply = served(captured(BODY, headers=((b"ETag", b'W/"theirs"'), (b"Accept-Ranges", b"none"))))
    assert (b"ETag", b'W/"theirs"') in reply.headers
    assert (b"Accept-Ranges", b"bytes") in reply.headers
    assert value(reply, b"etag") is None
