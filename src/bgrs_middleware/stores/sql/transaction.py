"""The writing verbs in SQL: find the records, ask the shared rules, write what they say.

Each verb takes all its orders together: one query for the records that they are about, one statement for all rows that
change the same columns, one for all details.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from ...models import Record, Status
from ...orders import (
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
    Note,
    Release,
    Renew,
    Report,
    Retry,
)
from .. import repeats, rules, settling
from ..base import Transaction
from ..rules import Move, Order, Queue
from ..text import clean
from . import adding
from .batches import BatchReader
from .records import RecordReader
from .rows import RECORD_COLUMNS, changed_columns
from .statement import Parameters, Statement, Values, keyed
from .statements import Statements

PROBE = "probe"
"""Stands where a detail has its rid. No request has such a one."""


class SqlTransaction(Transaction):
    """The writing verbs on one connection, which is in a transaction."""

    def __init__(self, connection: Connection, statements: Statements, records: RecordReader) -> None:
        self._connection = connection
        self._statements = statements
        self._records = records
        self._batches = BatchReader(statements, records)
        self._touched = settling.Touched()

    def expect(self, rids: Sequence[str]) -> None:
        if not self._statements.has_one_writer:
            self._batches.lock(self._connection, rids)

    def add(self, orders: Sequence[Add]) -> Sequence[Added | Existing]:
        if not orders:
            return []
        keys = repeats.keys_of(orders)
        existing = adding.existing(self._connection, self._statements, keys) if keys else None
        outcomes = repeats.outcomes_of(orders, self._queue_for(orders).admit, existing)
        new = [order for order, outcome in zip(orders, outcomes, strict=True) if outcome is Added.ADDED]
        beaten = adding.insert(self._connection, self._statements, new)
        return repeats.corrected(orders, outcomes, beaten) if beaten else outcomes

    def add_batch(self, orders: Sequence[AddBatch]) -> Sequence[Added | Existing]:
        outcomes = self.add([order.parent for order in orders])
        new = [order for order, outcome in zip(orders, outcomes, strict=True) if outcome is Added.ADDED]
        adding.insert(self._connection, self._statements, [item for order in new for item in order.items])
        return outcomes

    def _queue_for(self, orders: Sequence[Add]) -> Queue:
        """Count only what could reach a limit.

        No more requests can be queued than there are ids from the lowest queued one to the highest. That is two looks
        at an index; counting would take longer the longer the queue is. On PostgreSQL, what another process adds and
        has not yet committed is not counted: there a limit may be passed by as much.
        """
        lowest, highest = self._statements.queue_ends().fetch(self._connection, {})[0]
        most = sum(order.batch_items or 1 for order in orders) + (0 if lowest is None else highest - lowest + 1)
        owned = [order for order in orders if order.owner is not None]
        total = 0
        if most > min(order.max_queued for order in orders):
            total = self._statements.count_queued().fetch(self._connection, {})[0][0]
        by_owner: dict[str, int] = {}
        if lowest is not None and owned and most > min(order.max_queued_per_caller for order in owned):
            for keys in keyed([clean(order.owner) for order in owned if order.owner is not None]):
                statement = self._statements.count_by_owner(len(keys))
                rows = statement.fetch(self._connection, keys | {"lowest": lowest})
                by_owner |= {row[0]: row[1] for row in rows}
        return Queue(total, by_owner)

    def claim(self, orders: Sequence[Claim]) -> Sequence[Sequence[Claimed]]:
        return [self._claim(order) for order in orders]

    def _claim(self, order: Claim) -> Sequence[Claimed]:
        found = self._readable(self._statements.claimable(), {}, order.limit)
        moves = [(record, rules.claim(record, order)) for record, _ in found]
        self._write(moves)
        return [
            Claimed(record=replace(record, **move.changes), sealed_request=row[len(RECORD_COLUMNS)])
            for (record, move), (_, row) in zip(moves, found, strict=True)
        ]

    def _readable(self, statement: Statement, wanted: Parameters, limit: int) -> list[tuple[Record, Values]]:
        def fetch(count: int) -> Sequence[Values]:
            return statement.fetch(self._connection, {**wanted, "limit": count})

        return self._records.many(fetch, max(0, limit))

    def renew(self, orders: Sequence[Renew]) -> Sequence[Status | None]:
        outcomes = self._each(orders, rules.renew)
        return [change.before.status if change.before and change.done else None for change in outcomes]

    def report(self, orders: Sequence[Report]) -> Sequence[bool]:
        return [change.done for change in self._each(orders, rules.report)]

    def note(self, orders: Sequence[Note]) -> None:
        present = {
            row[0]
            for keys in keyed([order.rid for order in orders])
            for row in self._statements.present(len(keys)).fetch(self._connection, keys)
        }
        self._write_notes((order.rid, order.at, order.text) for order in orders if order.rid in present)

    def finish(self, orders: Sequence[Finish]) -> Sequence[Changed]:
        return self._each(orders, rules.finish)

    def release(self, orders: Sequence[Release]) -> Sequence[Changed]:
        return self._each(orders, rules.release)

    def cancel(self, orders: Sequence[Cancel]) -> Sequence[Changed]:
        outcomes: list[Changed] = []
        for batch in rules.batches(orders):
            found = self._batches.held(self._connection, [order.rid for order in batch])
            for order in batch:
                record = found.get(order.rid)
                moves = [] if record is None else settling.cancelled_with(record, _items(found, record), order)
                self._write(moves)
                found |= {moved.rid: replace(moved, **move.changes) for moved, move in moves}
                items = tuple(moved for moved, _ in moves if moved.rid != order.rid)
                outcomes.append(Changed(done=len(items) < len(moves), before=record, items=items))
        return outcomes

    def retry(self, orders: Sequence[Retry]) -> Sequence[Changed]:
        return self._each(orders, rules.retry)

    def delete(self, orders: Sequence[Delete]) -> Sequence[Changed]:
        outcomes: list[Changed] = []
        for batch in rules.batches(orders):
            found = self._batches.held(self._connection, [order.rid for order in batch])
            changes = [self._deletion(found, order) for order in batch]
            gone = [record for change in changes if change.done for record in (change.before, *change.items) if record]
            self._statements.delete_details().run_many(self._connection, [{"of": record.rid} for record in gone])
            self._statements.delete_request().run_many(self._connection, [{"row": record.id} for record in gone])
            # Items that cannot be read were not found.
            rest = [{"of": record.rid} for record in gone if record.is_batch]
            self._statements.delete_details_below().run_many(self._connection, rest)
            self._statements.delete_requests_below().run_many(self._connection, rest)
            outcomes += changes
        return outcomes

    def _deletion(self, found: dict[str, Record], order: Delete) -> Changed:
        """What an order removes of what was found; it is taken out there."""
        record = found.get(order.rid)
        items = [] if record is None else _items(found, record)
        if record is None or not settling.may_delete(record, items, order):
            return Changed(done=False, before=record)
        for each in (record, *items):
            del found[each.rid]
        self._touched.removed(record, order)
        return Changed(done=True, before=record, items=tuple(items))

    def expire(self, orders: Sequence[Expire]) -> Sequence[Sequence[Record]]:
        return [self._expire(order) for order in orders]

    def _expire(self, order: Expire) -> Sequence[Record]:
        wanted = {"queued_before": order.queued_before}
        found = [record for record, _ in self._readable(self._statements.expirable(), wanted, order.limit)]
        self._write((record, rules.expire(record, order)) for record in found)
        return found

    def wipe_requests(self, rids: Sequence[str]) -> Sequence[Changed]:
        return self._each([rules.Wipe(rid) for rid in rids], rules.wipe)

    def probe(self, orders: Sequence[float]) -> None:
        # A row that comes and goes: SQLite writes no page for an UPDATE that changes nothing.
        if orders:
            self._statements.insert_detail().run(self._connection, {"rid": PROBE, "at": orders[0], "text": ""})
            self._statements.delete_details().run(self._connection, {"of": PROBE})

    def settle(self) -> None:
        """Bring the batches up to date with their items; the last thing before the commit."""
        touched = self._touched.take()
        found = self._batches.batches(self._connection, list(touched))
        moves = [(batch, settling.settle(batch, parts, touched[batch.rid])) for batch, parts in found]
        settled = [(batch, move) for batch, move in moves if move is not None]
        self._write(settled)
        self.settled = [batch.rid for batch, _ in settled]

    def _each(self, orders: Sequence[Order], rule: Callable[[Record, Order], Move | None]) -> list[Changed]:
        outcomes: list[Changed] = []
        for batch in rules.batches(orders):
            found = self._found([order.rid for order in batch])
            moves: list[tuple[Record, Move]] = []
            for order in batch:
                record = found.get(order.rid)
                move = None if record is None else rule(record, order)
                if record is not None and move is not None:
                    moves.append((record, move))
                outcomes.append(Changed(done=move is not None, before=record))
            self._write(moves)
        return outcomes

    def _found(self, rids: Sequence[str]) -> dict[str, Record]:
        records = (
            self._records.one(row)
            for keys in keyed(rids)
            for row in self._statements.held(len(keys)).fetch(self._connection, keys)
        )
        return {record.rid: record for record in records}

    def _write(self, moves: Iterable[tuple[Record, Move]]) -> None:
        moves = list(moves)
        rows: dict[Statement, list[dict[str, Any]]] = {}
        for record, move in moves:
            self._touched.changed(record, move)
            columns = changed_columns(move)
            statement = self._statements.update_request(tuple(columns))
            columns["row"] = record.id
            rows.setdefault(statement, []).append(columns)
        for statement, changed in rows.items():
            statement.run_many(self._connection, changed)
        self._write_notes((record.rid, move.at, note) for record, move in moves for note in move.notes)

    def _write_notes(self, notes: Iterable[tuple[str, float, str]]) -> None:
        rows = [{"rid": rid, "at": at, "text": clean(text)} for rid, at, text in notes]
        self._statements.insert_detail().run_many(self._connection, rows)


def _items(found: Mapping[str, Record], batch: Record) -> list[Record]:
    """Those of the records that are items of this one, by id."""
    return [record for record in found.values() if record.parent == batch.rid] if batch.is_batch else []
