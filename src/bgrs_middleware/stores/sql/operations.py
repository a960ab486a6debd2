"""Pages of operations in SQL: two walks along the index of owners, however many records there are.

The first, in the index alone, finds how far down the page may look; the second reads the records in between, newest
first, and stops as soon as the page is full. What is in between is bounded, so no plan of a database's can go wrong by
much, and no filter can make it read on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.engine import Dialect

from ...models import DEFAULT_OPERATIONS_PARENT, OperationsPage, OperationsQuery
from ...protocol.filters import Condition
from ..pages import merged, page_of
from ..rules import MAX_ID
from ..text import clean
from .filtering import clause_of
from .records import RecordReader
from .rows import RECORD_COLUMNS
from .schema import request
from .statement import Statement, Values

FILTERS_KEPT = 64
"""Statements of filters that were asked for last: who turns pages asks with the same filter again."""


class OperationPages:
    """Reads pages of operations.

    Parameters:
        dialect: of the database, with a positional parameter style.
        records: reads the rows.
    """

    def __init__(self, dialect: Dialect, records: RecordReader) -> None:
        self._dialect = dialect
        self._records = records
        self._end = lru_cache(maxsize=1)(self._compiled_end)
        self._stretch = lru_cache(maxsize=FILTERS_KEPT)(self._compiled_stretch)

    def page(self, connection: Connection, query: OperationsQuery) -> OperationsPage:
        """Read one page. As `Store.operations`."""
        owners = dict.fromkeys(map(clean, query.owners))
        return merged([self._page(connection, owner, query) for owner in owners], query.limit)

    def _page(self, connection: Connection, owner: str, query: OperationsQuery) -> OperationsPage:
        before_id = MAX_ID if query.before_id is None else min(query.before_id, MAX_ID)
        wanted: dict[str, Any] = {"of": owner, "before_id": before_id, "down_to": 0}
        # The last one that may be looked at, and one that may not.
        ends = self._end().fetch(connection, {**wanted, "passed": query.scan_limit - 1})
        down_to = ends[0][0] if len(ends) > 1 else None
        statement = self._stretch(query.condition)
        wanted |= {**statement.constants, "down_to": down_to or 0, "below": clean(query.operations_parent)}

        def fetch(count: int) -> Sequence[Values]:
            return statement.fetch(connection, {**wanted, "limit": count})

        found = [record for record, _ in self._records.many(fetch, query.limit + 1)]
        return page_of(found, query.limit, down_to)

    def _compiled_end(self) -> Statement:
        rows = self._newest_first(select(request.c.id))
        return Statement(rows.limit(literal_column("2")).offset(bindparam("passed", type_=Integer)), self._dialect)

    def _compiled_stretch(self, condition: Condition | None) -> Statement:
        # NULL where an older version inserted it.
        parent = func.coalesce(request.c.operations_parent, literal(DEFAULT_OPERATIONS_PARENT, Text))
        rows = self._newest_first(select(*RECORD_COLUMNS)).where(parent == bindparam("below", type_=Text))
        if condition is not None:
            rows = rows.where(clause_of(condition, self._dialect))
        limited = rows.limit(bindparam("limit", type_=Integer)).offset(literal_column("0"))
        return Statement(limited, self._dialect)

    def _newest_first(self, rows: Select[Any]) -> Select[Any]:
        """An owner's records from `down_to` up to `before_id`, in the order and by the words of their index."""
        owner, id_ = request.c.owner, request.c.id
        of = bindparam("of", type_=Text)
        down_to, before_id = (bindparam(name, type_=BigInteger) for name in ("down_to", "before_id"))
        if self._dialect.name == "postgresql":
            # By rows, because by `owner = …` it may take the primary key, and walk along all records for the few of
            # one owner. No other index than ours has this order.
            pair = tuple_(owner, id_)
            stretch = and_(owner.is_not(None), pair >= tuple_(of, down_to), pair < tuple_(of, before_id))
            return rows.where(stretch).order_by(owner.desc(), id_.desc())
        return rows.where(owner == of, id_ >= down_to, id_ < before_id).order_by(id_.desc())
