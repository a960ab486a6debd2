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
    """Remove records that have ended, with their details and bodies. A batch takes its items along.

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
        counts.update(_to_be_removed(wanted, store) if dry_run else _remove(wanted, store, bodies))
    return counts


def _pages(read: Callable[[int], Sequence[Record]]) -> Iterator[Sequence[Record]]:
    page = read(0)
    while page:
        yield page
        page = read(page[-1].id)


def _to_be_removed(records: Sequence[Record], store: Store) -> list[Status]:
    whole = [store.with_items(record.rid) if record.is_batch else [record] for record in records]
    return [record.status for together in whole for record in together]


def _remove(records: Sequence[Record], store: Store, bodies: Bodies) -> list[Status]:
    """Rows first: files that are left when this process dies are found later, rows without files would be broken.

    Returns the states of what was removed.
    """
    orders = [Delete(rid=record.rid, finished_at=record.finished_at) for record in records]
    with store.transaction() as transaction:
        changes = [change for change in transaction.delete(orders) if change.done]
    for name in [name for change in changes for name in change.body_names]:
        bodies.delete(name)
    return [record.status for change in changes for record in (change.before, *change.items) if record is not None]
