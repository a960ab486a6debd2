"""The SQL: written once in SQLAlchemy Core, compiled once per store (`statement.py`), sent many times as text.

Core chooses the words for each database. What a batch needs beside it is in `batches.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
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
    distinct,
    exists,
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
from .inserting import KEY, counts_inserted, has_one_writer, insertion, with_keys
from .rows import CAPTURED_COLUMNS, DETAIL_COLUMNS, RECORD_COLUMNS
from .schema import detail, ended, keep_until, kept, request
from .statement import Parameters, Statement

MAX_PARAMETERS = 999
"""Values in one INSERT: as many as an old SQLite takes."""


def _number(status: Status) -> ColumnElement[int]:
    """Written as a number, not as a parameter: only so can the database see what its partial index holds."""
    return literal_column(str(int(status)))


# The queue is asked for by a range of states, in the order of its own index: then a claim reads as many entries as it
# takes. Asked for by one state in the order of ids, PostgreSQL may fetch and sort the whole queue, or all records.
_UNFINISHED = request.c.status < _number(Status.FINISHED)
_QUEUED = and_(_UNFINISHED, request.c.status < _number(Status.RUNNING))
_HELD = and_(_UNFINISHED, request.c.status >= _number(Status.RUNNING))
_IN_QUEUE_ORDER = (request.c.status, request.c.id)
ITEMS_FIRST = (request.c.batch_items.is_not(None), request.c.id.desc())
"""The order in which locks are taken; see `batches.py`."""
# A batch takes what belongs to it along.
_batch = request.alias()
_ALONE = ~exists().where(_batch.c.rid == request.c.parent)


class Statements:
    """All statements for one database, compiled at first use.

    Parameters:
        dialect: of the database, with a positional parameter style.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.has_one_writer = has_one_writer(dialect)
        self._compiled: dict[Any, Statement] = {}

    def once(self, key: Any, make: Callable[[], ClauseElement], columns: Sequence[str] | None = None) -> Statement:
        """The statement that `make` makes, compiled when it is asked for by this key for the first time."""
        statement = self._compiled.get(key)
        if statement is None:
            statement = self._compiled[key] = Statement(make(), self._dialect, columns)
        return statement

    # Writing.

    def insert_requests(self, connection: Connection, rows: Sequence[Parameters]) -> bool:
        """Insert rows, in order, with as few statements as there can be: one for all in a row with the same columns.

        At each statement this thread lets go of the interpreter, and must wait for it while an event loop is busy; on
        SQLite each updates the table of highest ids, too. A row alone takes half as long again as one among 32.

        Returns whether all are certainly in. One whose key another row has is not; see `inserting.py`.
        """
        are_in = True
        for columns, group in groupby(rows, key=tuple):
            statement = self.once(("insert", columns), partial(insertion, columns, self._dialect), columns)
            size = MAX_PARAMETERS // len(columns)
            alike = list(group)
            for start in range(0, len(alike), size):
                part = alike[start : start + size]
                count = statement.run_together(connection, part)
                if KEY in columns:
                    are_in = are_in and counts_inserted(self._dialect) and count == len(part)
        return are_in

    def with_keys(self, count: int) -> Statement:
        return self.once(("with keys", count), lambda: with_keys(count))

    def insert_detail(self) -> Statement:
        return self.once("insert detail", lambda: insert(detail).inline(), ("rid", "at", "text"))

    def update_request(self, columns: tuple[str, ...]) -> Statement:
        """Sets the columns of the request whose id is the parameter `row`."""
        return self.once(
            ("update", columns), lambda: update(request).where(request.c.id == bindparam("row")).inline(), columns
        )

    def delete_request(self) -> Statement:
        return self.once("delete", lambda: delete(request).where(request.c.id == bindparam("row")))

    def delete_details(self) -> Statement:
        return self.once("delete details", lambda: delete(detail).where(detail.c.rid == bindparam("of")))

    def delete_details_below(self) -> Statement:
        """Of the items of the batch whose rid is the parameter `of`."""

        def make() -> ClauseElement:
            items = select(request.c.rid).where(request.c.parent == bindparam("of"))
            return delete(detail).where(detail.c.rid.in_(items))

        return self.once("delete details below", make)

    def delete_requests_below(self) -> Statement:
        """The items of the batch whose rid is the parameter `of`."""
        return self.once("delete below", lambda: delete(request).where(request.c.parent == bindparam("of")))

    def claimable(self) -> Statement:
        """The oldest queued requests, with what is sealed; those that another claims just now are passed over."""

        def make() -> ClauseElement:
            columns = select(*RECORD_COLUMNS, request.c.sealed_request)
            return _limited(columns.where(_QUEUED).order_by(*_IN_QUEUE_ORDER)).with_for_update(skip_locked=True)

        return self.once("claimable", make)

    def expirable(self) -> Statement:
        """Queued requests from before `queued_before`."""

        def make() -> ClauseElement:
            old = request.c.queued_at < bindparam("queued_before", type_=Double)
            rows = select(*RECORD_COLUMNS).where(_QUEUED, old).order_by(*_IN_QUEUE_ORDER)
            return _limited(rows).with_for_update(skip_locked=True)

        return self.once("expirable", make)

    def held(self, count: int) -> Statement:
        """The records of `count` rids, locked until the transaction ends, in one order for all: no two can block."""
        return self.once(
            ("held", count), lambda: _with_rids(RECORD_COLUMNS, count).order_by(*ITEMS_FIRST).with_for_update()
        )

    def present(self, count: int) -> Statement:
        """Which of `count` rids exist; they cannot be deleted until the transaction ends."""
        return self.once(
            ("present", count),
            lambda: (
                _with_rids((request.c.rid,), count)
                .order_by(*ITEMS_FIRST)
                .with_for_update(read=True, key_share=True, of=request)
            ),
        )

    # Reading.

    def records(self, count: int) -> Statement:
        return self.once(("records", count), lambda: _with_rids(RECORD_COLUMNS, count))

    def captured(self, count: int) -> Statement:
        return self.once(
            ("captured", count), lambda: _with_rids(CAPTURED_COLUMNS, count).where(request.c.result_length.is_not(None))
        )

    def details(self) -> Statement:
        def make() -> ClauseElement:
            rows = select(*DETAIL_COLUMNS).where(
                detail.c.rid == bindparam("of", type_=String), detail.c.id > bindparam("after_id", type_=BigInteger)
            )
            return _limited(rows.order_by(detail.c.id))

        return self.once("details", make)

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

        return self.once("page", make)

    def abandoned(self) -> Statement:
        def make() -> ClauseElement:
            rows = select(*RECORD_COLUMNS).where(
                _HELD,
                request.c.lease_until < bindparam("lease_before", type_=Double),
                bindparam("after_id", type_=BigInteger) < request.c.id,
            )
            return _limited(rows.order_by(request.c.id))

        return self.once("abandoned", make)

    def wipeable(self) -> Statement:
        return self._ended_before("wipeable", kept, request.c.finished_at)

    def outdated(self) -> Statement:
        return self._ended_before("outdated", and_(ended, _ALONE), keep_until)

    def _ended_before(self, name: str, state: ColumnElement[bool], time: ColumnElement[float]) -> Statement:
        def make() -> ClauseElement:
            rows = select(*RECORD_COLUMNS).where(state, time < bindparam("before", type_=Double))
            return _limited(rows.order_by(time, request.c.id))

        return self.once(name, make)

    def ended(self) -> Statement:
        def make() -> ClauseElement:
            before = request.c.finished_at < bindparam("before", type_=Double)
            after = request.c.id > bindparam("after_id", type_=BigInteger)
            return _limited(select(*RECORD_COLUMNS).where(ended, before, after, _ALONE).order_by(request.c.id))

        return self.once("ended", make)

    def count_queued(self) -> Statement:
        return self.once("count queued", lambda: select(func.count()).select_from(request).where(_QUEUED))

    def backlog(self) -> Statement:
        """Of each unfinished state: how many requests, batches not counted, and the earliest time one was queued at."""
        columns = (request.c.status, func.count() - func.count(request.c.batch_items), func.min(request.c.queued_at))
        return self.once("backlog", lambda: select(*columns).where(_UNFINISHED).group_by(request.c.status))

    def queue_ends(self) -> Statement:
        """The lowest id that is queued, and the highest id of all."""

        def make() -> ClauseElement:
            queued = select(request.c.id).where(_QUEUED).order_by(*_IN_QUEUE_ORDER)
            lowest = queued.limit(literal_column("1")).offset(literal_column("0"))
            highest = select(func.max(request.c.id))
            return select(lowest.scalar_subquery(), highest.scalar_subquery())

        return self.once("queue ends", make)

    def count_by_owner(self, count: int) -> Statement:
        """How many requests each of `count` owners has in the queue, whose lowest id is `lowest`.

        All items of one batch are one.
        """

        def make() -> ClauseElement:
            owners = [bindparam(f"key_{index}", type_=Text) for index in range(count)]
            as_one = func.count(distinct(func.coalesce(request.c.parent, request.c.rid)))
            rows = select(request.c.owner, as_one).where(
                request.c.owner.in_(owners),
                request.c.id >= bindparam("lowest", type_=BigInteger),
                request.c.status == _number(Status.QUEUED),
            )
            return rows.group_by(request.c.owner)

        return self.once(("count by owner", count), make)


def _with_rids(columns: Sequence[Any], count: int) -> Select[Any]:
    keys = [bindparam(f"key_{index}", type_=String) for index in range(count)]
    return select(*columns).where(request.c.rid.in_(keys))


def _limited(rows: Select[Any]) -> Select[Any]:
    # Without an offset in words, SQLite's compiler adds one as a parameter that nobody passes.
    return rows.limit(bindparam("limit", type_=Integer)).offset(literal_column("0"))
