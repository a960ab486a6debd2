"""Which bodies a setting means, and that every other value is refused with the field's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.bodies import FileBodies, MemoryBodies, make_bodies
from bgrs_middleware.errors import SettingsError
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore


def folder_of(**values: Any) -> str:
    bodies = make_bodies(Settings(**values))
    assert isinstance(bodies, FileBodies)
    return bodies.folder


def test_nothing_said_means_files_in_the_data_folder_and_nothing_is_made(tmp_path: Path) -> None:
    assert folder_of(data_dir=str(tmp_path / "data")) == str(tmp_path / "data" / "bodies")
    assert list(tmp_path.iterdir()) == []


def test_a_database_keeps_files() -> None:
    assert folder_of(store="sqlite:///x.sqlite3", data_dir="/data") == "/data/bodies"


def test_a_memory_store_means_memory() -> None:
    assert isinstance(make_bodies(Settings(store="memory://")), MemoryBodies)


def test_a_store_object_of_one_process_means_memory(tmp_path: Path) -> None:
    assert isinstance(make_bodies(Settings(store=MemoryStore())), MemoryBodies)
    shared = SqlStore(f"sqlite:///{tmp_path}/x.sqlite3")
    assert isinstance(make_bodies(Settings(store=shared)), FileBodies)


def test_what_is_set_goes_before_the_kind_of_the_store() -> None:
    assert folder_of(store="memory://", bodies="/elsewhere") == "/elsewhere"


def test_an_object_is_taken_as_it_is() -> None:
    mine = MemoryBodies()
    assert make_bodies(Settings(bodies=mine)) is mine


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/srv/bodies", "/srv/bodies"),
        ("file:///srv/two%20words", "/srv/two words"),
        ("/srv/a:b", "/srv/a:b"),
    ],
)
def test_a_folder_or_a_file_url(text: str, folder: str) -> None:
    assert folder_of(bodies=text) == folder


@pytest.mark.parametrize("url", ["s3://key:hidden@bucket/x", "gs://bucket", "https://[broken"])
def test_object_storage_is_refused_in_words_without_credentials(url: str) -> None:
    with pytest.raises(SettingsError, match=r"bodies: .*not in this version") as caught:
        Settings(bodies=url)
    assert "hidden" not in str(caught.value)


def test_an_object_of_another_class_is_refused_with_the_name_of_the_field() -> None:
    class AlmostBodies:
        open = create = read = delete = check_room = None

    almost: Any = AlmostBodies()
    with pytest.raises(SettingsError, match="bodies: takes an object of the class Bodies"):
        make_bodies(Settings(bodies=almost))
