"""The store in memory: for tests and for trying things out. Gone with its process, and seen by it alone.

It does what the other stores do, by the same rules: a transaction writes into an overlay that readers do not see, which
is merged when the block ends and dropped where it raises.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ..errors import StoreDataError
from ..models import Captured, Detail, ListQuery, Record, Status, new_rid
from ..orders import (
    Add,
    Added,
    Cancel,
    Changed,
    Claim,
    Claimed,
    Delete,
    Expire,
    Finish,
    Note,
    Release,
    Renew,
    Report,
    Retry,
)
from . import rules
from .base import Backlog, Store, Transaction
from .rules import Move, Order, Queue
from .text import clean


@dataclass(frozen=True, slots=True)
class _Row:
    record: Record
    sealed_request: bytes
    captured: Captured | None = None


@dataclass(slots=True)
class _Data:
    """What is committed. `queued` and `held` are the ids of the rows in these states."""

    rows: dict[int, _Row] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    queued: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    details: dict[str, tuple[Detail, ...]] = field(default_factory=dict)
    last_id: int = 0
    last_detail_id: int = 0

    def put(self, id_: int, row: _Row | None) -> None:
        old = self.rows.pop(id_, None)
        self.queued.discard(id_)
        self.held.discard(id_)
        if old is not None and row is None:
            del self.ids[old.record.rid]
        if row is not None:
            self.rows[id_] = row
            self.ids[row.record.rid] = id_
            if row.record.status is Status.QUEUED:
                self.queued.add(id_)
            elif row.record.status.is_running:
                self.held.add(id_)


class _MemoryTransaction(Transaction):
    """The writing verbs over the overlay: `_rows` and `_details` hold what this transaction changed, None for gone."""

    def __init__(self, data: _Data) -> None:
        self._data = data
        self._rows: dict[int, _Row | None] = {}
        self._ids: dict[str, int] = {}
        self._details: dict[str, tuple[Detail, ...]] = {}
        self._last_id = data.last_id
        self._last_detail_id = data.last_detail_id

    def merge(self) -> None:
        """Make it so."""
        for id_, row in self._rows.items():
            self._data.put(id_, row)
        for rid, details in self._details.items():
            if details:
                self._data.details[rid] = details
            else:
                self._data.details.pop(rid, None)
        self._data.last_id = self._last_id
        self._data.last_detail_id = self._last_detail_id

    def add(self, orders: Sequence[Add]) -> Sequence[Added]:
        queue = self._queue()
        outcomes = [queue.admit(order) for order in orders]
        for order, outcome in zip(orders, outcomes, strict=True):
            if outcome is Added.ADDED:
                self._insert(order)
        return outcomes

    def _queue(self) -> Queue:
        by_owner: dict[str, int] = {}
        queued = self._queued()
        for row in queued:
            if row.record.owner is not None:
                by_owner[row.record.owner] = by_owner.get(row.record.owner, 0) + 1
        return Queue(len(queued), by_owner)

    def _insert(self, order: Add) -> None:
        if self._find(order.rid) is not None:
            raise StoreDataError("The store holds a request of this rid already.")
        self._last_id += 1
        record = Record(id=self._last_id, **rules.new_fields(order))
        self._ids[order.rid] = record.id
        self._rows[record.id] = _Row(record, order.sealed_request)

    def claim(self, orders: Sequence[Claim]) -> Sequence[Sequence[Claimed]]:
        return [self._claim(order) for order in orders]

    def _claim(self, order: Claim) -> Sequence[Claimed]:
        claimed: list[Claimed] = []
        for row in heapq.nsmallest(max(0, order.limit), self._queued(), key=lambda row: row.record.id):
            record = self._write(row, rules.claim(row.record, order))
            claimed.append(Claimed(record=record, sealed_request=row.sealed_request))
        return claimed

    def renew(self, orders: Sequence[Renew]) -> Sequence[Status | None]:
        outcomes = self._each(orders, rules.renew)
        return [change.before.status if change.before and change.done else None for change in outcomes]

    def report(self, orders: Sequence[Report]) -> Sequence[bool]:
        return [change.done for change in self._each(orders, rules.report)]

    def note(self, orders: Sequence[Note]) -> None:
        for order in orders:
            if self._find(order.rid) is not None:
                self._append(order.rid, order.at, order.text)

    def finish(self, orders: Sequence[Finish]) -> Sequence[Changed]:
        return self._each(orders, rules.finish)

    def release(self, orders: Sequence[Release]) -> Sequence[Changed]:
        return self._each(orders, rules.release)

    def cancel(self, orders: Sequence[Cancel]) -> Sequence[Changed]:
        return self._each(orders, rules.cancel)

    def retry(self, orders: Sequence[Retry]) -> Sequence[Changed]:
        return self._each(orders, rules.retry)

    def delete(self, orders: Sequence[Delete]) -> Sequence[Changed]:
        return [self._delete(order) for order in orders]

    def _delete(self, order: Delete) -> Changed:
        row = self._find(order.rid)
        if row is None or not rules.may_delete(row.record, order):
            return Changed(done=False, before=None if row is None else row.record)
        self._rows[row.record.id] = None
        self._details[order.rid] = ()
        return Changed(done=True, before=row.record)

    def expire(self, orders: Sequence[Expire]) -> Sequence[Sequence[Record]]:
        return [self._expire(order) for order in orders]

    def _expire(self, order: Expire) -> Sequence[Record]:
        old = [row for row in self._queued() if row.record.queued_at < order.queued_before]
        old = heapq.nsmallest(max(0, order.limit), old, key=lambda row: row.record.id)
        for row in old:
            self._write(row, rules.expire(row.record, order))
        return [row.record for row in old]

    def wipe_requests(self, rids: Sequence[str]) -> Sequence[Changed]:
        return self._each([rules.Wipe(rid) for rid in rids], rules.wipe)

    def probe(self, orders: Sequence[float]) -> None:
        # Memory takes everything. It uses up the id of a detail, as it does in a database.
        self._last_detail_id += 1 if orders else 0

    def _each(self, orders: Sequence[Order], rule: Callable[[Record, Order], Move | None]) -> list[Changed]:
        outcomes: list[Changed] = []
        for order in orders:
            row = self._find(order.rid)
            move = None if row is None else rule(row.record, order)
            if row is not None and move is not None:
                self._write(row, move)
            outcomes.append(Changed(done=move is not None, before=None if row is None else row.record))
        return outcomes

    def _find(self, rid: str) -> _Row | None:
        id_ = self._ids.get(rid, self._data.ids.get(rid, 0))
        return self._rows[id_] if id_ in self._rows else self._data.rows.get(id_)

    def _queued(self) -> list[_Row]:
        untouched = [self._data.rows[id_] for id_ in self._data.queued if id_ not in self._rows]
        touched = [row for row in self._rows.values() if row is not None and row.record.status is Status.QUEUED]
        return untouched + touched

    def _write(self, row: _Row, move: Move) -> Record:
        record = replace(row.record, **move.changes)
        captured = None if move.drops_captured else move.captured or row.captured
        sealed = row.sealed_request if record.has_request else b""
        self._rows[record.id] = _Row(record, sealed, captured)
        for note in move.notes:
            self._append(record.rid, move.at, note)
        return record

    def _append(self, rid: str, at: float, text: str) -> None:
        self._last_detail_id += 1
        before = self._details.get(rid, self._data.details.get(rid, ()))
        self._details[rid] = (*before, Detail(id=self._last_detail_id, rid=rid, at=at, text=clean(text)))


class MemoryStore(Store):
    """Records and details in this process's memory. `open` and `close` keep what there is."""

    shared_between_processes = False

    def __init__(self) -> None:
        self._data = _Data()
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
            transaction = _MemoryTransaction(self._data)
            yield transaction
            with self._reader:
                transaction.merge()

    def get(self, rids: Sequence[str]) -> Mapping[str, Record]:
        return {rid: row.record for rid, row in self._rows_of(rids).items()}

    def captured(self, rids: Sequence[str]) -> Mapping[str, Captured]:
        return {rid: row.captured for rid, row in self._rows_of(rids).items() if row.captured is not None}

    def _rows_of(self, rids: Sequence[str]) -> dict[str, _Row]:
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
        late = [record for record in self._ended_before(now) if rules.keep_until(record) < now]
        return heapq.nsmallest(max(0, limit), late, key=lambda record: (rules.keep_until(record), record.id))

    def ended(self, finished_before: float, after_id: int, limit: int) -> Sequence[Record]:
        found = [record for record in self._ended_before(finished_before) if record.id > after_id]
        return heapq.nsmallest(max(0, limit), found, key=lambda record: record.id)

    def _ended_before(self, time: float) -> Sequence[Record]:
        with self._reader:
            records = [row.record for row in self._data.rows.values() if row.record.status.is_final]
        return [record for record in records if record.finished_at is not None and record.finished_at < time]
