"""Pages of Google's operations (AIP-158; CONTRACT, section 5): what a list asks for, and the token of the next page.

`filter`, `pageSize` and `pageToken` are read, in camel case or in snake case, as Google's clients send them; whatever
else stands in the query (`$alt`, `key`, …) is none of a list's business. A token is bound to filter, parent and owner.
"""

from __future__ import annotations

from ..errors import BadRequest
from ..models import OperationsPage, OperationsQuery
from .filters import condition_of
from .message import RequestHead
from .page_tokens import dump_id, load_id, read_size
from .query import values

SCAN_LIMIT = 1_000
"""How many records a page looks at: the most that a filter which nothing matches can make it read."""

_NAMES = {"filter": ("filter",), "pageSize": ("pageSize", "page_size"), "pageToken": ("pageToken", "page_token")}
_TOKEN_REFUSED = "pageToken takes the nextPageToken of the same list, with the same filter."


def read_operations_query(
    head: RequestHead, *, secret: bytes, owners: tuple[str, ...], operations_parent: str
) -> OperationsQuery:
    """Read what a list of operations asks for.

    Parameters:
        secret: what page tokens are signed with.
        owners: the caller's identity, then the ones that they had before; empty for an anonymous caller, whose list is
            empty too.
        operations_parent: as the path names it.

    Raises:
        InvalidFilter: the filter cannot be understood.
        BadRequest: another parameter has no usable value; its detail names the parameter.
    """
    text = _only(head, "filter")
    token = _only(head, "pageToken")
    bound_to = _bound_to(text, owners, operations_parent)
    return OperationsQuery(
        owners=owners,
        operations_parent=operations_parent,
        condition=condition_of(text) if text.strip() else None,
        before_id=load_id(secret, bound_to, token, _TOKEN_REFUSED) if token else None,
        limit=read_size(_only(head, "pageSize"), "pageSize"),
        scan_limit=SCAN_LIMIT,
    )


def next_page_token(head: RequestHead, *, secret: bytes, query: OperationsQuery, page: OperationsPage) -> str | None:
    """Return the token of the page after this one; None: this is the last.

    Parameters:
        head: what `query` was read from.
        secret: what page tokens are signed with.
    """
    if page.before_id is None:
        return None
    bound_to = _bound_to(_only(head, "filter"), query.owners, query.operations_parent)
    return dump_id(secret, bound_to, page.before_id)


def _bound_to(text: str, owners: tuple[str, ...], operations_parent: str) -> tuple[object, ...]:
    # Who they were before does not count: an old secret key may be dropped while somebody turns pages.
    return ("bgrs_middleware operations", owners[:1], operations_parent, text.strip())


def _only(head: RequestHead, name: str) -> str:
    """The value of a parameter under either of its names; empty where there is none.

    Raises:
        BadRequest: it is given twice, with different values.
    """
    found = {value for spelling in _NAMES[name] for value in values(head.query, spelling.encode("ascii")) if value}
    if len(found) > 1:
        raise BadRequest(f"{name} is given more than once, with different values.")
    return found.pop() if found else ""
