"""The SQL: written once in SQLAlchemy Core, compiled once per store, sent many times as text.

Core chooses the words for each database; what it costs to compile or look up a statement for every call is saved by
keeping the compiled text and the order of its parameters. A list of rids is filled up to the next power of two by
repeating its last one, so that few texts serve all lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Double,
    Integer,
    Select,
    SmallInteger,
    String,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.expression import ClauseElement

from ...models import Status
from .rows import CAPTURED_COLUMNS, DETAIL_COLUMNS, RECORD_COLUMNS
from .schema import detail, ended, keep_until, kept, request

MAX_IN = 512
"""Rids in one statement: under the 999 parameters that an old SQLite takes."""

MAX_PARAMETERS = 999
"""Values in one INSERT: as many as an old SQLite takes."""

_VALUES = " VALUES "

Parameters = Mapping[str, Any]
Values = tuple[Any, ...]


def _number(status: Status) -> ColumnElement[int]:
    """Written as a number, not as a parameter: only so can the database see what its partial index holds."""
    return literal_column(str(int(status)))


# The queue is asked for by a range of states, in the order of its own index: then a claim reads as many entries as it
# takes. Asked for by one state in the order of ids, PostgreSQL may fetch and sort the whole queue, or all records.
_UNFINISHED = request.c.status < _number(Status.FINISHED)
_QUEUED = and_(_UNFINISHED, request.c.status < _number(Status.RUNNING))
_HELD = and_(_UNFINISHED, request.c.status >= _number(Status.RUNNING))
_IN_QUEUE_ORDER = (request.c.status, request.c.id)


class Statement:
    """One compiled statement."""

    __slots__ = ("_arrange", "sql")

    def __init__(self, element: ClauseElement, dialect: Dialect, columns: Sequence[str] | None = None) -> None:
        compiled: Any = element.compile(dialect=dialect, column_keys=columns)
        names: list[str] = compiled.positiontup or []
        self.sql: str = compiled.string
        self._arrange = _arranger(names)

    def run(self, connection: Connection, parameters: Parameters) -> None:
        """Execute it once."""
        connection.exec_driver_sql(self.sql, self._arrange(parameters))

    def run_many(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Execute it once for each row, in order."""
        if rows:
            arrange = self._arrange
            connection.exec_driver_sql(self.sql, [arrange(row) for row in rows])

    def run_together(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Execute it once for all rows: for an INSERT of one row, whose places are repeated."""
        start = self.sql.index(_VALUES) + len(_VALUES)
        sql = self.sql + f", {self.sql[start:]}" * (len(rows) - 1)
        connection.exec_driver_sql(sql, tuple(chain.from_iterable(map(self._arrange, rows))))

    def fetch(self, connection: Connection, parameters: Parameters) -> Sequence[Values]:
        """Execute it and return all rows."""
        rows: Sequence[Any] = connection.exec_driver_sql(self.sql, self._arrange(parameters)).fetchall()
        return rows


def _arranger(names: list[str]) -> Callable[[Parameters], tuple[Any, ...]]:
    if not names:
        return lambda parameters: ()
    if len(names) == 1:
        only = names[0]
        return lambda parameters: (parameters[only],)
    return itemgetter(*names)


class Statements:
    """All statements for one database, compiled at first use.

    Parameters:
        dialect: of the database, with a positional parameter style.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[Any, Statement] = {}

    def _once(self, key: Any, make: Callable[[], ClauseElement], columns: Sequence[str] | None = None) -> Statement:
        statement = self._compiled.get(key)
        if statement is None:
            statement = self._compiled[key] = Statement(make(), self._dialect, columns)
        return statement

    # Writing.

    def insert_requests(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Insert rows, in order, with as few statements as there can be: one for all in a row with the same columns.

        At each statement this thread lets go of the interpreter, and must wait for it while an event loop is busy; on
        SQLite each updates the table of highest ids, too. A row alone takes half as long again as one among 32.
        """
        for columns, group in groupby(rows, key=tuple):
            statement = self._once(("insert", columns), lambda: insert(request).inline(), columns)
            size = MAX_PARAMETERS // len(columns)
            alike = list(group)
            for start in range(0, len(alike), size):
                statement.run_together(connection, alike[start : start + size])

    def insert_detail(self) -> Statement:
        return self._once("insert detail", lambda: insert(detail).inline(), ("rid", "at", "text"))

    def update_request(self, columns: tuple[str, ...]) -> Statement:
        """Sets the columns of the request whose id is the parameter `row`."""
        return self._once(
            ("update", columns), lambda: update(request).where(request.c.id == bindparam("row")).inline(), columns
        )

    def delete_request(self) -> Statement:
        return self._once("delete", lambda: delete(request).where(request.c.id == bindparam("row")))

    def delete_details(self) -> Statement:
        return self._once("delete details", lambda: delete(detail).where(detail.c.rid == bindparam("of")))

    def claimable(self) -> Statement:
        """The oldest queued requests, with what is sealed; those that another claims just now are passed over."""

        def make() -> ClauseElement:
            columns = select(*RECORD_COLUMNS, request.c.sealed_request)
            return _limited(columns.where(_QUEUED).order_by(*_IN_QUEUE_ORDER)).with_for_update(skip_locked=True)

        return self._once("claimable", make)

    def expirable(self) -> Statement:
        """Queued requests from before `queued_before`."""

        def make() -> ClauseElement:
            old = request.c.queued_at < bindparam("queued_before", type_=Double)
            rows = select(*RECORD_COLUMNS).where(_QUEUED, old).order_by(*_IN_QUEUE_ORDER)
            return _limited(rows).with_for_update(skip_locked=True)

        return self._once("expirable", make)

    def held(self, count: int) -> Statement:
        """The records of `count` rids, locked until the transaction ends, in one order for all: no two can block."""
        return self._once(
            ("held", count), lambda: _with_rids(RECORD_COLUMNS, count).order_by(request.c.id).with_for_update()
        )

    def present(self, count: int) -> Statement:
        """Which of `count` rids exist; they cannot be deleted until the transaction ends."""
        return self._once(
            ("present", count),
            lambda: (
                _with_rids((request.c.rid,), count)
                .order_by(request.c.id)
                .with_for_update(read=True, key_share=True, of=request)
            ),
        )

    # Reading.

    def records(self, count: int) -> Statement:
        return self._once(("records", count), lambda: _with_rids(RECORD_COLUMNS, count))

    def captured(self, count: int) -> Statement:
        return self._once(
            ("captured", count), lambda: _with_rids(CAPTURED_COLUMNS, count).where(request.c.http_status.is_not(None))
        )

    def details(self) -> Statement:
        def make() -> ClauseElement:
            rows = select(*DETAIL_COLUMNS).where(
                detail.c.rid == bindparam("of", type_=String), detail.c.id > bindparam("after_id", type_=BigInteger)
            )
            return _limited(rows.order_by(detail.c.id))

        return self._once("details", make)

    def page(self) -> Statement:
        """An owner's records, newest first. Takes as many statuses as there are, `status_0` and so on."""

        def make() -> ClauseElement:
            statuses = [bindparam(f"status_{index}", type_=SmallInteger) for index in range(len(Status))]
            rows = select(*RECORD_COLUMNS).where(
                request.c.owner == bindparam("of", type_=Text),
                request.c.id < bindparam("before_id", type_=BigInteger),
                request.c.status.in_(statuses),
            )
            return _limited(rows.order_by(request.c.id.desc()))

        return self._once("page", make)

    def abandoned(self) -> Statement:
        def make() -> ClauseElement:
            rows = select(*RECORD_COLUMNS).where(
                _HELD,
                request.c.lease_until < bindparam("lease_before", type_=Double),
                bindparam("after_id", type_=BigInteger) < request.c.id,
            )
            return _limited(rows.order_by(request.c.id))

        return self._once("abandoned", make)

    def wipeable(self) -> Statement:
        return self._ended_before("wipeable", kept, request.c.finished_at)

    def outdated(self) -> Statement:
        return self._ended_before("outdated", ended, keep_until)

    def _ended_before(self, name: str, state: ColumnElement[bool], time: ColumnElement[float]) -> Statement:
        def make() -> ClauseElement:
            rows = select(*RECORD_COLUMNS).where(state, time < bindparam("before", type_=Double))
            return _limited(rows.order_by(time, request.c.id))

        return self._once(name, make)

    def ended(self) -> Statement:
        def make() -> ClauseElement:
            before = request.c.finished_at < bindparam("before", type_=Double)
            rows = select(*RECORD_COLUMNS).where(ended, before, request.c.id > bindparam("after_id", type_=BigInteger))
            return _limited(rows.order_by(request.c.id))

        return self._once("ended", make)

    def count_queued(self) -> Statement:
        return self._once("count queued", lambda: select(func.count()).select_from(request).where(_QUEUED))

    def backlog(self) -> Statement:
        """Of each unfinished state: how many requests, and the earliest time at which one was queued."""
        columns = (request.c.status, func.count(), func.min(request.c.queued_at))
        return self._once("backlog", lambda: select(*columns).where(_UNFINISHED).group_by(request.c.status))

    def queue_ends(self) -> Statement:
        """The lowest id that is queued, and the highest id of all."""

        def make() -> ClauseElement:
            queued = select(request.c.id).where(_QUEUED).order_by(*_IN_QUEUE_ORDER)
            lowest = queued.limit(literal_column("1")).offset(literal_column("0"))
            highest = select(func.max(request.c.id))
            return select(lowest.scalar_subquery(), highest.scalar_subquery())

        return self._once("queue ends", make)

    def count_by_owner(self, count: int) -> Statement:
        """How many requests each of `count` owners has in the queue, whose lowest id is `lowest`."""

        def make() -> ClauseElement:
            owners = [bindparam(f"key_{index}", type_=Text) for index in range(count)]
            rows = select(request.c.owner, func.count()).where(
                request.c.owner.in_(owners),
                request.c.id >= bindparam("lowest", type_=BigInteger),
                request.c.status == _number(Status.QUEUED),
            )
            return rows.group_by(request.c.owner)

        return self._once(("count by owner", count), make)


def _with_rids(columns: Sequence[Any], count: int) -> Select[Any]:
    keys = [bindparam(f"key_{index}", type_=String) for index in range(count)]
    return select(*columns).where(request.c.rid.in_(keys))


def _limited(rows: Select[Any]) -> Select[Any]:
    # Without an offset in words, SQLite's compiler adds one as a parameter that nobody passes.
    return rows.limit(bindparam("limit", type_=Integer)).offset(literal_column("0"))


def keyed(keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The parameters `key_0` and so on for these keys, in as many parts as are needed, each a power of two long."""
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), MAX_IN):
        part = distinct[start : start + MAX_IN]
        size = 1 << (len(part) - 1).bit_length()
        part += [part[-1]] * (size - len(part))
        yield {f"key_{index}": key for index, key in enumerate(part)}
