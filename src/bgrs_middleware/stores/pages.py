"""Pages of operations, as all stores make them: how many records one looks at, and where the next one begins.

A page looks at a bounded stretch of each owner's records, whatever the filter. Where hardly any record matches, it ends
before it is full, and says where to go on (AIP-158 allows that).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..models import OperationsPage, OperationsQuery, Record
from ..protocol.filters import matches
from .text import clean


def page_of(found: Sequence[Record], limit: int, looked_down_to: int | None) -> OperationsPage:
    """Return the page of one owner.

    Parameters:
        found: the first records that match in the stretch that was looked at, newest first; one more than `limit`
            where there is one.
        looked_down_to: the lowest id that was looked at; None: the owner has no older record.
    """
    if len(found) > limit:
        return OperationsPage(records=tuple(found[:limit]), before_id=found[limit - 1].id)
    return OperationsPage(records=tuple(found), before_id=looked_down_to)


def looked_through(newest: Sequence[Record], query: OperationsQuery) -> OperationsPage:
    """Return the page of one owner whose records are at hand.

    Parameters:
        newest: the owner's records below `before_id`, newest first; one more than `scan_limit` where there is one.
    """
    parent = clean(query.operations_parent)
    looked_at = newest[: query.scan_limit]
    found = [record for record in looked_at if record.operations_parent == parent]
    if query.condition is not None:
        found = [record for record in found if matches(query.condition, record)]
    return page_of(found, query.limit, looked_at[-1].id if len(newest) > len(looked_at) else None)


def merged(pages: Sequence[OperationsPage], limit: int) -> OperationsPage:
    """Return one page of those of several owners: it goes down to where the first of them ends."""
    if len(pages) == 1:
        return pages[0]
    ends = [page.before_id for page in pages if page.before_id is not None]
    end = max(ends, default=None)
    records = [record for page in pages for record in page.records if end is None or record.id >= end]
    records.sort(key=lambda record: record.id, reverse=True)
    return page_of(records, limit, end)
