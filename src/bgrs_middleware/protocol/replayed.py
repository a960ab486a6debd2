"""What becomes of a request that is to be replayed: the head that is stored, and the name and type of its record.

The replayed request is the one that was sent, without what made it a background request and without what would keep
the whole, unencoded answer from being captured. Everything else stays as received, in order, repeated where repeated.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..settings import Rule, Settings
from . import prefer, query
from .ask import WAIT_FOR
from .message import RequestHead

NAME_LENGTH = 2_000
TYPE_LENGTH = 200

_DROPPED = frozenset({b"range", b"if-range", b"if-none-match", b"if-modified-since", b"transfer-encoding", b"expect"})

_MASK = b"***"
# Compared with the parameter's name in lower case without its separators.
_SECRET_PARTS = (
    "token",
    "passw",
    "passphrase",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "signature",
    "session",
    "sessid",
    "credential",
    "authoriz",
    "bearer",
    "jwt",
)
_SECRET_NAMES = frozenset({"key", "code", "sig", "auth", "pass", "pwd", "pin", "otp", "sid"})
_NOT_AS_SENT = _DROPPED | {b"prefer", b"accept-encoding", b"content-length"}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_NOT_SHOWN = re.compile(rb"[^!-~]")
_NOT_OF_A_TYPE = re.compile(r"[^A-Za-z0-9]+")


def replayed_head(head: RequestHead, settings: Settings, body_length: int) -> RequestHead:
    """Return the head as it is to be stored and replayed: whichever way was used to ask, all their traces are removed.

    Parameters:
        head: as received.
        settings: for the name of the marker.
        body_length: bytes of the body that was read; becomes the Content-Length, also of a chunked upload.
    """
    # In place of the first of their name; further ones are dropped.
    replaced = {b"accept-encoding": b"identity", b"content-length": b"%d" % body_length}
    headers: list[tuple[bytes, bytes]] = []
    for pair in head.headers:
        name = pair[0]
        if name not in _NOT_AS_SENT:
            headers.append(pair)
        elif name in replaced:
            headers.append((name, replaced.pop(name)))
        elif name == b"prefer":
            headers += [(name, line) for line in prefer.without_async([pair[1]])]
    if not body_length:
        replaced.pop(b"content-length", None)
    headers += replaced.items()
    # In full, because `dataclasses.replace` takes longer than all the rest here.
    return RequestHead(
        method=head.method,
        path=head.path,
        root_path=head.root_path,
        raw_path=head.raw_path,
        query=replayed_query(head, settings),
        headers=tuple(headers),
        scheme=head.scheme,
        http_version=head.http_version,
        client=head.client,
        server=head.server,
        gateway=head.gateway,
    )


def replayed_query(head: RequestHead, settings: Settings) -> bytes:
    """Return the query without what asked for the background, and for how long to wait."""
    return query.without(head.query, (settings.param.encode(), WAIT_FOR))


def name_of(head: RequestHead) -> str:
    """Return the name of a request: its path and query as sent, in printable ASCII, at most 2,000 characters.

    Other bytes are shown percent-encoded. The values of parameters whose name speaks of a secret become `***`.
    """
    raw = head.raw_path
    if head.query:
        raw += b"?" + b"&".join([_shown(segment) for segment in head.query.split(b"&")])
    name = _NOT_SHOWN.sub(lambda found: b"%%%02X" % ord(found[0]), raw).decode("ascii")
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + "..."


def _shown(segment: bytes) -> bytes:
    name, equals, value = segment.partition(b"=")
    return name + equals + _MASK if value and _is_secret(name) else segment


@lru_cache(maxsize=256)
def _is_secret(raw_name: bytes) -> bool:
    name = _SEPARATORS.sub("", query.decoded(raw_name).lower())
    return name in _SECRET_NAMES or any(part in name for part in _SECRET_PARTS)


def type_of(head: RequestHead, rule: Rule | None) -> str:
    """Return the type of a request, at most 200 characters: the rule's, else method and path in capitals.

    Every run of other characters is one `_`: `GET /v2.5/users/me` is `GET_V2_5_USERS_ME` (CONTRACT, section 5).
    """
    if rule is not None and rule.type is not None:
        return rule.type
    return _NOT_OF_A_TYPE.sub("_", f"{head.method} {head.route_path}").strip("_").upper()[:TYPE_LENGTH]
