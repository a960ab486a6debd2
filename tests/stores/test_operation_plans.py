"""How the databases find a page of operations: by the index of owners alone, from its first record to its last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from bgrs_middleware.stores.sql import SqlStore
from bgrs_middleware.stores.sql.statement import Statement
from stores.test_operations import a_query

COUNT = 20_000
FILTERS = (
    *("", "metadata.state = SUCCEEDED", "metadata.state = FAILED", "done = false", "type = GET_X AND NOT type = *é*"),
    *("metadata.createTime > 2026-01-31T12:00:00Z", "metadata.progressPercent:* OR metadata.state = RUNNING"),
)

COLUMNS = "rid, owner, status, http_status, attempt, deaths, has_request, created_at, queued_at, updated_at, "
COLUMNS += "max_run_seconds, retention_days, rerun, method, type, name"
VALUES = (
    "CASE WHEN n < 9000 AND n - n / 1000 * 1000 = 1 THEN 'rare' ELSE 'busy' END, "
    "CASE WHEN n - n / 50 * 50 = 0 THEN 2 ELSE 4 END, 200, 1, 0, 1, n, n, n, 1, 1, 'safe', 'GET', 'GET_X', '/x'"
)
FILL = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
    "INSERT INTO bgrs_request ({columns}) SELECT printf('%032x', n), {values} FROM numbers",
    "postgresql": "INSERT INTO bgrs_request ({columns}) SELECT md5(n::text), {values} "
    "FROM generate_series(1, {count}) AS n",
}

Sent = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What is sent to the database, with its parameters."""
    found: Sent = []
    fetch = Statement.fetch

    def noting(statement: Statement, connection: Connection, parameters: dict[str, Any]) -> Any:
        found.append((statement.sql, statement._arrange(parameters)))
        return fetch(statement, connection, parameters)

    monkeypatch.setattr(Statement, "fetch", noting)
    return found


@pytest.fixture(params=[False, True], ids=["without statistics", "with statistics"])
def filled_store(request: pytest.FixtureRequest, sql_store: SqlStore) -> SqlStore:
    """A store where one owner has nearly everything, and another a few old records."""
    with sql_store._links().writing() as connection:
        fill = FILL[connection.dialect.name].format(count=COUNT, columns=COLUMNS, values=VALUES)
        connection.exec_driver_sql(fill)
        if request.param:
            connection.exec_driver_sql("ANALYZE bgrs_request")
    return sql_store


def plans(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> Iterator[str]:
    """The plan of a statement; PostgreSQL may have another one for values that it does not know yet."""
    if connection.dialect.name == "sqlite":
        yield "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))
        return
    yield "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", parameters))
    numbers = iter(range(1, len(parameters) + 1))
    numbered = re.sub("%s", lambda _: f"${next(numbers)}", sql)
    values = ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in parameters)
    values = values.replace("%", "%%")
    connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
    connection.exec_driver_sql(f"PREPARE page AS {numbered}")
    yield "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN EXECUTE page({values})"))
    connection.exec_driver_sql("DEALLOCATE page")
    connection.exec_driver_sql("SET LOCAL plan_cache_mode = auto")


def test_the_index_of_owners_alone_is_used(filled_store: SqlStore, sent: Sent) -> None:
    """Any other way may go through all records, or all of one state; this one goes through what may be looked at."""
    for owner in ("busy", "rare"):
        for text in FILTERS:
            query = a_query(text, owners=(owner,), limit=50, scan_limit=1_000, before_id=COUNT // 2)
            filled_store.operations(query)
    assert len(sent) == 2 * 2 * len(FILTERS)
    with filled_store._links().writing() as connection:
        for sql, parameters in sent:
            for plan in plans(connection, sql, parameters):
                assert set(re.findall(r"(?:sqlite_autoindex|bgrs_request)_\w+", plan)) == {"bgrs_request_owner"}, plan
                assert not re.search("Seq Scan|^SCAN|PRIMARY KEY|TEMP B-TREE", plan), plan
                if connection.dialect.name == "sqlite":
                    assert re.search(r"\(owner=\? AND (row)?id>\? AND (row)?id<\?\)", plan)
                else:
                    assert re.search(r"Index Cond: .*ROW\(owner, id\) >= .*ROW\(owner, id\) < ", plan), plan


def test_a_filter_that_comes_again_is_not_compiled_again(sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = Statement.__init__

    def counting(statement: Statement, *arguments: Any) -> None:
        make(statement, *arguments)
        made.append(statement.sql)

    monkeypatch.setattr(Statement, "__init__", counting)
    for _ in range(3):
        for text in ("", "type=a", "type=b", "done=true"):
            sql_store.operations(a_query(text))
    assert len(made) == 1 + 4
