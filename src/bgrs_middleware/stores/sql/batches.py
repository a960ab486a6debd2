"""The SQL of batches: a batch with its items, and how far the items are.

Whoever changes both locks the items before any batch, the highest id first, so that no two wait for each other. Who
settles a batch holds its lock before it counts the items, by a statement of its own: of two processes that end the last
two items at once, the later one then counts both as ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, String, bindparam, case, func, literal_column, or_, select
from sqlalchemy.sql.expression import ClauseElement

from ...models import Record, Status
from ..settling import Parts, parts_of
from .records import RecordReader
from .rows import RECORD_COLUMNS
from .schema import ended, request
from .statement import Parameters, Statement, Values, keyed
from .statements import ITEMS_FIRST, Statements

_STATUS = {int(status): status for status in Status}


class BatchReader:
    """Reads batches on a connection that is handed to each call.

    Parameters:
        statements: compiled for the database.
        records: reads the rows.
    """

    def __init__(self, statements: Statements, records: RecordReader) -> None:
        self._statements = statements
        self._records = records

    def with_items(self, connection: Connection, rid: str) -> list[Record]:
        """As `Store.with_items`; an item that cannot be read is passed over.

        Raises:
            StoreDataError: the record itself cannot be read.
        """
        rows = self._with_items(1, locked=False).fetch(connection, {"key_0": rid})
        # A batch has a lower id than its items.
        records = [self._records.one(row) if row[1] == rid else self._records.readable(row) for row in reversed(rows)]
        return [record for record in records if record is not None]

    def held(self, connection: Connection, rids: Sequence[str]) -> dict[str, Record]:
        """Records of these rids and of the items of those which are batches, locked until the transaction ends.

        An item that cannot be read is passed over.

        Raises:
            StoreDataError: the record of one of these rids cannot be read.
        """
        asked = set(rids)
        rows: Sequence[Values] = [
            row for keys in keyed(rids) for row in self._with_items(len(keys), locked=True).fetch(connection, keys)
        ]
        records = [self._records.one(row) if row[1] in asked else self._records.readable(row) for row in reversed(rows)]
        return {record.rid: record for record in records if record is not None}

    def lock(self, connection: Connection, rids: Sequence[str]) -> None:
        """Lock all that `held` reads, until the transaction ends."""
        for keys in keyed(rids):
            self._locked(len(keys)).fetch(connection, keys)

    def batches(self, connection: Connection, rids: Sequence[str]) -> list[tuple[Record, Parts]]:
        """Those of these rids that are batches, locked until the transaction ends, and how far their items are."""
        found: list[tuple[Record, Parts]] = []
        for keys in keyed(rids):
            rows = self._statements.held(len(keys)).fetch(connection, keys)
            records = [record for row in rows if (record := self._records.readable(row)) is not None]
            parts = self._parts_of(connection, keys)
            for record in records:
                if record.status is Status.CANCELLING and record.is_batch:
                    # One that cannot be read was not cancelled with the others, and will never end.
                    found.append((record, self._readable_parts(connection, record)))
                elif record.is_batch:
                    found.append((record, parts.get(record.rid, {})))
        return found

    def _readable_parts(self, connection: Connection, batch: Record) -> Parts:
        return parts_of(record for record in self.with_items(connection, batch.rid) if record.rid != batch.rid)

    def _parts_of(self, connection: Connection, keys: Parameters) -> dict[str, Parts]:
        parts: dict[str, dict[tuple[Status, float | None], int]] = {}
        for parent, number, progress, count in self._parts(len(keys)).fetch(connection, keys):
            status = _STATUS.get(number)
            # An item whose state cannot be read counts as removed, and does not keep the others from being written.
            if status is not None:
                parts.setdefault(parent, {})[status, progress] = count
        return dict(parts)

    def _locked(self, count: int) -> Statement:
        def make() -> ClauseElement:
            return _belonging(select(request.c.id), count).with_for_update()

        return self._statements.once(("locked", count), make)

    def _with_items(self, count: int, *, locked: bool) -> Statement:
        def make() -> ClauseElement:
            rows = _belonging(select(*RECORD_COLUMNS), count)
            return rows.with_for_update() if locked else rows

        return self._statements.once(("with items", count, locked), make)

    def _parts(self, count: int) -> Statement:
        """Of `count` batches: how many items have each status, and each progress where they have not ended."""

        def make() -> ClauseElement:
            keys = [bindparam(f"key_{index}", type_=String) for index in range(count)]
            progress = case((~ended, request.c.progress))
            columns = (request.c.parent, request.c.status, progress)
            rows = select(*columns, func.count()).where(request.c.parent.in_(keys))
            return rows.group_by(*(literal_column(str(place)) for place in (1, 2, 3)))

        return self._statements.once(("parts", count), make)


def _belonging(columns: Select[Any], count: int) -> Select[Any]:
    """Of `count` rids the records, and those of their items."""
    keys = [bindparam(f"key_{index}", type_=String) for index in range(count)]
    return columns.where(or_(request.c.rid.in_(keys), request.c.parent.in_(keys))).order_by(*ITEMS_FIRST)
