"""Pages of a caller's requests: which states are asked for, how many, and from where on.

A page token is opaque and signed; it is bound to its owner and to the states asked for, so that one that was tampered
with, or taken from another list, is refused and never quietly gives the wrong page.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BadRequest
from ..models import Status
from .message import RequestHead
from .query import first_value, values

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

_TOKEN_REFUSED = "page_token takes the next_page_token of the same list, with the same status."
_STATUSES = {name: status for status in Status for name in (status.label, str(int(status)))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is asked for: the states (None: all), how many at most, and the id below which to begin (None: newest)."""

    statuses: frozenset[Status] | None
    page_size: int
    before_id: int | None


def read_page(head: RequestHead, secret: bytes, owner: str | None) -> Page:
    """Read `status`, `page_size` and `page_token`.

    Parameters:
        secret: what page tokens are signed with.
        owner: whose list it is; None for an anonymous caller.

    Raises:
        BadRequest: one of them has no usable value.
    """
    statuses = _read_statuses(head)
    token = first_value(head.query, b"page_token")
    return Page(
        statuses=statuses,
        page_size=_read_page_size(head),
        before_id=load_token(secret, owner, statuses, token) if token else None,
    )


def dump_token(secret: bytes, owner: str | None, statuses: frozenset[Status] | None, before_id: int) -> str:
    """Return the token of the page that begins below `before_id`."""
    return _serializer(secret, owner, statuses).dumps(before_id)


def load_token(secret: bytes, owner: str | None, statuses: frozenset[Status] | None, token: str) -> int:
    """Return the `before_id` of a token.

    Raises:
        BadRequest: it is not a token of this owner's list of these states.
    """
    from itsdangerous import BadData

    try:
        before_id = _serializer(secret, owner, statuses).loads(token)
    except BadData as error:
        raise BadRequest(_TOKEN_REFUSED) from error
    return int(before_id)


def _serializer(secret: bytes, owner: str | None, statuses: frozenset[Status] | None) -> URLSafeSerializer:
    from itsdangerous import URLSafeSerializer

    # The salt is part of the key: a token of another list does not verify, and the owner is not in the token.
    return URLSafeSerializer(
        secret,
        salt=repr(("bgrs_middleware page", owner, sorted(statuses or ()), statuses is None)).encode("utf-8"),
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def _read_statuses(head: RequestHead) -> frozenset[Status] | None:
    names = [name.strip().lower() for text in values(head.query, b"status") for name in text.split(",")]
    found = {_STATUSES.get(name) for name in names if name}
    statuses = frozenset(status for status in found if status is not None)
    if None in found:
        labels = ", ".join(status.label for status in Status)
        raise BadRequest(f"status takes one or more of {labels}, or their numbers, separated by commas.")
    return statuses or None


def _read_page_size(head: RequestHead) -> int:
    text = first_value(head.query, b"page_size") or "0"
    if not re.fullmatch("[0-9]+", text):
        raise BadRequest(f"page_size takes a whole number from 0 (as many as usual) to {MAX_PAGE_SIZE}.")
    # Read no more digits than matter: `int` refuses texts of thousands of them.
    size = int(text) if len(text) < 20 else MAX_PAGE_SIZE
    return min(size, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE
