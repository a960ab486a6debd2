"""Which bodies a setting means, and that every other value is refused with the field's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.bodies import FileBodies, MemoryBodies, make_bodies
from bgrs_middleware.errors import SettingsError
from bgrs_middleware.settings import Settings


def settings_with(**values: Any) -> Settings:
    """Settings that hold these values unchecked: `make_bodies` relies on nobody to have looked before."""
    settings = Settings()
    for name, value in values.items():
        object.__setattr__(settings, name, value)
    return settings


def folder_of(**values: Any) -> str:
    bodies = make_bodies(settings_with(**values))
    assert isinstance(bodies, FileBodies)
    return bodies.folder


def test_nothing_said_means_files_in_the_data_folder_and_nothing_is_made(tmp_path: Path) -> None:
    assert folder_of(data_dir=str(tmp_path / "data")) == str(tmp_path / "data" / "bodies")
    assert list(tmp_path.iterdir()) == []


def test_a_database_keeps_files() -> None:
    assert folder_of(store="sqlite:///x.sqlite3", data_dir="/data") == "/data/bodies"


@pytest.mark.parametrize("store", ["memory:", "memory://"])
def test_a_memory_store_means_memory(store: str) -> None:
    assert isinstance(make_bodies(settings_with(store=store)), MemoryBodies)


def test_a_store_object_of_one_process_means_memory() -> None:
    class OneProcess:
        shared_between_processes = False

    class Shared:
        shared_between_processes = True

    in_one: Any = OneProcess()
    shared: Any = Shared()
    assert isinstance(make_bodies(settings_with(store=in_one)), MemoryBodies)
    assert isinstance(make_bodies(settings_with(store=shared)), FileBodies)


def test_what_is_set_goes_before_the_kind_of_the_store() -> None:
    assert folder_of(store="memory:", bodies="/elsewhere") == "/elsewhere"


def test_an_object_is_taken_as_it_is() -> None:
    mine = MemoryBodies()
    assert make_bodies(settings_with(bodies=mine)) is mine


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/srv/bodies", "/srv/bodies"),
        ("file:///srv/two%20words", "/srv/two words"),
        ("file://localhost/srv/bodies", "/srv/bodies"),
        ("/srv/a:b", "/srv/a:b"),
    ],
)
def test_a_folder_or_a_file_url(text: str, folder: str) -> None:
    assert folder_of(bodies=text) == folder


def test_a_relative_folder_and_one_that_looks_like_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_of(bodies="bodies") == str(tmp_path / "bodies")
    assert folder_of(bodies="./s3:bodies") == str(tmp_path / "s3:bodies")


@pytest.mark.parametrize("url", ["s3://key:hidden@bucket/x", "gs://bucket", "memory://", "https://[broken"])
def test_object_storage_is_refused_in_words_without_credentials(url: str) -> None:
    with pytest.raises(SettingsError, match=r"bodies: .*not available in this version") as caught:
        make_bodies(settings_with(bodies=url))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", 5, b"/srv", Path("/srv"), object(), "file:x", "file://host/x", "file://"])
def test_anything_else_is_refused_with_the_name_of_the_field(wrong: Any) -> None:
    with pytest.raises(SettingsError, match="bodies: takes a folder"):
        make_bodies(settings_with(bodies=wrong))
