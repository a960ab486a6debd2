"""Records of rows, where a row may be damaged, or written by a newer version of this package.

Such a row keeps nobody from the others. Who asks for many gets as many as can be read, with that one passed over; who
asks for this one is told that it cannot be read, which is not the same as that it is not there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ...errors import StoreDataError
from ...models import Record
from .rows import record_of
from .statement import Values

logger = logging.getLogger("bgrs_middleware.store")


class RecordReader:
    """Reads the rows of one store. Logs each that it cannot read, once."""

    def __init__(self) -> None:
        self._logged: set[int] = set()

    def one(self, row: Values) -> Record:
        """The record of a row of `RECORD_COLUMNS`; further columns after them are ignored.

        Raises:
            StoreDataError: it cannot be read.
        """
        try:
            return record_of(row)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDataError(f"The request {row[1]} cannot be read from the store.") from error

    def many(self, fetch: Callable[[int], Sequence[Values]], limit: int) -> list[tuple[Record, Values]]:
        """Up to `limit` records that can be read, with their rows: fewer only where there are no more.

        Parameters:
            fetch: the first so many rows, in an order that stays.
        """
        wanted = limit
        while True:
            rows = fetch(wanted)
            found = [(record, row) for row in rows if (record := self.readable(row)) is not None]
            if len(found) >= limit or len(rows) < wanted:
                return found
            wanted += limit - len(found)

    def readable(self, row: Values) -> Record | None:
        """The same; None where it cannot be read."""
        try:
            return self.one(row)
        except StoreDataError as error:
            if row[0] not in self._logged:
                self._logged.add(row[0])
                logger.error("%s It is left as it is: %r", error, error.__cause__)
            return None
