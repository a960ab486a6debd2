"""The stores under test, opened, each on data of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet, in a folder that does not exist yet."""
    return f"sqlite:///{tmp_path / 'data' / 'bgrs.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each kind that processes can share."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store, open and empty."""
    if request.param == "memory":
        store: Store = MemoryStore()
    else:
        store = SqlStore(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))
    store.open()
    yield store
    store.close()


@pytest.fixture
def sql_store(database_url: str) -> Iterator[SqlStore]:
    """Each store in a database, open and empty."""
    store = SqlStore(database_url)
    store.open()
    yield store
    store.close()
