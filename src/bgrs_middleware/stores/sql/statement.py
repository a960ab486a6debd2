"""One statement, compiled: the text that is sent, and the order of its parameters.

What it costs to compile or look up a statement for every call is saved by keeping both. A list of rids is filled up to
the next power of two by repeating its last one, so that few texts serve all lengths. Questions go through the driver's
own cursor: SQLAlchemy works out the columns of each result of a text anew, which took three times as long as to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement

from .failures import raised_by_driver

MAX_IN = 512
"""Rids in one statement: under the 999 parameters that an old SQLite takes."""

_VALUES = " VALUES "
_ON_CONFLICT = " ON "

Parameters = Mapping[str, Any]
Values = tuple[Any, ...]


class Statement:
    """One compiled statement. `constants` are the parameters whose values it was made with."""

    __slots__ = ("_arrange", "constants", "sql")

    def __init__(self, element: ClauseElement, dialect: Dialect, columns: Sequence[str] | None = None) -> None:
        compiled: Any = element.compile(dialect=dialect, column_keys=columns)
        names: list[str] = compiled.positiontup or []
        self.sql: str = compiled.string
        self.constants: Parameters = {name: value for name, value in compiled.params.items() if value is not None}
        self._arrange = _arranger(names)

    def run(self, connection: Connection, parameters: Parameters) -> None:
        """Execute it once."""
        connection.exec_driver_sql(self.sql, self._arrange(parameters))

    def run_many(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Execute it once for each row, in order."""
        if rows:
            arrange = self._arrange
            connection.exec_driver_sql(self.sql, [arrange(row) for row in rows])

    def run_together(self, connection: Connection, rows: Sequence[Parameters]) -> int:
        """Execute it once for all rows: for an INSERT of one row, whose places are repeated.

        Returns how many rows the database says it changed.
        """
        start = self.sql.index(_VALUES) + len(_VALUES)
        places, conflict, clause = self.sql[start:].partition(_ON_CONFLICT)
        sql = self.sql[:start] + ", ".join([places] * len(rows)) + conflict + clause
        return connection.exec_driver_sql(sql, tuple(chain.from_iterable(map(self._arrange, rows)))).rowcount

    def fetch(self, connection: Connection, parameters: Parameters) -> Sequence[Values]:
        """Execute it and return all rows."""
        try:
            cursor = connection.connection.cursor()
            try:
                cursor.execute(self.sql, self._arrange(parameters))
                return cursor.fetchall()
            finally:
                cursor.close()
        except connection.dialect.loaded_dbapi.Error as error:
            raise raised_by_driver(error, connection, self.sql) from error


def _arranger(names: list[str]) -> Callable[[Parameters], tuple[Any, ...]]:
    if not names:
        return lambda parameters: ()
    if len(names) == 1:
        only = names[0]
        return lambda parameters: (parameters[only],)
    return itemgetter(*names)


def keyed(keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The parameters `key_0` and so on for these keys, in as many parts as are needed, each a power of two long."""
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), MAX_IN):
        part = distinct[start : start + MAX_IN]
        size = 1 << (len(part) - 1).bit_length()
        part += [part[-1]] * (size - len(part))
        yield {f"key_{index}": key for index, key in enumerate(part)}
