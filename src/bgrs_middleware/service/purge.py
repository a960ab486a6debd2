"""Removes at once what retention would remove in time, or more: what the command `bgrs purge` does.

It works on a store that servers may be using: each page is one commit, and what runs or waits is never touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ..bodies.base import Bodies
from ..models import Record, Status
from ..orders import Delete
from ..stores.base import Store
from ..stores.rules import SECONDS_PER_DAY, keep_until
from .retention import PAGE_SIZE


def purge(
    store: Store,
    bodies: Bodies,
    *,
    now: float,
    older_than_days: float | None = None,
    statuses: frozenset[Status] = frozenset(Status),
    dry_run: bool = False,
) -> Counter[Status]:
    """Remove records that have ended, with their details and bodies.

    Parameters:
        store, bodies: opened.
        now: seconds since the epoch.
        older_than_days: those that ended longer ago. None: those that are over their own `retention_days`.
        statuses: only those that ended so.
        dry_run: count them, remove nothing.

    Returns:
        How many there were of each final state.

    Raises:
        StorageError: it could not go on; what was removed before stays removed.
    """
    days = 0.0 if older_than_days is None else older_than_days

    def is_wanted(record: Record) -> bool:
        return record.status in statuses and (older_than_days is not None or keep_until(record) < now)

    counts: Counter[Status] = Counter()
    for page in _pages(lambda after_id: store.ended(now - days * SECONDS_PER_DAY, after_id, PAGE_SIZE)):
        wanted = [record for record in page if is_wanted(record)]
        counts.update(record.status for record in (wanted if dry_run else _remove(wanted, store, bodies)))
    return counts


def _pages(read: Callable[[int], Sequence[Record]]) -> Iterator[Sequence[Record]]:
    page = read(0)
    while page:
        yield page
        page = read(page[-1].id)


def _remove(records: Sequence[Record], store: Store, bodies: Bodies) -> list[Record]:
    """Rows first: files that are left when this process dies are found later, rows without files would be broken."""
    orders = [Delete(rid=record.rid, finished_at=record.finished_at) for record in records]
    with store.transaction() as transaction:
        changes = transaction.delete(orders)
    removed = [change.before for change in changes if change.done and change.before is not None]
    for record in removed:
        for name in (record.request_body_name, record.result_body_name):
            if name is not None:
                bodies.delete(name)
    return removed
