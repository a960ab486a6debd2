"""New records in SQL, each of them only where no record has its `Idempotency-Key` already.

Keys are looked for first, because a repeat takes no place in the queue. Then another process may still be faster: the
insert leaves such a row out, and it is looked for again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from ...errors import StoreUnavailable
from ...orders import Add, Existing
from .inserting import FINGERPRINT, KEY
from .rows import new_row
from .statement import keyed
from .statements import Statements

ATTEMPTS = 10
"""How often to insert a key that is there when it is inserted, and is gone when it is looked for."""


def existing(connection: Connection, statements: Statements, keys: Sequence[str]) -> dict[str, Existing]:
    """Return, by key, the records that have one of these keys."""
    return {
        row[0]: Existing(rid=row[1], fingerprint=row[2])
        for wanted in keyed(keys)
        for row in statements.with_keys(len(wanted)).fetch(connection, wanted)
    }


def insert(connection: Connection, statements: Statements, orders: Sequence[Add]) -> dict[str, Existing]:
    """Insert new records, whose keys are no other record's as far as the transaction knows, and differ.

    Returns, by rid, those that were not inserted, because another process gave their key to a record, and that record.

    Raises:
        StoreUnavailable: a key is there and is not, again and again.
    """
    rows = [new_row(order) for order in orders]
    if any(KEY in row for row in rows):
        for row in rows:
            # Rows with the same columns need one statement.
            row.setdefault(KEY, None)
            row.setdefault(FINGERPRINT, None)
        if not statements.has_one_writer:
            # Who inserts a key waits for who inserted it before: all must come in one order, so that no two can block.
            rows.sort(key=lambda row: row[KEY] or "")
    beaten: dict[str, Existing] = {}
    for _ in range(ATTEMPTS):
        if statements.insert_requests(connection, rows):
            return beaten
        rows = [row for row in rows if row[KEY] is not None]
        found = existing(connection, statements, [row[KEY] for row in rows])
        holders = {row["rid"]: found[row[KEY]] for row in rows if row[KEY] in found}
        beaten |= {rid: holder for rid, holder in holders.items() if holder.rid != rid}
        rows = [row for row in rows if row[KEY] not in found]
        if not rows:
            return beaten
    raise StoreUnavailable("A record of the same key came and went too often while one was to be added.")
