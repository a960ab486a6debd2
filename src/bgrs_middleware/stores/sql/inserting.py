"""How requests are inserted in each database: a row whose `Idempotency-Key` another row has is left out, silently.

Only rows with a key are inserted so. A rid that is there already stays an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Insert, Select, String, bindparam, insert, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect

from .schema import has_key, request

KEY, FINGERPRINT = request.c.idempotency_key.name, request.c.idempotency_fingerprint.name


def insertion(columns: Sequence[str], dialect: Dialect) -> Insert:
    """The INSERT of rows with these columns."""
    if KEY not in columns:
        return insert(request).inline()
    if dialect.name == "sqlite":
        rows: Any = sqlite.insert(request)
    elif dialect.name == "postgresql":
        # Waits for who inserts the same key just now, until that is committed, or is not.
        rows = postgresql.insert(request)
    else:
        # Changes nothing where the key is there. (INSERT IGNORE would leave out what is wrong for other reasons, too.)
        unchanged: Insert = mysql.insert(request).on_duplicate_key_update(id=request.c.id)
        return unchanged.inline()
    ignoring: Insert = rows.on_conflict_do_nothing(index_elements=[request.c.idempotency_key], index_where=has_key)
    return ignoring.inline()


def counts_inserted(dialect: Dialect) -> bool:
    """Whether the number of rows that the database says it changed is that of the rows it inserted."""
    return dialect.name in ("sqlite", "postgresql")


def has_one_writer(dialect: Dialect) -> bool:
    """Whether no other process can insert while a transaction goes on."""
    return dialect.name == "sqlite"


def with_keys(count: int) -> Select[Any]:
    """Of `count` keys those that records have, with their rids and fingerprints."""
    keys = [bindparam(f"key_{index}", type_=String) for index in range(count)]
    columns = (request.c.idempotency_key, request.c.rid, request.c.idempotency_fingerprint)
    return select(*columns).where(request.c.idempotency_key.in_(keys), has_key)
