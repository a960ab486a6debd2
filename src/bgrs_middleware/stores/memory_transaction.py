"""The writing verbs of the store in memory, and the data that they are about.

A transaction writes into an overlay that readers do not see, which is merged when its block ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..errors import StoreDataError
from ..models import Captured, Detail, Record, Status
from ..orders import (
    Add,
    AddBatch,
    Added,
    Cancel,
    Changed,
    Claim,
    Claimed,
    Delete,
    Existing,
    Expire,
    Finish,
    Idempotency,
    Note,
    Release,
    Renew,
    Report,
    Retry,
)
from . import repeats, rules, settling
from .base import Transaction
from .rules import Move, Order, Queue
from .text import clean


@dataclass(frozen=True, slots=True)
class Row:
    record: Record
    sealed_request: bytes
    captured: Captured | None = None
    idempotency: Idempotency | None = None


@dataclass(slots=True)
class Data:
    """What is committed. `queued` and `held` are the ids of rows in these states, `items` those of each batch's items.

    A batch is running, and held by nobody.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    queued: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    items: dict[str, set[int]] = field(default_factory=dict)
    details: dict[str, tuple[Detail, ...]] = field(default_factory=dict)
    last_id: int = 0
    last_detail_id: int = 0

    def put(self, id_: int, row: Row | None) -> None:
        old = self.rows.pop(id_, None)
        self.queued.discard(id_)
        self.held.discard(id_)
        if old is not None and row is None:
            del self.ids[old.record.rid]
            if old.idempotency is not None and self.keys.get(old.idempotency.key) == id_:
                del self.keys[old.idempotency.key]
            self._leave(old.record)
        if row is not None:
            self.rows[id_] = row
            self.ids[row.record.rid] = id_
            if row.idempotency is not None:
                self.keys[row.idempotency.key] = id_
            if row.record.parent is not None:
                self.items.setdefault(row.record.parent, set()).add(id_)
            if row.record.status is Status.QUEUED:
                self.queued.add(id_)
            elif row.record.status.is_running and not row.record.is_batch:
                self.held.add(id_)

    def _leave(self, record: Record) -> None:
        items = self.items.get(record.parent or "")
        if items is not None:
            items.discard(record.id)
            if not items:
                del self.items[record.parent or ""]

    def with_items(self, rid: str) -> list[Record]:
        """The record of a rid, and those of its items by id."""
        ids = [self.ids[rid], *sorted(self.items.get(rid, ()))] if rid in self.ids else []
        return [self.rows[id_].record for id_ in ids]


class MemoryTransaction(Transaction):
    """The writing verbs over the overlay: `_rows` and `_details` hold what this transaction changed, None for gone."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._rows: dict[int, Row | None] = {}
        self._ids: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._details: dict[str, tuple[Detail, ...]] = {}
        self._last_id = data.last_id
        self._last_detail_id = data.last_detail_id
        self._touched = settling.Touched()

    def merge(self) -> None:
        """Make it so. To be called after `settle`."""
        for id_, row in self._rows.items():
            self._data.put(id_, row)
        for rid, details in self._details.items():
            if details:
                self._data.details[rid] = details
            else:
                self._data.details.pop(rid, None)
        self._data.last_id = self._last_id
        self._data.last_detail_id = self._last_detail_id

    def add(self, orders: Sequence[Add]) -> Sequence[Added | Existing]:
        existing = self._existing(repeats.keys_of(orders))
        outcomes = repeats.outcomes_of(orders, self._queue().admit, existing)
        for order, outcome in zip(orders, outcomes, strict=True):
            if outcome is Added.ADDED:
                self._insert(order)
        return outcomes

    def add_batch(self, orders: Sequence[AddBatch]) -> Sequence[Added | Existing]:
        outcomes = self.add([order.parent for order in orders])
        for order, outcome in zip(orders, outcomes, strict=True):
            if outcome is Added.ADDED:
                for item in order.items:
                    self._insert(item)
        return outcomes

    def _existing(self, keys: Sequence[str]) -> dict[str, Existing]:
        existing: dict[str, Existing] = {}
        for key in keys:
            row = self._row(self._keys.get(key, self._data.keys.get(key, 0)))
            if row is not None and row.idempotency is not None:
                existing[key] = Existing(rid=row.record.rid, fingerprint=row.idempotency.fingerprint)
        return existing

    def _queue(self) -> Queue:
        by_owner: dict[str, set[str]] = {}
        queued = [row.record for row in self._queued()]
        for record in queued:
            if record.owner is not None:
                by_owner.setdefault(record.owner, set()).add(record.parent or record.rid)
        return Queue(len(queued), {owner: len(rids) for owner, rids in by_owner.items()})

    def _insert(self, order: Add) -> None:
        if self._find(order.rid) is not None:
            raise StoreDataError("The store holds a request of this rid already.")
        self._last_id += 1
        record = Record(id=self._last_id, **rules.new_fields(order))
        self._ids[order.rid] = record.id
        self._rows[record.id] = Row(record, order.sealed_request, idempotency=order.idempotency)
        if order.idempotency is not None:
            self._keys[order.idempotency.key] = record.id

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
        return [self._cancel(order) for order in orders]

    def _cancel(self, order: Cancel) -> Changed:
        row = self._find(order.rid)
        if row is None:
            return Changed(done=False, before=None)
        items = self._items(row.record)
        rows = {each.record.rid: each for each in (row, *items)}
        moves = settling.cancelled_with(row.record, (each.record for each in items), order)
        for record, move in moves:
            self._write(rows[record.rid], move)
        changed = tuple(record for record, _ in moves if record.rid != order.rid)
        return Changed(done=len(changed) < len(moves), before=row.record, items=changed)

    def retry(self, orders: Sequence[Retry]) -> Sequence[Changed]:
        return self._each(orders, rules.retry)

    def delete(self, orders: Sequence[Delete]) -> Sequence[Changed]:
        return [self._delete(order) for order in orders]

    def _delete(self, order: Delete) -> Changed:
        row = self._find(order.rid)
        items = () if row is None else tuple(each.record for each in self._items(row.record))
        if row is None or not settling.may_delete(row.record, items, order):
            return Changed(done=False, before=None if row is None else row.record)
        for record in (row.record, *items):
            self._rows[record.id] = None
            self._details[record.rid] = ()
        self._touched.removed(row.record, order)
        return Changed(done=True, before=row.record, items=items)

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

    def settle(self) -> None:
        """Bring the batches up to date with their items."""
        settled: list[str] = []
        for rid, at in self._touched.take().items():
            row = self._find(rid)
            move = None
            if row is not None and row.record.is_batch:
                parts = settling.parts_of(each.record for each in self._items(row.record))
                move = settling.settle(row.record, parts, at)
            if row is not None and move is not None:
                self._write(row, move)
                settled.append(rid)
        self.settled = settled

    def _items(self, batch: Record) -> list[Row]:
        """The items of a record, by id; none where it is no batch."""
        if not batch.is_batch:
            return []
        new = {id_ for id_, row in self._rows.items() if row is not None and row.record.parent == batch.rid}
        ids = sorted(self._data.items.get(batch.rid, set()) | new)
        rows = [self._rows[id_] if id_ in self._rows else self._data.rows[id_] for id_ in ids]
        return [row for row in rows if row is not None]

    def _each(self, orders: Sequence[Order], rule: Callable[[Record, Order], Move | None]) -> list[Changed]:
        outcomes: list[Changed] = []
        for order in orders:
            row = self._find(order.rid)
            move = None if row is None else rule(row.record, order)
            if row is not None and move is not None:
                self._write(row, move)
            outcomes.append(Changed(done=move is not None, before=None if row is None else row.record))
        return outcomes

    def _find(self, rid: str) -> Row | None:
        return self._row(self._ids.get(rid, self._data.ids.get(rid, 0)))

    def _row(self, id_: int) -> Row | None:
        return self._rows[id_] if id_ in self._rows else self._data.rows.get(id_)

    def _queued(self) -> list[Row]:
        untouched = [self._data.rows[id_] for id_ in self._data.queued if id_ not in self._rows]
        touched = [row for row in self._rows.values() if row is not None and row.record.status is Status.QUEUED]
        return untouched + touched

    def _write(self, row: Row, move: Move) -> Record:
        self._touched.changed(row.record, move)
        record = replace(row.record, **move.changes)
        captured = None if move.drops_captured else move.captured or row.captured
        sealed = row.sealed_request if record.has_request else b""
        self._rows[record.id] = Row(record, sealed, captured, row.idempotency)
        for note in move.notes:
            self._append(record.rid, move.at, note)
        return record

    def _append(self, rid: str, at: float, text: str) -> None:
        self._last_detail_id += 1
        before = self._details.get(rid, self._data.details.get(rid, ()))
        self._details[rid] = (*before, Detail(id=self._last_detail_id, rid=rid, at=at, text=clean(text)))
