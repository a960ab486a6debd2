"""The tables, and how a store of an older version becomes one of this version.

An empty store gets the tables as they stand here. An older one goes through `UPGRADES`, one step per version, in order,
in one transaction (as far as the database has transactions for tables; every step must bear being run twice). To
change a table: change it here, append a step that does the same to the older table, and the version counts up by
itself. The order of columns matters on SQLite: small ones first, so that reading a status touches no overflow page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    and_,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.mysql import LONGBLOB, MEDIUMTEXT
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateIndex

from ...errors import SchemaError
from ...models import Status, new_rid
from .. import rules

ADVISORY_LOCK = 0x62677273  # "bgrs": held while the tables are made, so that two processes do not make them at once.

_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

_id = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY is SQLite's row id
_text = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
_blob = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")
_owner = Text().with_variant(String(255), "mysql", "mariadb")  # MySQL cannot index a text without a length

metadata = MetaData()

request = Table(
    "bgrs_request",
    metadata,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("rid", String(32), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("has_request", SmallInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("lease_until", Double),
    Column("max_run_seconds", Double, nullable=False),
    Column("retention_days", Double, nullable=False),
    Column("progress", Double),
    Column("http_status", SmallInteger),
    Column("result_length", BigInteger),
    Column("rerun", String(16), nullable=False),
    Column("worker", _owner),
    Column("parent", String(32)),
    Column("batch_items", Integer),
    Column("idempotency_key", String(64)),
    Column("idempotency_fingerprint", String(64)),
    Column("owner", _owner),
    Column("operations_parent", _owner),
    Column("method", _text, nullable=False),
    Column("type", _text, nullable=False),
    Column("name", _text, nullable=False),
    Column("content_type", _text),
    Column("request_body_name", _text),
    Column("result_body_name", _text),
    Column("result_sha256", String(64)),
    Column("message", _text),
    Column("items", _text),
    Column("result_headers", _text),
    Column("sealed_request", _blob),
    Column("result_inline", _blob),
    sqlite_autoincrement=True,
    **_MYSQL,
)

_unfinished = request.c.status < text(str(int(Status.FINISHED)))
_owned = request.c.owner.is_not(None)
ended = request.c.status >= literal_column(str(int(Status.FINISHED)))
kept = and_(ended, request.c.has_request == literal_column("1"))
keep_until = request.c.finished_at + request.c.retention_days * literal_column(str(rules.SECONDS_PER_DAY), Double)
"""When the retention of a record that has ended is over: what `rules.keep_until` says in SQL."""

# Every accept pays for every index: these three and the primary key are all there are for it.
Index("bgrs_request_rid", request.c.rid, unique=True)
Index(
    "bgrs_request_unfinished",
    request.c.status,
    request.c.id,
    sqlite_where=_unfinished,
    postgresql_where=_unfinished,
)
Index("bgrs_request_owner", request.c.owner, request.c.id, sqlite_where=_owned, postgresql_where=_owned)


def _has_computed_indexes(*_: Any, dialect: Dialect, **__: Any) -> bool:
    return not getattr(dialect, "is_mariadb", False)


# A request enters the first of these once, at its end, and the second only where its own request is kept for a retry.
ENDED_INDEXES = (
    Index("bgrs_request_keep_until", keep_until, sqlite_where=ended, postgresql_where=ended).ddl_if(
        callable_=_has_computed_indexes
    ),
    Index("bgrs_request_kept", request.c.finished_at, sqlite_where=kept, postgresql_where=kept),
)
"""MariaDB has no indexes of computed values: there, each look at what is outdated goes through all that has ended."""

_is_item = request.c.parent.is_not(None)
has_key = request.c.idempotency_key.is_not(None)

# An accept pays for these only where it is an item of a batch, or has a key.
OPERATION_INDEXES = (
    Index("bgrs_request_parent", request.c.parent, request.c.id, sqlite_where=_is_item, postgresql_where=_is_item),
    Index(
        "bgrs_request_idempotency",
        request.c.idempotency_key,
        unique=True,
        sqlite_where=has_key,
        postgresql_where=has_key,
    ),
)

detail = Table(
    "bgrs_detail",
    metadata,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("rid", String(32), nullable=False),
    Column("at", Double, nullable=False),
    Column("text", _text, nullable=False),
    sqlite_autoincrement=True,
    **_MYSQL,
)
Index("bgrs_detail_rid", detail.c.rid, detail.c.id)

schema = Table(
    "bgrs_schema",
    metadata,
    Column("version", Integer, nullable=False),
    Column("identity", String(32)),
    **_MYSQL,
)

Step = Callable[[Connection], None]


def _let_retention_work(connection: Connection) -> None:
    _create_indexes(connection, ENDED_INDEXES)
    _add_columns(connection, schema, "identity")
    connection.execute(update(schema).values(identity=new_rid()))


def _let_operations_work(connection: Connection) -> None:
    # Rows without a parent stay so, which means the default: to write each would take longer the more there are.
    _add_columns(connection, request, "batch_items", "idempotency_key", "idempotency_fingerprint", "operations_parent")
    _create_indexes(connection, OPERATION_INDEXES)


def _create_indexes(connection: Connection, indexes: Sequence[Index]) -> None:
    for index in indexes:
        if connection.dialect.name in ("sqlite", "postgresql"):
            connection.execute(CreateIndex(index, if_not_exists=True))
        else:
            index.create(connection, checkfirst=True)


def _add_columns(connection: Connection, table: Table, *names: str) -> None:
    """Add those that are missing; they may be NULL, and are in the rows that are there."""
    present = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in present:
            column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column}"))


UPGRADES: tuple[Step, ...] = (_let_retention_work, _let_operations_work)
"""`UPGRADES[0]` makes version 2 of version 1, and so on."""


def upgrade(connection: Connection, steps: Sequence[Step] = UPGRADES) -> None:
    """Create what is missing, or bring an older store to this version. Inside a transaction that the caller ends.

    Raises:
        SchemaError: the store is of a newer version, or a step failed.
    """
    with _turn(connection):
        _upgrade(connection, steps)


def _upgrade(connection: Connection, steps: Sequence[Step]) -> None:
    newest = len(steps) + 1
    found = _version(connection)
    if found is None:
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=newest, identity=new_rid()))
        return
    if found > newest:
        raise SchemaError(
            f"The store is of version {found}, made by a newer bgrs_middleware; this one knows version {newest} and "
            "older. Install the newer release again, or point the setting `store` at another database."
        )
    # Written even where it is the same: a store that cannot be written must not seem to be ready.
    connection.execute(update(schema).values(version=found))
    for number, step in enumerate(steps, start=2):
        if number > found:
            _take(step, number, connection)


def _take(step: Step, number: int, connection: Connection) -> None:
    try:
        step(connection)
        connection.execute(update(schema).values(version=number))
    except SQLAlchemyError as error:
        raise SchemaError(f"The store could not be brought to version {number}; it stays as it was.") from error


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """One process at a time. On SQLite the transaction itself sees to that."""
    if connection.dialect.name == "postgresql":
        # Whoever upgrades it just now may take minutes.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    if connection.dialect.name not in ("mysql", "mariadb"):
        yield
        return
    # MySQL commits at every change of a table, so a lock of the transaction would be gone too early.
    connection.execute(select(func.get_lock(schema.name, 60)))
    try:
        yield
    finally:
        connection.execute(select(func.release_lock(schema.name)))


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema.name):
        return None
    version: int | None = connection.execute(select(func.max(schema.c.version))).scalar()
    return version


def identity_of(connection: Connection) -> str | None:
    """What tells this store from every other one; made when it was."""
    identity: str | None = connection.execute(select(schema.c.identity)).scalar()
    return identity
