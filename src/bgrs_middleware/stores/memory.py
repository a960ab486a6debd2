"""The store in memory: for tests and for trying things out. Gone with its process, and seen by it alone.

It does what the other stores do, by the same rules. What one transaction changed is merged into the data when its block
ends, and dropped where it raises.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ..models import Captured, Detail, ListQuery, OperationsPage, OperationsQuery, Record, new_rid
from . import rules
from .base import Backlog, Store, Transaction
from .memory_transaction import Data, MemoryTransaction, Row
from .pages import looked_through, merged
from .text import clean


class MemoryStore(Store):
    """Records and details in this process's memory. `open` and `close` keep what there is."""

    shared_between_processes = False

    def __init__(self) -> None:
        self._data = Data()
        self._identity = new_rid()
        self._writer = threading.Lock()
        self._reader = threading.Lock()

    def identity(self) -> str:
        return self._identity

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._writer:
            transaction = MemoryTransaction(self._data)
            yield transaction
            transaction.settle()
            with self._reader:
                transaction.merge()

    def get(self, rids: Sequence[str]) -> Mapping[str, Record]:
        return {rid: row.record for rid, row in self._rows_of(rids).items()}

    def with_items(self, rid: str) -> Sequence[Record]:
        with self._reader:
            return self._data.with_items(rid)

    def captured(self, rids: Sequence[str]) -> Mapping[str, Captured]:
        return {rid: row.captured for rid, row in self._rows_of(rids).items() if row.captured is not None}

    def _rows_of(self, rids: Sequence[str]) -> dict[str, Row]:
        with self._reader:
            ids = self._data.ids
            return {rid: self._data.rows[ids[rid]] for rid in rids if rid in ids}

    def details(self, rid: str, after_id: int, limit: int) -> Sequence[Detail]:
        with self._reader:
            found = self._data.details.get(rid, ())
        return [detail for detail in found if detail.id > after_id][: max(0, limit)]

    def list(self, query: ListQuery) -> Sequence[Record]:
        owner = clean(query.owner)
        with self._reader:
            found = [row.record for row in self._data.rows.values() if row.record.owner == owner]
        before_id = rules.MAX_ID if query.before_id is None else query.before_id
        found = [record for record in found if record.id < before_id]
        if query.statuses is not None:
            found = [record for record in found if record.status in query.statuses]
        return heapq.nlargest(max(0, query.limit), found, key=lambda record: record.id)

    def operations(self, query: OperationsQuery) -> OperationsPage:
        newest = ListQuery(owner="", statuses=None, before_id=query.before_id, limit=query.scan_limit + 1)
        owners = dict.fromkeys(query.owners)
        return merged([looked_through(self.list(replace(newest, owner=owner)), query) for owner in owners], query.limit)

    def count_queued(self) -> int:
        with self._reader:
            return len(self._data.queued)

    def backlog(self) -> Backlog:
        with self._reader:
            times = [self._data.rows[id_].record.queued_at for id_ in self._data.queued]
            return Backlog(queued=len(times), oldest_queued_at=min(times, default=None), running=len(self._data.held))

    def abandoned(self, lease_before: float, after_id: int, limit: int) -> Sequence[Record]:
        with self._reader:
            held = [self._data.rows[id_].record for id_ in self._data.held if id_ > after_id]
        late = [record for record in held if record.lease_until is not None and record.lease_until < lease_before]
        return heapq.nsmallest(max(0, limit), late, key=lambda record: record.id)

    def wipeable(self, finished_before: float, limit: int) -> Sequence[Record]:
        kept = [record for record in self._ended_before(finished_before) if record.has_request]
        return heapq.nsmallest(max(0, limit), kept, key=lambda record: (record.finished_at, record.id))

    def outdated(self, now: float, limit: int) -> Sequence[Record]:
        late = [record for record in self._alone(self._ended_before(now)) if rules.keep_until(record) < now]
        return heapq.nsmallest(max(0, limit), late, key=lambda record: (rules.keep_until(record), record.id))

    def ended(self, finished_before: float, after_id: int, limit: int) -> Sequence[Record]:
        found = [record for record in self._alone(self._ended_before(finished_before)) if record.id > after_id]
        return heapq.nsmallest(max(0, limit), found, key=lambda record: record.id)

    def _ended_before(self, time: float) -> Sequence[Record]:
        with self._reader:
            records = [row.record for row in self._data.rows.values() if row.record.status.is_final]
        return [record for record in records if record.finished_at is not None and record.finished_at < time]

    def _alone(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those that do not go with a batch that is still there."""
        with self._reader:
            return [record for record in records if record.parent is None or record.parent not in self._data.ids]
