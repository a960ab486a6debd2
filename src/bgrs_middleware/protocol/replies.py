"""The answers of the background request's own routes, as neutral replies.

Every JSON answer says `no-store` (it is true for a moment only) and `nosniff`. A HEAD gets the headers of the GET and
no body. What cannot be answered is an error to raise; `problem.py` turns it into a reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from ..errors import BadRequest, Conflict, Gone, NoResponse, Refusal
from ..models import Detail, Headers, Record, Status
from ..settings import Rule, Settings
from .conditions import has_already
from .documents import details_document, etag_of, list_document, status_document, to_json
from .fields import first_field, only_fields
from .health import Health, health_document
from .message import Reply, RequestHead
from .query import first_value
from .retry_after import SHORTEST_SECONDS, retry_after_seconds

HEALTH_RETRY_SECONDS = 10

_NO_STORE = (b"cache-control", b"no-store")
_NO_SNIFF = (b"x-content-type-options", b"nosniff")
_LARGEST_ID = 2**63 - 1


def accepted(
    rid: str,
    *,
    rule: Rule | None,
    by_prefer: bool,
    base_url: str,
    settings: Settings,
    retry_after_seconds: int,
) -> Reply:
    """Return the 202 of a request that was just recorded (CONTRACT, section 2).

    Parameters:
        rule: the rule that matched; it may name the body's only key.
        by_prefer: whether `Prefer: respond-async` was applied.
        base_url: absolute URL of the application's root, percent-encoded, without a slash at the end.
    """
    url = _ascii(f"{base_url}{settings.path}/{rid}")
    body = _accepted_body(rid, rule)
    headers: list[tuple[bytes, bytes]] = [
        *_json_headers(body),
        (b"location", url + b"/result"),
        (b"operation-location", url + b"/operation"),
        (b"link", b'<%s>; rel="status", <%s/details>; rel="details"' % (url, url)),
        retry_after_field(retry_after_seconds),
        (b"vary", b"Prefer"),
    ]
    if by_prefer:
        headers.append((b"preference-applied", b"respond-async"))
    return Reply(status=202, headers=tuple(headers), body=body)


def _accepted_body(rid: str, rule: Rule | None) -> bytes:
    # A rid is hex and needs no escaping.
    return b'{%s: "%s"}' % (_as_key("request" if rule is None else rule.id_field), rid.encode("ascii"))


@lru_cache(maxsize=64)
def _as_key(id_field: str) -> bytes:
    return to_json(id_field)


def status_reply(record: Record, head: RequestHead, now: float) -> Reply:
    """Return the status document, or 304 where the client has it already; until it has ended, with `Retry-After`."""
    body = status_document(record)
    etag = etag_of(body)
    if has_already(head.header_values(b"if-none-match"), etag):
        return Reply(status=304, headers=((b"etag", etag), _NO_STORE, *when_to_ask(record, now)))
    return json_reply(head, 200, body, ((b"etag", etag), *when_to_ask(record, now)))


def details_reply(details: Sequence[Detail], head: RequestHead) -> Reply:
    """Return the details list, oldest first as given."""
    return json_reply(head, 200, details_document(details))


def read_after(head: RequestHead) -> int:
    """Return the id after which details are asked for (`?after=`), 0 for all of them.

    Raises:
        BadRequest: it is not a whole number, 0 or more.
    """
    text = first_value(head.query, b"after")
    if not text:
        return 0
    if not re.fullmatch("[0-9]+", text):
        raise BadRequest("after takes the id of a detail: a whole number, 0 or more.")
    return min(int(text), _LARGEST_ID) if len(text) < 20 else _LARGEST_ID


def list_reply(records: Sequence[Record], next_page_token: str | None, head: RequestHead) -> Reply:
    """Return a page of the caller's requests."""
    return json_reply(head, 200, list_document(records, next_page_token))


def not_ready(record: Record, head: RequestHead, now: float, rule: Rule | None = None) -> Reply:
    """Return the 202 of a result that is not there yet, and when to ask again.

    Parameters:
        now: seconds since the epoch.
        rule: the one whose results path was asked. The body is then that of its first 202, as natif.ai's clients read
            the id from each; else it is the status document.
    """
    body = status_document(record) if rule is None else _accepted_body(record.rid, rule)
    return json_reply(head, 202, body, (*when_to_ask(record, now), _bgrs_status(record)))


def no_response(record: Record) -> Refusal:
    """Return the error to raise where a request has ended and there is no response to show.

    410 for an expired one and for a finished one whose response was removed, 409 for a cancelled one, 500 for a failed
    or a lost one. `Bgrs-Status` names the state.
    """
    kind, detail = _NO_RESPONSE[record.status]
    return kind(detail, rid=record.rid, headers=(_bgrs_status(record),))


def body_removed(reply: Reply) -> Gone:
    """Return the error to raise where a result's stored body is gone by the time that it should be sent.

    Parameters:
        reply: the result; its `Bgrs-Request` and `Bgrs-Status` are said again.
    """
    rid = first_field(reply.headers, b"bgrs-request")
    state = only_fields(reply.headers, (b"bgrs-status",))
    return Gone(_REMOVED, rid=None if rid is None else rid.decode("ascii"), headers=state)


_REMOVED = "The response was kept for its time and has been removed."
_NO_RESPONSE: dict[Status, tuple[type[Refusal], str]] = {
    Status.FINISHED: (Gone, _REMOVED),
    Status.EXPIRED: (Gone, "The request waited in the queue for too long and was never run: there is no response."),
    Status.CANCELLED: (Conflict, "The request was cancelled: there is no response."),
    Status.FAILED: (NoResponse, "The application gave no whole response. The details say what happened."),
    Status.LOST: (
        NoResponse,
        "The process that ran the request died; whether its work was done is not known, and there is no response.",
    ),
}


def cancel_reply(record: Record, head: RequestHead, now: float) -> Reply:
    """Return the status document after a cancel: 200 once the work has stopped, 202 while it still stops."""
    status = 200 if record.status.is_final else 202
    return json_reply(head, status, status_document(record), (*when_to_ask(record, now), _bgrs_status(record)))


def retry_reply(rid: str, head: RequestHead) -> Reply:
    """Return the 202 of a request that was queued again, under the same rid."""
    return json_reply(head, 202, to_json({"request": rid}), (retry_after_field(SHORTEST_SECONDS),))


def health_reply(health: Health, head: RequestHead) -> Reply:
    """Return the health document: 200, or 503 where nothing can be accepted or run."""
    body = to_json(health_document(health))
    if health.reasons:
        return json_reply(head, 503, body, (retry_after_field(HEALTH_RETRY_SECONDS),))
    return json_reply(head, 200, body)


def deleted() -> Reply:
    """Return the 204 of a request that is gone."""
    return Reply(status=204, headers=(_NO_STORE,))


def json_reply(head: RequestHead, status: int, body: bytes, more: Headers = ()) -> Reply:
    """Return a JSON document as a reply that nobody stores; to a HEAD without its body.

    Parameters:
        more: further headers.
    """
    return Reply(status=status, headers=_json_headers(body) + more, body=b"" if head.method == "HEAD" else body)


def _json_headers(body: bytes) -> Headers:
    return (
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        _NO_STORE,
        _NO_SNIFF,
    )


def when_to_ask(record: Record, now: float) -> Headers:
    """Return the header `Retry-After` where a request has not ended, else none.

    Parameters:
        now: seconds since the epoch.
    """
    return () if record.status.is_final else (retry_after_field(retry_after_seconds(record, now)),)


def retry_after_field(seconds: int) -> tuple[bytes, bytes]:
    """Return the header `Retry-After`."""
    return b"retry-after", b"%d" % seconds


def _bgrs_status(record: Record) -> tuple[bytes, bytes]:
    return b"bgrs-status", record.status.label.encode("ascii")


def result_url(rid: str, *, base_url: str, settings: Settings) -> str:
    """Return the absolute URL of a request's result, ASCII alone.

    Parameters:
        base_url: see `accepted`.
    """
    return _ascii(f"{base_url}{settings.path}/{rid}/result").decode("ascii")


def _ascii(url: str) -> bytes:
    if not url.isascii():
        url = quote(url, safe="%/:?#[]@!$&'()*+,;=~")
    return url.encode("ascii")
