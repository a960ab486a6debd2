"""The writing verbs in SQL: find the records, ask the shared rules, write what they say.

Each verb takes all its orders together: one query for the records that they are about, one statement for all rows that
change the same columns, one for all details.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from ...models import Record, Status
from ...orders import (
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
from .. import rules
from ..base import Transaction
from ..rules import Move, Order, Queue
from ..text import clean
from .records import RecordReader
from .rows import RECORD_COLUMNS, changed_columns, new_row
from .statements import Parameters, Statement, Statements, Values, keyed

PROBE = "probe"
"""Stands where a detail has its rid. No request has such a one."""


class SqlTransaction(Transaction):
    """The writing verbs on one connection, which is in a transaction."""

    def __init__(self, connection: Connection, statements: Statements, records: RecordReader) -> None:
        self._connection = connection
        self._statements = statements
        self._records = records

    def add(self, orders: Sequence[Add]) -> Sequence[Added]:
        if not orders:
            return []
        queue = self._queue_for(orders)
        outcomes = [queue.admit(order) for order in orders]
        rows = [new_row(order) for order, outcome in zip(orders, outcomes, strict=True) if outcome is Added.ADDED]
        self._statements.insert_requests(self._connection, rows)
        return outcomes

    def _queue_for(self, orders: Sequence[Add]) -> Queue:
        """Count only what could reach a limit.

        No more requests can be queued than there are ids from the lowest queued one to the highest. That is two looks
        at an index; counting would take longer the longer the queue is. On PostgreSQL, what another process adds and
        has not yet committed is not counted: there a limit may be passed by as much.
        """
        lowest, highest = self._statements.queue_ends().fetch(self._connection, {})[0]
        most = len(orders) + (0 if lowest is None else highest - lowest + 1)
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
        return self._each(orders, rules.cancel)

    def retry(self, orders: Sequence[Retry]) -> Sequence[Changed]:
        return self._each(orders, rules.retry)

    def delete(self, orders: Sequence[Delete]) -> Sequence[Changed]:
        outcomes: list[Changed] = []
        for batch in rules.batches(orders):
            found = self._found([order.rid for order in batch])
            changes = [_deletion(found.get(order.rid), order) for order in batch]
            gone = [change.before for change in changes if change.done and change.before is not None]
            self._statements.delete_details().run_many(self._connection, [{"of": record.rid} for record in gone])
            self._statements.delete_request().run_many(self._connection, [{"row": record.id} for record in gone])
            outcomes += changes
        return outcomes

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


def _deletion(record: Record | None, order: Delete) -> Changed:
    return Changed(done=record is not None and rules.may_delete(record, order), before=record)
