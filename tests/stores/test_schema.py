"""How a store's tables come to be, and how those of an older version become those of this one."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, select, text, update
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.schema import CreateIndex, CreateTable

from bgrs_middleware.errors import SchemaError
from bgrs_middleware.models import Status
from bgrs_middleware.stores.sql import SqlStore
from bgrs_middleware.stores.sql.schema import ENDED_INDEXES, UPGRADES, metadata, schema
from bgrs_middleware.stores.sql.statements import Statements
from stores.orders import added, ended, record
from stores.processes import in_processes, open_at_once

NEWEST = len(UPGRADES) + 1


def versions(store: SqlStore) -> list[int]:
    """All rows of the version table."""
    return store._links().read(lambda connection: list(connection.execute(select(schema.c.version)).scalars()))


def indexes(store: SqlStore) -> set[str]:
    """The names of all indexes. (SQLAlchemy's own list leaves out those of computed values on SQLite.)"""
    question = (
        "SELECT name FROM sqlite_master WHERE type = 'index'"
        if store.file is not None
        else "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    )
    return store._links().read(lambda connection: set(connection.execute(text(question)).scalars()))


def test_processes_that_open_an_empty_store_at_once_all_can_use_it(database_url: str) -> None:
    rids = in_processes(4, open_at_once, database_url)
    store = SqlStore(database_url)
    store.open()
    assert sorted(one.id for one in store.get(rids).values()) == [1, 2, 3, 4]
    assert versions(store) == [NEWEST]
    store.close()


def test_opening_again_changes_nothing(sql_store: SqlStore) -> None:
    [rid] = added(sql_store)
    sql_store.open()
    assert (record(sql_store, rid).id, versions(sql_store)) == (1, [NEWEST])


def test_a_store_of_a_newer_version_is_refused_with_advice_and_left_as_it_is(
    sql_store: SqlStore, database_url: str
) -> None:
    with sql_store._links().writing() as connection:
        connection.execute(update(schema).values(version=7))
    newcomer = SqlStore(database_url)
    with pytest.raises(SchemaError, match=rf"version 7.*knows version {NEWEST}.*newer release"):
        newcomer.open()
    newcomer.close()
    assert versions(sql_store) == [7]


def test_upgrade_steps_run_once_each_in_order(sql_store: SqlStore, database_url: str) -> None:
    [rid] = added(sql_store)
    ran: list[int] = []

    def second(connection: Connection) -> None:
        ran.append(2)
        connection.execute(text("ALTER TABLE bgrs_request ADD COLUMN extra INTEGER"))

    def third(connection: Connection) -> None:
        ran.append(3)
        connection.execute(text("UPDATE bgrs_request SET extra = 3"))

    for steps in ((second,), (second, third), (second, third)):
        store = SqlStore(database_url, upgrades=(*UPGRADES, *steps))
        store.open()
        assert record(store, rid).id == 1
        assert versions(store) == [NEWEST + len(steps)]
        store.close()
    assert ran == [2, 3]


def test_an_empty_store_gets_the_tables_of_this_version_without_the_steps(database_url: str) -> None:
    def never(connection: Connection) -> None:
        raise AssertionError("an empty store needs no upgrade")

    store = SqlStore(database_url, upgrades=(never,))
    store.open()
    assert versions(store) == [2]
    store.close()


def test_a_step_that_fails_leaves_the_store_as_it_was(sql_store: SqlStore, database_url: str) -> None:
    def second(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE bgrs_request ADD COLUMN extra INTEGER"))
        connection.execute(text("UPDATE no_such_table SET extra = 3"))

    store = SqlStore(database_url, upgrades=(*UPGRADES, second))
    with pytest.raises(SchemaError, match=f"version {NEWEST + 1}"):
        store.open()
    store.close()
    assert versions(sql_store) == [NEWEST]
    engine = create_engine(sql_store._target.url, poolclass=NullPool)
    assert "extra" not in {column["name"] for column in inspect(engine).get_columns("bgrs_request")}
    assert added(sql_store)


def test_a_store_of_version_1_becomes_one_of_this_version(sql_store: SqlStore, database_url: str) -> None:
    rid = ended(sql_store, Status.FINISHED, now=1_000.0)
    with sql_store._links().writing() as connection:
        for index in ENDED_INDEXES:
            index.drop(connection)
        connection.execute(text("ALTER TABLE bgrs_schema DROP COLUMN identity"))
        connection.execute(update(schema).values(version=1))
    upgraded, again = SqlStore(database_url), SqlStore(database_url)
    for store in (upgraded, again):
        store.open()
    assert {str(index.name) for index in ENDED_INDEXES} <= indexes(upgraded)
    assert [one.rid for one in upgraded.outdated(1e9, 9)] == [rid]
    identity = upgraded.identity()
    assert identity is not None
    assert again.identity() == identity
    upgraded.close()
    again.close()


def test_tables_and_statements_can_be_said_in_mysql() -> None:
    """There is no MySQL in the tests: what can be shown without one is that SQLAlchemy has words for all of it."""
    dialect = MySQLDialect_pymysql(paramstyle="format")
    tables = "".join(str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables)
    for word in ("LONGBLOB", "COLLATE utf8mb4_bin", "InnoDB", "owner VARCHAR(255)"):
        assert word in tables
    for table in metadata.sorted_tables:
        assert [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes] or table is schema
    statements = Statements(dialect)
    assert statements.claimable().sql.endswith("FOR UPDATE SKIP LOCKED")
    for name in (
        "expirable",
        "details",
        "page",
        "abandoned",
        "count_queued",
        "queue_ends",
        "delete_details",
        "wipeable",
        "outdated",
    ):
        assert "bgrs_" in getattr(statements, name)().sql
    for name in ("held", "present", "records", "captured", "count_by_owner"):
        assert getattr(statements, name)(2).sql.count("%s") >= 2
    assert statements.update_request(("status",)).sql == "UPDATE bgrs_request SET status=%s WHERE bgrs_request.id = %s"
