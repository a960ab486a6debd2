"""A disk that is full, read-only or locked: 503 with a reason, nothing half-recorded, and recovery by itself.

How a test comes by such a disk is told in `bad_disks.py`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bgrs_middleware.stores.sql import SqlStore

from .answer import Answer
from .bad_disks import SmallDisk, body_files, is_unavailable, no_space_for_bodies, read_only, rows, url_of
from .door import Door

BODY_IN_A_ROW = b"x" * 50_000
BODY_IN_A_FILE = b"x" * 500_000
MAX_TRIES = 100_000


# Locked.


def test_a_locked_database_is_a_503_and_over_when_the_lock_is(open_door, data_dir: Path) -> None:
    door = open_door(store=SqlStore(url_of(data_dir), busy_seconds=0.05))
    first = door.ask("/items")
    door.ended(first)
    with closing(sqlite3.connect(data_dir / "bgrs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for body in (b"", BODY_IN_A_ROW, BODY_IN_A_FILE):
            assert is_unavailable(door.call("POST", "/items?bgrs=yes", [], body), "locked")
        # Reading goes on, and so do ordinary requests.
        assert door.get(f"/bgrs/{first}/result").status == 200
        assert door.call("POST", "/items", [], b"x").status == 200
        assert is_unavailable(door.call("DELETE", f"/bgrs/{first}"), "locked")
        other.execute("ROLLBACK")
    assert rows(data_dir) == 1
    assert door.result(door.ask("/items", method="POST", body=BODY_IN_A_FILE)).status == 200
    door.clean_up()
    assert body_files(data_dir) == []


def test_an_outcome_that_cannot_be_written_is_written_when_the_lock_is_over(open_door, data_dir: Path) -> None:
    door = open_door(store=SqlStore(url_of(data_dir), busy_seconds=0.05))
    rid = door.hold("a", "see:answered")
    with closing(sqlite3.connect(data_dir / "bgrs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        door.release("a")
        assert is_unavailable(door.get("/items?bgrs=yes"), "locked")
        other.execute("ROLLBACK")
    assert door.ended(rid)["status_name"] == "finished"
    assert door.stage.seen == ["answered"]
    assert door.details(rid) == ["started", "done"]


def test_a_database_that_is_locked_at_the_start_does_not_stop_the_application(open_door, data_dir: Path) -> None:
    with closing(sqlite3.connect(url_of(data_dir).removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        door = open_door(store=SqlStore(url_of(data_dir), busy_seconds=0.05))
        assert door.get("/items").status == 200
        assert is_unavailable(door.get("/items?bgrs=yes"), "locked")
        assert is_unavailable(door.get("/bgrs"), "locked")
        other.execute("ROLLBACK")
    assert door.result(door.ask("/items")).status == 200


# Full.


def test_a_full_database_is_a_503_and_over_when_there_is_room(open_door, data_dir: Path) -> None:
    disk = SmallDisk(data_dir)
    door = open_door(store=disk.engine)
    door.ended(door.ask("/items"))
    disk.fill()
    for _ in range(3):
        assert is_unavailable(door.call("POST", "/items?bgrs=yes", [], BODY_IN_A_ROW), "full")
    assert rows(data_dir) == 1
    disk.make_room()
    assert door.result(door.ask("/items", method="POST", body=BODY_IN_A_ROW)).status == 200
    assert rows(data_dir) == 2


def test_a_response_that_the_full_database_cannot_take_is_kept_until_it_can(open_door, data_dir: Path) -> None:
    disk = SmallDisk(data_dir)
    door = open_door(store=disk.engine)
    rid = door.ask("/do/length:60000/send:60000/gate:a/see:sent")
    door.stage.gate("a").wait_until_reached()
    disk.fill()
    door.release("a")
    assert is_unavailable(door.call("POST", "/items?bgrs=yes", [], BODY_IN_A_ROW), "full")
    disk.make_room()
    answer = door.result(rid)
    assert (answer.status, len(answer.body)) == (200, 60_000)


def test_a_body_that_the_disk_cannot_take_is_a_503_and_leaves_nothing(
    open_door, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door()
    door.ended(door.ask("/items"))
    with no_space_for_bodies(data_dir, monkeypatch):
        for chunked in (False, True):
            assert is_unavailable(door.call("POST", "/items?bgrs=yes", [], BODY_IN_A_FILE, chunked=chunked), "full")
        assert body_files(data_dir) == []
        # A small one needs no file.
        small = door.ask("/items", method="POST", body=b"x")
    assert door.result(small).status == 200
    assert rows(data_dir) == 2
    assert door.result(door.ask("/items", method="POST", body=BODY_IN_A_FILE)).status == 200


def test_a_response_that_the_disk_cannot_take_fails_and_leaves_nothing(
    open_door, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door()
    with no_space_for_bodies(data_dir, monkeypatch):
        rid = door.ask("/do/length:500000/send:500000")
        assert door.ended(rid)["status_name"] == "failed"
    assert "full" in door.details(rid)[-1]
    assert body_files(data_dir) == []
    assert door.get(f"/bgrs/{rid}/result").header("bgrs-status") == "failed"
    # When there is room again, it can be run again.
    assert door.call("POST", f"/bgrs/{rid}/retry").status == 202
    assert len(door.result(rid).body) == 500_000


def test_at_its_floor_the_disk_takes_nothing_and_then_again(
    open_door, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statvfs = os.statvfs
    free_bytes = 5 * 1024**3

    class Disk:
        def __init__(self, path: str) -> None:
            real = statvfs(path)
            self.f_frsize, self.f_blocks = real.f_frsize, real.f_blocks
            self.f_bavail = free_bytes // real.f_frsize

    monkeypatch.setattr(os, "statvfs", Disk)
    door = open_door(min_free_bytes=2 * 1024**3)
    first = door.ask("/items")
    door.ended(first)
    free_bytes = 1024**3
    answer = until(door, 503)
    assert is_unavailable(answer, "full")
    recorded = rows(data_dir)
    assert is_unavailable(door.call("POST", "/items?bgrs=yes", [], b"x"), "full")
    assert door.get("/items").status == 200
    assert door.get(f"/bgrs/{first}/result").status == 200
    assert rows(data_dir) == recorded
    free_bytes = 5 * 1024**3
    assert until(door, 202).status == 202


def until(door: Door, status: int) -> Answer:
    """Ask until the answer has this status: the disk is looked at once a second."""
    for _ in range(MAX_TRIES):
        answer = door.get("/items?bgrs=yes")
        if answer.status == status:
            return answer
        if answer.status == 202:
            door.ended(answer.rid)
    raise AssertionError(f"it never became {status}")


# Read-only.


@pytest.mark.parametrize("used_before", [False, True])
def test_a_read_only_data_directory_is_a_503_until_it_can_be_written(
    open_door, tmp_path_factory: pytest.TempPathFactory, used_before: bool
) -> None:
    # Nothing is imported for the first time while the rights are gone.
    other = open_door(data_dir=tmp_path_factory.mktemp("other"))
    other.ended(other.ask("/items", method="POST", body=BODY_IN_A_FILE))
    data_dir = tmp_path_factory.mktemp("shared")
    for parent in list(data_dir.parents)[:2]:
        parent.chmod(0o755)
    if used_before:
        earlier = open_door(data_dir=data_dir)
        earlier.ended(earlier.ask("/items"))
        earlier.close()
    with read_only(data_dir):
        door = open_door(data_dir=data_dir)
        assert is_unavailable(door.get("/items?bgrs=yes"), "cannot be opened")
        assert is_unavailable(door.get(f"/bgrs/{'0' * 32}"), "cannot be opened")
        assert door.get("/items").status == 200
    assert door.result(door.ask("/items", method="POST", body=BODY_IN_A_FILE)).status == 200
    assert rows(data_dir) == (2 if used_before else 1)


def test_a_data_directory_that_is_a_file_is_a_503(open_door, data_dir: Path) -> None:
    data_dir.write_text("not a folder")
    door = open_door()
    assert is_unavailable(door.get("/items?bgrs=yes"), "cannot be opened")
    assert door.get("/items").status == 200
    data_dir.unlink()
    assert door.result(door.ask("/items")).status == 200


def test_a_disk_without_room_for_the_folder_of_bodies_is_a_503(
    open_door, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def full(path: str, mode: int = 0o777) -> None:
        if "bodies" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        mkdir(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", full)
        door = open_door()
        assert is_unavailable(door.get("/items?bgrs=yes"), "full")
    assert door.result(door.ask("/items")).status == 200
