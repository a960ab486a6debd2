"""Which store a setting asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine

from bgrs_middleware.errors import SettingsError
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores import make_store
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import added


def test_without_a_setting_it_is_sqlite_in_the_data_folder(tmp_path: Path) -> None:
    store = make_store(Settings(data_dir=str(tmp_path / "a folder with a ? and %")))
    assert store.shared_between_processes
    store.open()
    added(store)
    assert (tmp_path / "a folder with a ? and %" / "bgrs.sqlite3").is_file()
    store.close()


def test_the_data_folder_may_be_relative_and_the_process_may_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = make_store(Settings(data_dir="data"))
    monkeypatch.chdir("/")
    store.open()
    assert (tmp_path / "data" / "bgrs.sqlite3").is_file()
    store.close()


def test_memory_is_asked_for_by_name_and_is_not_shared() -> None:
    store = make_store(Settings(store="memory://"))
    assert isinstance(store, MemoryStore)
    assert not store.shared_between_processes


def test_a_url_an_engine_and_a_store_are_taken(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    mine = MemoryStore()
    assert isinstance(make_store(Settings(store=sqlite_url)), SqlStore)
    assert isinstance(make_store(Settings(store=engine)), SqlStore)
    assert make_store(Settings(store=mine)) is mine


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg://u@h/d"])
def test_postgresql_means_psycopg_3(url: str) -> None:
    store = make_store(Settings(store=url))
    assert isinstance(store, SqlStore)
    assert store._target.url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("sqlite://user:secret:port/name", "not a database URL"),
        ("nosuch://user:secret@host/name", "no such kind of database"),
        ("postgresql+nosuch://user:secret@host/name", "no such kind of database"),
        ("oracle://user:secret@host/name", "SQLite, PostgreSQL or MySQL"),
        ("postgresql+asyncpg://user:secret@host/name", "async"),
        ("mysql+mysqldb://user:secret@host/name", "not installed"),
        ("sqlite://", "memory://"),
        (SimpleNamespace(open=1, close=1, transaction=1, get=1), "not SimpleNamespace"),
    ],
)
def test_anything_else_is_refused_by_name_and_without_its_password(value: object, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_store(Settings(store=value))  # type: ignore[arg-type]  # what the type does not allow is the point
    assert str(caught.value).startswith("store")
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_memory_store_needs_no_sqlalchemy() -> None:
    code = (
        "import sys; from bgrs_middleware.settings import Settings; from bgrs_middleware.stores import make_store; "
        "make_store(Settings(store='memory://')).open(); assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
