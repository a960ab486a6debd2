"""A batch: many requests in one (CONTRACT, section 5). What was sent is read here, and told as a document of its items.

Nothing of a batch is recorded unless all of it can be understood: an error names the place, such as
`requests[3].path`. An item is as if it had been sent by itself, at the same door, with the batch's own headers where
it does not say otherwise.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ..errors import BadRequest, NotAllowed, Refusal
from ..models import Captured, Headers, Item, Record
from ..settings import Rule, Settings
from .documents import to_json
from .fields import media_type
from .message import SAFE_IN_A_PATH, RequestHead
from .replies import result_url
from .routes import find_route
from .rules import Rules

_KEYS = ("method", "path", "headers", "body", "body_base64")
_NO_METHODS = frozenset({"HEAD", "OPTIONS", "CONNECT", "TRACE"})

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_A_PATH = re.compile(r"[\x00-\x20\x7f#\\\ud800-\udfff]")
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_AS_SENT = SAFE_IN_A_PATH + '%?[]{}|^`"<>'

_JSON = (b"content-type", b"application/json")

_SAID_BY_PROXIES = re.compile(
    "host|via|(x-)?forwarded(-.*)?|(x-)?remote-.*|(x-)?real-ip|true-client-ip|(x-)?ssl-.*|x-client-cert.*"
    "|x-original-.*|x-auth-request-.*|cf-.*|x-amzn-.*|x-envoy-.*"
)
"""Headers that an application believes because a proxy sets or removes them. None looks at those of an item."""

MAX_MARKS = 500_000
"""Each of these may begin a value of JSON, which takes many times its bytes in memory, and no thread runs meanwhile."""
_MARKS = b",:[{"

# About the batch's own body, its own connection, its own conditions, and how it asked. So is all that begins with
# `content-`.
_NOT_INHERITED = frozenset(
    {
        *(b"connection", b"digest", b"expect", b"idempotency-key", b"if-match", b"if-modified-since", b"if-none-match"),
        *(b"if-range", b"if-unmodified-since", b"keep-alive", b"prefer", b"proxy-connection", b"range"),
        *(b"repr-digest", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One request of a batch: its head as if it had been received, its body, and the rule that holds for it.

    `place` is where the batch has it, such as `requests[3]`.
    """

    place: str
    head: RequestHead
    body: bytes
    rule: Rule | None


def read_batch(body: bytes, head: RequestHead, settings: Settings, rules: Rules) -> list[BatchItem]:
    """Return the requests of a batch, in order. May take long: for a thread of its own.

    Parameters:
        body: `{"requests": [{"method", "path", "headers"?, "body"?|"body_base64"?}, ...]}`; a key whose value is null
            is as if it were missing.
        head: the batch's own.

    Raises:
        BadRequest: something of it cannot be understood; it says what, and where.
    """
    # More than ever fit would be sent again and again.
    requests = _requests_in(_load(body), min(settings.max_batch_items, room_for_batches(settings)))
    inherited = tuple(
        (name, value) for name, value in head.headers if name not in _NOT_INHERITED and not name.startswith(b"content-")
    )
    base = replace(head, headers=inherited)
    items: list[BatchItem] = []
    for place, each in enumerate(requests):
        items.append(_read(each, f"requests[{place}]", base, settings, rules))
        # Freed one by one: to free a million small objects at once would keep other threads waiting.
        requests[place] = None
    return items


def room_for_batches(settings: Settings) -> int:
    """Return how many may be queued when a batch comes, its own items included: half of the queue.

    The items of a batch are one for `max_queued_per_caller`. So that a few batches of one caller keep nobody out, the
    other half is for requests that are sent by themselves.
    """
    return (settings.max_queued + 1) // 2


def check_sender(head: RequestHead) -> None:
    """Refuse a batch that a page of another site sent unasked.

    A browser asks the application before it sends such a page's JSON (CORS), and does not before it sends text. Its
    items would then be whatever no page could send: with any method and header, and the user's cookies.

    Raises:
        NotAllowed: it comes from another site, and not as JSON.
    """
    is_json = media_type(head.header(b"content-type") or b"") == _JSON[1]
    if head.header(b"sec-fetch-site") == b"cross-site" and not is_json:
        raise NotAllowed("From another site, a batch must have the Content-Type application/json.")


def _load(body: bytes) -> Any:
    if sum(body.count(mark) for mark in _MARKS) > MAX_MARKS:
        raise BadRequest(f"A batch has at most {MAX_MARKS:,} values; send bodies that are large as body_base64.")
    try:
        # With a function to call for each object, other threads get their turns while a large text is read.
        return json.loads(body.decode("utf-8"), object_hook=lambda found: found, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest('The body of a batch is JSON in UTF-8, such as {"requests": [{...}, ...]}.') from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _requests_in(document: Any, most: int) -> list[Any]:
    if not isinstance(document, dict) or document.keys() != {"requests"}:
        raise BadRequest('A batch is an object with the key "requests", and no other.')
    requests = document["requests"]
    if not isinstance(requests, list) or not requests:
        raise _bad("requests", "takes a list of at least one request")
    if len(requests) > most:
        raise _bad("requests", f"has {len(requests):,} requests; at most {most:,} are taken")
    return requests


def _bad(place: str, words: str) -> BadRequest:
    return BadRequest(f"{place}: {words}.", field=place)


def _read(found: Any, place: str, base: RequestHead, settings: Settings, rules: Rules) -> BatchItem:
    if not isinstance(found, dict):
        raise _bad(place, "takes an object with the keys method and path")
    for key in found:
        if key not in _KEYS:
            raise _bad(place, f"has the unknown key {json.dumps(key)}; it takes {', '.join(_KEYS)}")
    method = _method(found.get("method"), f"{place}.method")
    headers = _headers(found.get("headers"), f"{place}.headers")
    body, is_json = _body(found, place)
    if is_json and all(name != b"content-type" for name, _ in headers):
        headers = (*headers, _JSON)
    # A name with an empty list, too: so an item does without what it would inherit.
    own = {name for name, _ in headers} | {name.lower().encode("ascii") for name in found.get("headers") or ()}
    head = replace(
        _aimed(base, found.get("path"), f"{place}.path"),
        method=method,
        headers=tuple(pair for pair in base.headers if pair[0] not in own) + headers,
    )
    if _is_ours(head, settings, rules):
        raise _bad(f"{place}.path", "is a route of background requests; an item is a request to the application")
    return BatchItem(place=place, head=head, body=body, rule=rules.match(method, head.route_path))


def _method(found: Any, place: str) -> str:
    if not isinstance(found, str) or not _TOKEN.fullmatch(found):
        raise _bad(place, "takes the name of an HTTP method")
    method = found.upper()
    if method in _NO_METHODS:
        raise _bad(place, f"{method} cannot run in the background")
    return method


def _aimed(base: RequestHead, found: Any, place: str) -> RequestHead:
    """The batch's head with another path and query, below the same root."""
    if not isinstance(found, str) or not found.startswith("/"):
        raise _bad(place, 'takes a path of the application, with its query, that begins with "/"')
    if _NOT_IN_A_PATH.search(found):
        raise _bad(place, "has a space, a backslash, a # or another character that no path can have")
    raw, _, query = quote(found, safe=_AS_SENT).encode("ascii").partition(b"?")
    below = base.route_path
    root = base.path[: len(base.path) - len(below)]
    path = root + unquote_to_bytes(raw).decode("utf-8", "replace")
    return replace(base, path=path, raw_path=quote(root, safe=SAFE_IN_A_PATH).encode("ascii") + raw, query=query)


def _headers(found: Any, place: str) -> Headers:
    if found is None:
        return ()
    if not isinstance(found, dict):
        raise _bad(place, "takes an object of names and values")
    pairs: list[tuple[bytes, bytes]] = []
    for name, value in found.items():
        if not _TOKEN.fullmatch(name):
            raise _bad(place, f"{json.dumps(name)} is no name of a header")
        if _SAID_BY_PROXIES.fullmatch(name.lower().replace("_", "-")):
            raise _bad(place, f"{json.dumps(name)} is the batch's own, for all of its items")
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, str) or _NOT_IN_A_VALUE.search(each):
                raise _bad(f"{place}.{name}", "takes a text without line breaks, or a list of such texts")
            pairs.append((name.lower().encode("ascii"), each.strip(" \t").encode("utf-8")))
    return tuple(pairs)


def _body(found: dict[str, Any], place: str) -> tuple[bytes, bool]:
    """The bytes, and whether they are JSON that was made here."""
    body, encoded = found.get("body"), found.get("body_base64")
    if encoded is not None:
        if body is not None:
            raise _bad(place, "has both body and body_base64; it takes one of them")
        return _decoded(encoded, f"{place}.body_base64"), False
    if body is None:
        return b"", False
    try:
        if isinstance(body, str):
            return body.encode("utf-8"), False
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii"), True
    except (ValueError, RecursionError) as error:
        raise _bad(f"{place}.body", "cannot be sent: it has half a character, or a number that is too large") from error


def _decoded(encoded: Any, place: str) -> bytes:
    if isinstance(encoded, str):
        try:
            return b64decode(encoded, validate=True)
        except ValueError:
            pass
    raise _bad(place, "takes a text in base64 (RFC 4648, section 4)")


def _is_ours(head: RequestHead, settings: Settings, rules: Rules) -> bool:
    try:
        return find_route(head.method, head.route_path, settings, rules) is not None
    except Refusal:
        return True


def as_items(records: Sequence[Record]) -> tuple[Item, ...]:
    """Return the items of a batch as its status document lists them: as if it had reported them itself."""
    return tuple(Item(name=record.rid, state=record.status.label, message=record.message) for record in records)


def captured_batch(batch: Record, records: Sequence[Record], *, base_url: str, settings: Settings) -> Captured:
    """Return the result of a batch that has ended: the list of its items, with where each one's own result is.

    Parameters:
        records: its items, in order.
        base_url: as for `replies.accepted`.
    """
    items = [
        {
            "rid": record.rid,
            "method": record.method,
            "name": record.name,
            "status_name": record.status.label,
            "http_status": record.http_status,
            "content_type": record.content_type,
            "result": result_url(record.rid, base_url=base_url, settings=settings),
        }
        for record in records
    ]
    body = to_json({"rid": batch.rid, "items": items})
    return Captured(status=200, headers=(_JSON,), length=len(body), sha256=sha256(body).hexdigest(), inline=body)
