"""The store in a relational database, by SQLAlchemy Core: SQLite, PostgreSQL or MySQL.

Nothing is opened in the constructor. Connections belong to the process that opened them: a forked child opens its own
and never touches its parent's. (SQLite keeps its locks per process, in memory: a child that was forked while its parent
was in the middle of a transaction is told that the store is locked.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine

from ...advice import Advice
from ...models import Captured, Detail, ListQuery, OperationsPage, OperationsQuery, Record, Status
from ..base import Backlog, Store, Transaction
from ..rules import MAX_ID
from ..text import clean
from .batches import BatchReader
from .checks import advice_of
from .clock import LeaseClock
from .connections import Links, Target, parse
from .operations import OperationPages
from .records import RecordReader
from .rows import captured_of, detail_of
from .schema import UPGRADES, Step, identity_of, upgrade
from .statement import Statement, Values, keyed
from .statements import Statements
from .transaction import SqlTransaction

ANY_STATUS = frozenset(Status)


class SqlStore(Store):
    """Records and details in a database.

    Parameters:
        database: a URL (`sqlite:///file`, `postgresql://…`, `mysql+pymysql://…`) or an engine. Of an engine only the
            way it connects is used; its pool is left alone.
        busy_seconds: how long to wait for SQLite's lock.
        upgrades: the steps that bring an older store to this version.

    Raises:
        SettingsError: the URL cannot be used, or its driver is not installed.
    """

    def __init__(
        self, database: str | URL | Engine, *, busy_seconds: float = 10.0, upgrades: Sequence[Step] = UPGRADES
    ) -> None:
        engine = database if isinstance(database, Engine) else None
        url = database.url if isinstance(database, Engine) else parse(database)
        self._target = Target(url=url, engine=engine, busy_seconds=busy_seconds)
        self._upgrades = upgrades
        self._clock = LeaseClock(super().lease_now)
        dialect = self._target.positional_dialect()
        self._statements = Statements(dialect)
        self._records = RecordReader()
        self._batches = BatchReader(self._statements, self._records)
        self._operations = OperationPages(dialect, self._records)
        # A parent's connections stay in here in its child, untouched: closing them there would end them in both.
        self._links_of: dict[int, Links] = {}

    def _links(self) -> Links:
        process = os.getpid()
        links = self._links_of.get(process)
        return links if links is not None else self._links_of.setdefault(process, Links(self._target))

    @property
    def file(self) -> Path | None:
        """Where SQLite's file is; None for any other database."""
        return self._target.path

    def lease_now(self) -> float:
        # Free and without waiting, because event loops ask it: see `clock.py`.
        return self._clock.now()

    def identity(self) -> str | None:
        return self._links().read(identity_of)

    def advice(self) -> Sequence[Advice]:
        with self._links().writing() as connection:
            return advice_of(connection, self._target.path)

    def open(self) -> None:
        with self._links().writing(patient=True) as connection:
            upgrade(connection, self._upgrades)
            self._clock.measure(connection)

    def close(self) -> None:
        links = self._links_of.pop(os.getpid(), None)
        if links is not None:
            links.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._links().writing() as connection:
            transaction = SqlTransaction(connection, self._statements, self._records)
            yield transaction
            transaction.settle()

    def get(self, rids: Sequence[str]) -> Mapping[str, Record]:
        return {row[1]: self._records.one(row) for row in self._rows_of(rids, self._statements.records)}

    def with_items(self, rid: str) -> Sequence[Record]:
        return self._links().read(lambda connection: self._batches.with_items(connection, rid))

    def captured(self, rids: Sequence[str]) -> Mapping[str, Captured]:
        return {row[0]: captured_of(row) for row in self._rows_of(rids, self._statements.captured)}

    def _rows_of(self, rids: Sequence[str], statement: Callable[[int], Statement]) -> Sequence[Values]:
        def work(connection: Connection) -> Sequence[Values]:
            return [row for keys in keyed(rids) for row in statement(len(keys)).fetch(connection, keys)]

        return self._links().read(work)

    def details(self, rid: str, after_id: int, limit: int) -> Sequence[Detail]:
        wanted = {"of": rid, "after_id": min(after_id, MAX_ID), "limit": max(0, limit)}
        return [detail_of(row) for row in self._fetch(self._statements.details(), wanted)]

    def list(self, query: ListQuery) -> Sequence[Record]:
        statuses = sorted(ANY_STATUS if query.statuses is None else query.statuses)
        numbers = [int(status) for status in statuses]
        numbers += [0] * (len(Status) - len(numbers))
        wanted: dict[str, Any] = {f"status_{index}": number for index, number in enumerate(numbers)}
        wanted["of"] = clean(query.owner)
        wanted["before_id"] = MAX_ID if query.before_id is None else min(query.before_id, MAX_ID)
        return self._readable(self._statements.page(), wanted, query.limit)

    def operations(self, query: OperationsQuery) -> OperationsPage:
        return self._links().read(lambda connection: self._operations.page(connection, query))

    def count_queued(self) -> int:
        return int(self._fetch(self._statements.count_queued(), {})[0][0])

    def backlog(self) -> Backlog:
        rows = self._fetch(self._statements.backlog(), {})
        queued = next(((row[1], row[2]) for row in rows if row[0] == Status.QUEUED), (0, None))
        running = sum(row[1] for row in rows if row[0] != Status.QUEUED)
        return Backlog(queued=queued[0], oldest_queued_at=queued[1], running=running)

    def abandoned(self, lease_before: float, after_id: int, limit: int) -> Sequence[Record]:
        wanted = {"lease_before": lease_before, "after_id": min(after_id, MAX_ID)}
        # Who asks this asks it regularly, and compares leases with the clock.
        self._links().read(self._clock.measure)
        return self._readable(self._statements.abandoned(), wanted, limit)

    def wipeable(self, finished_before: float, limit: int) -> Sequence[Record]:
        return self._readable(self._statements.wipeable(), {"before": finished_before}, limit)

    def outdated(self, now: float, limit: int) -> Sequence[Record]:
        return self._readable(self._statements.outdated(), {"before": now}, limit)

    def ended(self, finished_before: float, after_id: int, limit: int) -> Sequence[Record]:
        wanted = {"before": finished_before, "after_id": min(after_id, MAX_ID)}
        return self._readable(self._statements.ended(), wanted, limit, patient=True)

    def _readable(
        self, statement: Statement, wanted: Mapping[str, Any], limit: int, *, patient: bool = False
    ) -> Sequence[Record]:
        def fetch(count: int) -> Sequence[Values]:
            return self._fetch(statement, {**wanted, "limit": count}, patient=patient)

        return [record for record, _ in self._records.many(fetch, max(0, limit))]

    def _fetch(self, statement: Statement, wanted: Mapping[str, Any], *, patient: bool = False) -> Sequence[Values]:
        return self._links().read(lambda connection: statement.fetch(connection, wanted), patient=patient)
