"""Pages of a caller's requests: which states are asked for, how many, and from where on.

A page token is bound to its owner and to the states asked for (see `page_tokens`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BadRequest
from ..models import Status
from .message import RequestHead
from .page_tokens import dump_id, load_id, read_size
from .query import first_value, values

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
        page_size=read_size(first_value(head.query, b"page_size") or "", "page_size"),
        before_id=load_token(secret, owner, statuses, token) if token else None,
    )


def dump_token(secret: bytes, owner: str | None, statuses: frozenset[Status] | None, before_id: int) -> str:
    """Return the token of the page that begins below `before_id`."""
    return dump_id(secret, _bound_to(owner, statuses), before_id)


def load_token(secret: bytes, owner: str | None, statuses: frozenset[Status] | None, token: str) -> int:
    """Return the `before_id` of a token.

    Raises:
        BadRequest: it is not a token of this owner's list of these states.
    """
    return load_id(secret, _bound_to(owner, statuses), token, _TOKEN_REFUSED)


def _bound_to(owner: str | None, statuses: frozenset[Status] | None) -> tuple[object, ...]:
    return ("bgrs_middleware page", owner, sorted(statuses or ()), statuses is None)


def _read_statuses(head: RequestHead) -> frozenset[Status] | None:
    names = [name.strip().lower() for text in values(head.query, b"status") for name in text.split(",")]
    found = {_STATUSES.get(name) for name in names if name}
    statuses = frozenset(status for status in found if status is not None)
    if None in found:
        labels = ", ".join(status.label for status in Status)
        raise BadRequest(f"status takes one or more of {labels}, or their numbers, separated by commas.")
    return statuses or None
