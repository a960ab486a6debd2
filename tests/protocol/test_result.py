"""A captured response, served: unchanged where it can be, safe where it must be, in part where that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgrs_middleware.models import Captured, Headers
from bgrs_middleware.protocol.message import Reply, StoredSlice
from bgrs_middleware.protocol.result import answer_reply, result_reply
from protocol.samples import RID, captured, finished, request_head, value

BODY = b"0123456789"
JSON = (b"content-type", b"application/json")


def served(response: Captured, method: str = "GET", headers: Headers = ()) -> Reply:
    return result_reply(finished(), response, request_head(method, headers=headers))


def test_a_plain_result_to_the_letter() -> None:
    response = captured(BODY, headers=((b"x", b"1"), JSON, (b"Content-Length", b"99"), (b"x", b"2")))
    assert served(response) == Reply(
        status=200,
        headers=(
            (b"x", b"1"),
            JSON,
            (b"Content-Length", b"10"),
            (b"x", b"2"),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"bgrs-request", RID.encode()),
            (b"bgrs-status", b"finished"),
            (b"etag", b'"%s"' % response.sha256.encode()),
            (b"accept-ranges", b"bytes"),
        ),
        body=BODY,
    )


@pytest.mark.parametrize("status", [200, 201, 204, 206, 301, 304, 400, 404, 500, 503, 599])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_ours_replace_what_the_application_said_of_the_same(status: int, method: str) -> None:
    theirs = (
        JSON,
        (b"Cache-Control", b"public"),
        (b"cache-control", b"max-age=9"),
        (b"X-Content-Type-Options", b"sniff"),
        (b"bgrs-request", b"x"),
        (b"bgrs-status", b"x"),
    )
    reply = served(captured(b"" if status in (204, 304) else BODY, status, theirs), method)
    ours = {name.lower(): content for name, content in reply.headers if name.lower() != b"content-type"}
    assert reply.status == status
    assert len(ours) == len(reply.headers) - 1
    assert ours[b"cache-control"] == b"no-store"
    assert ours[b"x-content-type-options"] == b"nosniff"
    assert ours[b"bgrs-request"] == RID.encode()
    assert ours[b"bgrs-status"] == b"finished"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_status_without_a_body_has_no_length(status: int, method: str) -> None:
    reply = served(captured(b"", status, ((b"content-length", b"0"), (b"etag", b'"x"'))), method)
    assert reply.status == status
    assert value(reply, b"content-length") is None
    assert value(reply, b"etag") == b'"x"'
    assert value(reply, b"content-disposition") is None
    assert reply.body == b""


@pytest.mark.parametrize("status", [201, 206, 302, 404, 500])
def test_other_statuses_are_served_whole_whatever_is_asked(status: int) -> None:
    asked = ((b"range", b"bytes=0-1"), (b"if-none-match", b"*"))
    reply = served(captured(BODY, status, (JSON,)), headers=asked)
    assert (reply.status, reply.body) == (status, BODY)
    assert value(reply, b"accept-ranges") is None
    assert value(reply, b"etag") is None


def test_another_method_than_get_and_head_gets_the_whole() -> None:
    """The one who waited for the answer of a POST has no use for the conditions and parts of a GET."""
    reply = served(captured(BODY, headers=(JSON,)), "POST", ((b"range", b"bytes=0-1"), (b"if-none-match", b"*")))
    assert (reply.status, reply.body) == (200, BODY)
    assert value(reply, b"etag") is None


@pytest.mark.parametrize("headers", [(), ((b"range", b"bytes=0-1"),), ((b"range", b"bytes=99-"),)])
@pytest.mark.parametrize("body_name", [None, "x.result"])
def test_a_head_gets_the_headers_of_the_whole_and_no_body(headers: Headers, body_name: str | None) -> None:
    response = captured(BODY, headers=(JSON,), body_name=body_name)
    reply = served(response, "HEAD", headers)
    assert reply.headers == served(response).headers
    assert (reply.status, reply.body) == (200, b"")


def test_a_stored_body_is_served_by_name() -> None:
    response = captured(BODY, headers=(JSON,), body_name="x.result")
    assert served(response).body == StoredSlice(body_name="x.result", offset=0, length=10)
    part = served(response, headers=((b"range", b"bytes=3-5"),))
    assert part.body == StoredSlice(body_name="x.result", offset=3, length=3)
    error = served(replace(response, status=500))
    assert error.body == StoredSlice(body_name="x.result", offset=0, length=10)


# Types that a browser would run

RUN = [
    b"text/html",
    b"TEXT/HTML; charset=utf-8",
    b" text/html ;x",
    b"application/xhtml+xml",
    b"image/svg+xml",
    b"Image/SVG+XML",
    b"text/xml",
    b"application/xml",
    b"application/atom+xml",
    b"text/xsl",
    b"application/xml-dtd",
    b"application/pdf",
    b"application/x-pdf",
    b"text/pdf",
    b"text/javascript",
    b"application/javascript",
    b"application/x-javascript",
    b"text/ecmascript",
    b"text/javascript1.5",
    b"text/jscript",
    b"text/livescript",
    b"multipart/x-mixed-replace; boundary=x",
    b"multipart/related",
    b"",
    b"nonsense",
    b"text/",
    b"text html",
    b"/html",
    b"text/plain, text/html",
    b"text/plain;x=,text/html",
    b"text/html,",
    b"\xff/\xff",
    b"*/*, text/html",
]
NOT_RUN = [
    b"application/json",
    b"Application/JSON",
    b"text/csv; charset=utf-8; header=present",
    b"text/plain",
    b"image/png",
    b"application/zip",
    b"application/octet-stream",
    b"text/plain; note=text/html",
    b"application/problem+json",
    b"text/markdown",
    b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"video/mp4",
    b"application/xmlish",
    b"text/html-ish",
    b"application/json, text/plain",
]


@pytest.mark.parametrize("content_type", RUN)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_a_browser_would_run_is_boxed_in(content_type: bytes, status: int) -> None:
    theirs = ((b"Content-Type", content_type), (b"Content-Security-Policy", b"default-src *"))
    for headers in ((), ((b"range", b"bytes=0-1"),)):
        reply = served(captured(BODY, status, theirs), headers=headers)
        assert (b"Content-Security-Policy", b"sandbox; default-src 'none'") in reply.headers
        assert value(reply, b"content-disposition") == b"attachment"
        assert (b"Content-Type", content_type) in reply.headers


@pytest.mark.parametrize("content_type", NOT_RUN)
def test_other_types_are_left_alone(content_type: bytes) -> None:
    theirs = ((b"content-type", content_type), (b"content-security-policy", b"a"), (b"content-disposition", b"inline"))
    reply = served(captured(BODY, headers=theirs))
    assert value(reply, b"content-security-policy") == b"a"
    assert value(reply, b"content-disposition") == b"inline"


def test_a_missing_type_is_boxed_in_and_one_bad_type_of_two_is_enough() -> None:
    for theirs in ((), (JSON, (b"content-type", b"text/html")), ((b"content-type", b"text/html"), JSON)):
        reply = served(captured(BODY, headers=theirs))
        assert value(reply, b"content-security-policy") == b"sandbox; default-src 'none'"
        assert value(reply, b"content-disposition") == b"attachment"


def test_an_empty_body_has_nothing_to_run() -> None:
    reply = served(captured(b"", 302, ((b"location", b"/there"),)))
    assert value(reply, b"content-disposition") is None
    assert value(reply, b"content-length") == b"0"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([b"inline"], b"attachment"),
        ([b'inline; filename="a.html"'], b'attachment; filename="a.html"'),
        ([b"INLINE;filename*=UTF-8''%e2.html"], b"attachment;filename*=UTF-8''%e2.html"),
        ([b'attachment; filename="a.html"'], b'attachment; filename="a.html"'),
        ([b"attachment"], b"attachment"),
        ([b"form-data; name=x"], b"attachment; name=x"),
        ([b""], b"attachment"),
        ([b"; filename=a"], b"attachment"),
        ([b"inline attachment"], b"attachment"),
        ([b"attachment", b"inline"], b"attachment"),
        ([b"inline", b"attachment; filename=x"], b"attachment"),
    ],
)
def test_what_is_boxed_in_is_a_download_and_keeps_its_file_name(theirs: list[bytes], ours: bytes) -> None:
    headers = ((b"content-type", b"text/html"), *((b"content-disposition", line) for line in theirs))
    assert value(served(captured(BODY, headers=headers)), b"content-disposition") == ours


def test_the_answer_to_who_waited_is_the_response_itself_and_its_id() -> None:
    page = ((b"content-type", b"text/html"), (b"cache-control", b"max-age=60"), (b"x-a", b"1"), (b"x-a", b"2"))
    reply = answer_reply(finished(), captured(b"<p>", headers=page))
    assert reply.headers == (*page, (b"bgrs-request", RID.encode()), (b"content-length", b"3"))
    assert (reply.status, reply.body) == (200, b"<p>")


def test_the_answer_to_who_waited_has_the_length_that_its_body_has() -> None:
    stored = captured(b"7 bytes", headers=((b"content-length", b"007"),), body_name="a.body")
    reply = answer_reply(finished(), stored)
    assert reply.headers[0] == (b"content-length", b"7")
    assert reply.body == StoredSlice(body_name="a.body", offset=0, length=7)
    empty = answer_reply(finished(), captured(b"", status=204, headers=((b"content-length", b"0"),)))
    assert (empty.status, empty.headers, empty.body) == (204, ((b"bgrs-request", RID.encode()),), b"")
