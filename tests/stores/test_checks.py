"""What is not as safe as it could be is said in words, whatever it is; and nothing is changed or refused for it."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url

from bgrs_middleware import advice as module
from bgrs_middleware.advice import Advice, gathered, log_all, network_file_system, open_to_others
from bgrs_middleware.bodies import FileBodies, MemoryBodies
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore, checks
from postgres import PostgresServer

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv/shared rw,relatime shared:2 master:1 - nfs4 files.internal:/export rw,vers=4.2
31 30 8:2 / /srv/shared/local rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/two\\040words rw - cifs //host/share rw
33 22 0:42 / /home/me/over rw - fuse.sshfs me@host: rw
34 22 8:3 / /home/me/over rw - ext4 /dev/sdc1 rw
35 22 0:43 / /vm rw - 9p work rw
a line that is none
"""


def about(found: list[Advice], word: str) -> list[Advice]:
    return [advice for advice in found if word in advice.text]


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user of this machine can get to, where tests' own folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        inner = Path(folder) / "data"
        inner.mkdir(mode=0o700)
        yield inner


# SQLite's version.


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)])
def test_a_version_with_the_wal_reset_fault_is_named_without_alarm(version: checks.Version) -> None:
    advice = checks.wal_reset(version)
    assert advice is not None
    assert ".".join(map(str, version)) in advice.text
    assert advice.level == logging.INFO, "our own processes take turns"


@pytest.mark.parametrize(
    "version", [(3, 6, 23), (3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0), (3, 53, 1)]
)
def test_a_version_without_it_is_not(version: checks.Version) -> None:
    assert checks.wal_reset(version) is None


# Where the file lies.


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/site", None),
        ("/srv/shared", "nfs4"),
        ("/srv/shared/bgrs/bgrs.sqlite3", "nfs4"),
        ("/srv/sharedx/bgrs", None),
        ("/srv/shared/local/bgrs", None),
        ("/mnt/two words/bgrs", "cifs"),
        ("/home/me/over/bgrs", None),
        ("/vm/bgrs", "9p"),
    ],
)
def test_a_network_file_system_is_known_by_its_mount(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_path_through_a_link_is_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "there")
    mounts = f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:9 / {os.path.realpath(tmp_path)}/there rw - nfs x rw\n"
    assert network_file_system(tmp_path / "here" / "bgrs.sqlite3", mounts) == "nfs"


def test_the_store_on_a_network_file_system_is_warned_of(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:9 / {os.path.realpath(tmp_path)} rw - nfs x rw\n")
    store = SqlStore(sqlite_url)
    store.open()
    assert about(list(store.advice()), "network") == []
    monkeypatch.setattr(module, "MOUNTS", mounts)
    [advice] = about(list(store.advice()), "network")
    assert "(nfs)" in advice.text
    assert advice.level == logging.WARNING
    # Where there is no such text, nobody can tell.
    monkeypatch.setattr(module, "MOUNTS", tmp_path / "nothing")
    assert about(list(store.advice()), "network") == []
    store.close()


# Who can read it.


def test_what_others_can_read_or_change_is_warned_of_and_left_as_it_is(reachable: Path) -> None:
    file = reachable / "bgrs.sqlite3"
    store = SqlStore(f"sqlite:///{file}")
    store.open()
    assert about(list(store.advice()), "Every user") == []
    file.chmod(0o644)
    assert about(list(store.advice()), "Every user") == [], "nobody gets to it"
    reachable.chmod(0o755)
    folder, of_file = about(list(store.advice()), "Every user")
    assert f"can read the folder {reachable}," in folder.text
    assert f"can read the file {file}," in of_file.text
    assert f"chmod o-rwx {file}" in of_file.text
    reachable.chmod(0o777)
    assert about(list(store.advice()), "read and change the folder")
    store.close()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (reachable, file)] == [0o777, 0o644]


def test_a_folder_of_bodies_that_others_can_read_is_warned_of(reachable: Path) -> None:
    folder = reachable / "the bodies"
    folder.mkdir()
    bodies = FileBodies(str(folder), 0)
    folder.chmod(0o755)
    assert bodies.advice() == []
    reachable.chmod(0o711)
    [advice] = bodies.advice()
    assert f"chmod o-rwx '{folder}'" in advice.text, "can be given to a shell as it is"
    folder.chmod(0o750)
    assert bodies.advice() == []


def test_a_group_that_can_read_is_no_matter_of_ours(reachable: Path) -> None:
    reachable.chmod(0o770)
    assert open_to_others(reachable) is None


# What is flushed.


@pytest.mark.parametrize("when", ["connect", "checkout"])
def test_an_engine_that_weakens_synchronous_is_overruled(sqlite_url: str, tmp_path: Path, when: str) -> None:
    (tmp_path / "data").mkdir()
    engine = create_engine(sqlite_url)
    weakened: list[object] = []

    def weaken(connection: object, *_: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]  # a connection of the driver's
        weakened.append(connection)

    event.listen(engine, when, weaken)
    store = SqlStore(engine)
    store.open()
    with store._links().writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert weakened
    assert about(list(store.advice()), "synchronous") == []
    store.close()


def test_what_weakens_it_all_the_same_is_warned_of(sqlite_url: str) -> None:
    store = SqlStore(sqlite_url)
    store.open()
    raw = store._links()._writer.connection().connection.dbapi_connection
    assert raw is not None
    raw.execute("PRAGMA synchronous = NORMAL")
    [advice] = about(list(store.advice()), "synchronous")
    assert "is 1 instead of FULL" in advice.text
    store.close()
    assert checks.weak_synchronous(2) is None
    assert checks.weak_synchronous(3) is None


def test_a_journal_that_is_no_log_is_warned_of(sqlite_url: str) -> None:
    """A VFS without shared memory has none, and SQLite says so to nobody."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    store = SqlStore(f"sqlite:///file:{path}?vfs=unix-dotfile&uri=true")
    store.open()
    [advice] = about(list(store.advice()), "journal")
    assert "'delete'" in advice.text
    store.close()


# PostgreSQL.


def test_a_server_that_does_not_flush_is_warned_of() -> None:
    server = PostgresServer(fsync=False)
    try:
        server.start()
        store = SqlStore(server.url(driver="postgresql"))
        store.open()
        assert len(about(list(store.advice()), "fsync = off")) == 1
        assert len(store.advice()) == 1
        store.close()
    finally:
        server.remove()


def test_a_server_as_it_is_installed_gets_no_advice() -> None:
    server = PostgresServer(fsync=True)
    try:
        server.start()
        store = SqlStore(server.url(driver="postgresql"))
        store.open()
        assert store.advice() == []
        store.close()
    finally:
        server.remove()


@pytest.mark.parametrize(("value", "level"), [("off", logging.INFO), ("local", logging.INFO), ("on", None)])
def test_a_default_of_unflushed_commits_is_overruled_and_told(postgres_url: str, value: str, level: int | None) -> None:
    url = make_url(postgres_url)
    options = f"{url.query['options']} -csynchronous_commit={value}"
    store = SqlStore(url.update_query_dict({"options": options}).render_as_string(hide_password=False))
    store.open()
    found = about(list(store.advice()), "synchronous_commit")
    assert [advice.level for advice in found] == ([] if level is None else [level])
    with store._links().writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    store.close()


@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
def test_unflushed_commits_of_our_own_are_warned_of(value: str) -> None:
    advice = checks.weak_commit({"synchronous_commit": value}, {"synchronous_commit": value})
    assert advice is not None
    assert value in advice.text
    assert advice.level == logging.WARNING


def test_half_written_pages_are_warned_of() -> None:
    advice = checks.no_full_pages({"full_page_writes": "off"})
    assert advice is not None
    assert "full_page_writes = on" in advice.text
    assert checks.no_full_pages({"full_page_writes": "on"}) is None
    assert checks.no_fsync({"fsync": "on"}) is None
    assert checks.weak_commit({"synchronous_commit": "remote_apply"}, {"synchronous_commit": "on"}) is None


# In general.


def test_a_check_that_fails_says_nothing_and_stops_no_other() -> None:
    def fails() -> Advice | None:
        raise OSError("a folder that hangs")

    good = Advice(text="said")
    assert gathered([fails, lambda: None, lambda: good]) == [good]


def test_it_is_logged_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bgrs_middleware.checks")
    log_all([Advice(text="100 % sure"), Advice(text="by the way", level=logging.INFO)])
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "100 % sure"),
        ("INFO", "by the way"),
    ]


def test_memory_gets_no_advice() -> None:
    assert list(MemoryStore().advice()) == []
    assert list(MemoryBodies().advice()) == []
