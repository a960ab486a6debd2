"""Filters in the databases: SQLite, PostgreSQL, `matches` and an oracle of its own say the same of every record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, insert, select
from sqlalchemy.dialects import postgresql

from bgrs_middleware.models import Record, Status, new_rid
from bgrs_middleware.protocol.filters import condition_of, matches
from bgrs_middleware.protocol.filters.grammar import MAX_COMPARISONS, MAX_DEPTH
from bgrs_middleware.protocol.filters.tokens import MAX_CHARACTERS
from bgrs_middleware.stores.sql import SqlStore
from bgrs_middleware.stores.sql.filtering import clause_of
from bgrs_middleware.stores.sql.rows import RECORD_COLUMNS, record_of
from bgrs_middleware.stores.sql.schema import request
from stores.filter_oracle import RECORDS, TREES, Tree, named_state, numbered, oracle, written


def row_of(record: Record) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in fields(Record)}
    return row | {"items": None, "status": int(record.status), "has_request": 1, "rerun": record.rerun.value}


def found(connection: Connection, text: str) -> list[Record]:
    where = clause_of(condition_of(text), connection.dialect)
    rows = connection.execute(select(*RECORD_COLUMNS).where(where).order_by(request.c.id))
    return [record_of(row) for row in rows]


def engine_of(url: str) -> Engine:
    store = SqlStore(url)
    store.open()
    store.close()
    return create_engine(url, poolclass=NullPool)


@pytest.fixture
def connections(sqlite_url: str, postgres_url: str) -> Iterator[list[Connection]]:
    """A connection to each database, with the store's own tables."""
    opened = [engine_of(url).connect() for url in (sqlite_url, postgres_url)]
    yield opened
    for connection in opened:
        connection.close()


def test_the_databases_and_python_and_the_oracle_agree(connections: list[Connection]) -> None:
    counts = {"all": 0, "none": 0, "some": 0}

    @settings(max_examples=300, deadline=None)
    @given(TREES, st.lists(RECORDS, min_size=1, max_size=12).map(numbered))
    def agree(tree: Tree, records: list[Record]) -> None:
        text = written(tree)
        expected = [record for record in records if oracle(tree, record)]
        counts["all" if expected == records else "some" if expected else "none"] += 1
        assert [record for record in records if matches(condition_of(text), record)] == expected
        for connection in connections:
            connection.execute(insert(request), list(map(row_of, records)))
            try:
                assert found(connection, text) == expected
            finally:
                connection.rollback()

    agree()
    assert min(counts.values()) > 10, f"filters that let through nothing else were tried: {counts}"


CORPUS = numbered(
    [
        Record(
            id=0, rid=new_rid(), owner=None, method="GET", name="/", type=type_, status=Status.RUNNING, created_at=1.0,
            queued_at=1.0, updated_at=1.0, max_run_seconds=1.0, retention_days=1.0, progress=progress,
        )
        for type_, progress in (
            *(("GET_A", None), ("get_a", 50.0), ("GETXA", 0.0)),
            *(("[A]?*%|\\", None), ("É", 1.0), ("", 2.0)),
        )
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("", ["GET_A", "get_a", "GETXA", "[A]?*%|\\", "É", ""]),
        ("type=GET_A", ["GET_A"]),
        ("type=GET_*", ["GET_A"]),
        ("type=*_a", ["get_a"]),
        ("type=*e*", ["get_a"]),
        (r'type="[A]?\*%|\\*"', ["[A]?*%|\\"]),
        ("type='[A]*'", ["[A]?*%|\\"]),
        ("type=?", []),
        ("type=?*", []),
        ("type=%*", []),
        ("type=é", []),
        ("type=é*", []),
        ("type=''", [""]),
        ("type<a type>Z", ["[A]?*%|\\"]),
        ("type>z", ["É"]),
        ("metadata.progressPercent>0", ["get_a", "É", ""]),
        ("NOT metadata.progressPercent>0", ["GET_A", "GETXA", "[A]?*%|\\"]),
        ("metadata.progressPercent!=50", ["GET_A", "GETXA", "[A]?*%|\\", "É", ""]),
        ("-(metadata.progressPercent<=0 OR metadata.progressPercent>=50)", ["GET_A", "[A]?*%|\\", "É", ""]),
        ('type="\'; DROP TABLE bgrs_request; --"', []),
    ],
)
def test_case_special_characters_and_what_is_missing(
    connections: list[Connection], text: str, types: list[str]
) -> None:
    for connection in connections:
        connection.execute(insert(request), list(map(row_of, CORPUS)))
        assert [record.type for record in found(connection, text)] == types
        connection.rollback()
    assert [record.type for record in CORPUS if matches(condition_of(text), record)] == types


def test_postgresql_is_told_to_order_by_code_points() -> None:
    """Told by its text: the server of the tests has no collation that orders otherwise."""
    clause = clause_of(condition_of("type<b"), postgresql.dialect())
    assert '(bgrs_request.type COLLATE "C") < ' in str(clause.compile(dialect=postgresql.dialect()))


def within(depth: int, text: str) -> str:
    """The text within so many parentheses, each with a comparison of its own, AND and OR by turns."""
    for level in range(depth):
        text = f"(metadata.progressPercent!=5 {('AND', 'OR')[level % 2]} {text})"
    return text


def caterpillars(count: int) -> str:
    """As many deep branches as there can be, each beside one that is as deep."""
    text = "type:*"
    for depth in range(1, count + 1):
        text = f"({text} {('AND', 'OR')[depth % 2]} {within(depth, 'type:*')})"
    return text


def bushes(depth: int) -> str:
    """A tree that has two branches at each fork."""
    if depth == 0:
        return "metadata.progressPercent!=5"
    return f"-({bushes(depth - 1)} {('AND', 'OR')[depth % 2]} {bushes(depth - 1)})"


LARGEST = [
    ("type=" + "*a" * (MAX_CHARACTERS // 2 - 3), False),
    ("type='" + "?" * (MAX_CHARACTERS - 8) + "*'", False),
    ("type!='" + "😀" * (MAX_CHARACTERS - 9) + "*'", True),
    ("type!='" + "%*" * (MAX_CHARACTERS // 2 - 8) + "'", True),
    ("type:* " * MAX_COMPARISONS, True),
    (" OR ".join(["metadata.progressPercent:*"] * MAX_COMPARISONS), False),
    ("NOT (" * MAX_DEPTH + "type=a" + ")" * MAX_DEPTH, False),
    ("NOT (type=b OR " * MAX_DEPTH + "type=a" + ")" * MAX_DEPTH, False),
    ("(type:* " * (MAX_DEPTH - 1) + "type:*" + ")" * (MAX_DEPTH - 1), True),
    ("NOT (type=b OR (type:* AND " * (MAX_DEPTH // 2) + "type=a" + "))" * (MAX_DEPTH // 2), True),
    (caterpillars(12), True),
    (within(33, caterpillars(10)), True),
    (bushes(6), True),
]


@pytest.mark.parametrize(("text", "is_met"), LARGEST)
def test_the_largest_filters_are_answered(connections: list[Connection], text: str, is_met: bool) -> None:
    record = replace(CORPUS[0], type="GET_" + "a" * 4_000 + "b")
    assert matches(condition_of(text), record) == is_met
    for connection in connections:
        connection.execute(insert(request), [row_of(record)])
        assert found(connection, text) == [record] * is_met
        connection.rollback()


def test_every_state_of_every_status_and_response(connections: list[Connection]) -> None:
    pairs = [(status, code) for status in Status for code in (None, 200, 399, 400, 599)]
    records = numbered([replace(CORPUS[0], rid=new_rid(), status=status, http_status=code) for status, code in pairs])
    names = ("PENDING", "RUNNING", "CANCELLING", "SUCCEEDED", "FAILED", "CANCELLED")
    alone = [(f"metadata.state={name}", {name}) for name in names]
    both = [(f"{one} OR {two}", first | second) for one, first in alone for two, second in alone]
    for connection in connections:
        connection.execute(insert(request), list(map(row_of, records)))
        for text, wanted in (*both, ("done=true", set(names[3:])), ("done=false", set(names[:3]))):
            met = [record for record in records if named_state(record) in wanted]
            assert found(connection, text) == met
            assert found(connection, f"NOT ({text})") == [record for record in records if record not in met]
        connection.rollback()


def test_what_a_client_wrote_is_a_parameter_and_never_part_of_the_statement(connections: list[Connection]) -> None:
    sent: list[str] = []
    text = 'type=zebra OR type="ze*bra" OR type>zebra OR metadata.progressPercent=12345 OR '
    for connection in connections:
        event.listen(connection, "before_cursor_execute", lambda _connection, _cursor, sql, *_: sent.append(sql))
        found(connection, text + "metadata.createTime>2026-01-31T12:00:00Z")
        connection.rollback()
    assert len(sent) == len(connections)
    for statement in sent:
        assert "bgrs_request.created_at >" in statement
        assert not re.search("ze|bra|12345|1769860", statement)
