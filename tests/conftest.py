"""Fixtures that several folders of tests use: a PostgreSQL server for the run, and an empty place in it for a test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from postgres import PostgresServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The URL of a database in which schemas may be created. Without one the tests fail; they are never skipped."""
    elsewhere = os.environ.get("BGRS_TEST_POSTGRES_URL")
    if elsewhere:
        yield elsewhere
        return
    server = PostgresServer()
    try:
        server.start()
        yield server.url()
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """The URL of a new, empty schema: all that connects by it sees no other, and it is faster made than a database."""
    schema = f"bgrs_test_{os.getpid()}_{next(_numbers)}"
    url = make_url(postgres_server_url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        yield url.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted with `record_property`, from whichever process they ran in."""
    counted = [
        f"{name}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
    ]
    if counted:
        terminalreporter.section("counted")
        terminalreporter.write_line("\n".join(sorted(counted)))
