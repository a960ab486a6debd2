"""A captured response, served: its status, headers and body, made safe to be served from our own URL.

Nobody knows what an application lets its users upload, and a result is served from the application's own origin: types
that a browser would run are boxed in and offered as a download. Nothing may cache a result, since it can be deleted.
Conditional and partial requests are answered for captured 200s, the only ones whose body is a whole representation.
"""

from __future__ import annotations

import re

from ..errors import RangeNotSatisfiable
from ..models import Captured, Headers, Record
from .conditions import has_already, range_still_holds, wanted_range
from .fields import field_values, first_field, media_type, only_fields, with_field, without_fields
from .message import Reply, RequestHead, StoredSlice

_WITHOUT_BODY = frozenset({204, 304})

# RFC 9110, 15.4.5: what a 304 says again of the response that it stands for; and what is ours.
_IN_NOT_MODIFIED = frozenset(
    {
        b"bgrs-request",
        b"bgrs-status",
        b"cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"vary",
        b"x-content-type-options",
    }
)

_MEDIA_TYPE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+/[!#$%&'*+\-.^_`|~0-9a-z]+")
_RUN_BY_BROWSERS = re.compile(
    rb"text/html|text/xsl|(?:application|text)/(?:x-)?pdf|multipart/(?:related|x-mixed-replace)"
    rb"|[^/]+/(?:[^/]+\+)?xml|[^/]+/xml-.+"
    rb"|(?:application|text)/(?:x-)?(?:java|ecma|j|live)script[0-9.]*"
)
_DISPOSITION = re.compile(rb"[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*(;.*)?", re.DOTALL)


def result_reply(record: Record, captured: Captured, head: RequestHead) -> Reply:
    """Return the captured response, or the part of it that is asked for.

    Parameters:
        record: the finished request.
        captured: its response.
        head: the request for the result. Only GET and HEAD are answered conditionally, only GET in part.

    Raises:
        RangeNotSatisfiable: the range lies outside; its `Content-Range` tells the length.
    """
    headers = _served_headers(record, captured)
    if captured.status in _WITHOUT_BODY or captured.status < 200:
        return Reply(status=captured.status, headers=without_fields(headers, (b"content-length",)))
    headers = with_field(headers, b"content-length", b"%d" % captured.length)
    if captured.status != 200 or head.method not in ("GET", "HEAD"):
        return Reply(status=captured.status, headers=headers, body=_body(captured, head, 0, captured.length))
    return _whole_or_part(record, captured, head, headers)


def answer_reply(record: Record, captured: Captured) -> Reply:
    """Return the captured response itself, to the caller who waited for it: only `Bgrs-Request` is added.

    It is the answer to the request that was asked, at that request's own URL, and no more dangerous there than the
    application's direct answer.
    """
    headers = with_field(captured.headers, b"bgrs-request", record.rid.encode("ascii"))
    if captured.status in _WITHOUT_BODY or captured.status < 200:
        return Reply(status=captured.status, headers=without_fields(headers, (b"content-length",)))
    headers = with_field(headers, b"content-length", b"%d" % captured.length)
    return Reply(status=captured.status, headers=headers, body=_slice_of(captured, 0, captured.length))


def _whole_or_part(record: Record, captured: Captured, head: RequestHead, headers: Headers) -> Reply:
    etag = first_field(headers, b"etag") or b'"%s"' % captured.sha256.encode("ascii")
    headers = with_field(with_field(headers, b"etag", etag), b"accept-ranges", b"bytes")
    if has_already(head.header_values(b"if-none-match"), etag):
        return Reply(status=304, headers=only_fields(headers, _IN_NOT_MODIFIED))
    part = _part(record, captured, head, etag)
    if part is None:
        return Reply(status=200, headers=headers, body=_body(captured, head, 0, captured.length))
    start, length = part
    last = start + length - 1
    headers = with_field(headers, b"content-length", b"%d" % length)
    headers = with_field(headers, b"content-range", b"bytes %d-%d/%d" % (start, last, captured.length))
    return Reply(status=206, headers=headers, body=_body(captured, head, start, length))


def _part(record: Record, captured: Captured, head: RequestHead, etag: bytes) -> tuple[int, int] | None:
    # RFC 9110, 14.2: a Range counts for GET alone.
    if head.method != "GET":
        return None
    last_modified = first_field(captured.headers, b"last-modified")
    if not range_still_holds(head.header_values(b"if-range"), etag, last_modified):
        return None
    try:
        return wanted_range(head.header_values(b"range"), captured.length)
    except RangeNotSatisfiable as error:
        error.rid = record.rid
        raise


def _body(captured: Captured, head: RequestHead, offset: int, length: int) -> bytes | StoredSlice:
    return b"" if head.method == "HEAD" else _slice_of(captured, offset, length)


def _slice_of(captured: Captured, offset: int, length: int) -> bytes | StoredSlice:
    if captured.body_name is not None:
        return StoredSlice(body_name=captured.body_name, offset=offset, length=length)
    return (captured.inline or b"")[offset : offset + length]


def _served_headers(record: Record, captured: Captured) -> Headers:
    headers = captured.headers
    for name, value in (
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"bgrs-request", record.rid.encode("ascii")),
        (b"bgrs-status", record.status.label.encode("ascii")),
    ):
        headers = with_field(headers, name, value)
    if captured.length and would_run(field_values(headers, b"content-type")):
        disposition = _as_attachment(first_field(headers, b"content-disposition"))
        headers = with_field(headers, b"content-security-policy", b"sandbox; default-src 'none'")
        headers = with_field(headers, b"content-disposition", disposition)
    return headers


def would_run(content_types: list[bytes]) -> bool:
    """Tell whether a browser would, or might, run what has these `Content-Type` values: markup, PDF, scripts.

    A missing or malformed type counts, and so does each of several joined by commas: browsers differ in what they make
    of those.
    """
    if not content_types:
        return True
    for content_type in b",".join(content_types).split(b","):
        kind = media_type(content_type)
        if not _MEDIA_TYPE.fullmatch(kind) or _RUN_BY_BROWSERS.fullmatch(kind):
            return True
    return False


def _as_attachment(disposition: bytes | None) -> bytes:
    """The captured disposition as an attachment, with its parameters, above all the file name."""
    found = _DISPOSITION.fullmatch(disposition) if disposition is not None else None
    return b"attachment" + (found[1] or b"" if found else b"")
