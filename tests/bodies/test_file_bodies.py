"""What only files have: permissions, the order of flushes, dying while writing, descriptors, partial writes.

Failures of the disk itself are in `test_disk_failures.py`.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bgrs_middleware.bodies import FileBodies, listing
from bgrs_middleware.errors import BodyError, BodyNotFound

NAME = "0123456789abcdef" * 2 + ".1.result"


def everything_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def files_below(folder: Path) -> list[Path]:
    return [path for path in everything_below(folder) if path.is_file()]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def put(bodies: FileBodies, data: bytes) -> None:
    writer = bodies.create(NAME)
    writer.write(data)
    writer.seal()


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    FileBodies(str(tmp_path / "data" / "bodies"), None)
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_folders_are_0700_and_files_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        bodies = FileBodies(str(tmp_path / "data" / "bodies"), 0)
        bodies.open()
        unfinished = bodies.create("ff" * 16 + ".request")
        put(bodies, b"data")
    finally:
        os.umask(before)
    modes = {path: mode_of(path) for path in everything_below(tmp_path)}
    assert len(modes) == 6
    assert modes == {path: 0o600 if path.is_file() else 0o700 for path in modes}
    unfinished.discard()


def test_a_folder_that_somebody_made_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    FileBodies(str(tmp_path), 0).open()
    assert mode_of(tmp_path) == 0o755


def test_bodies_are_spread_over_folders_of_their_first_two_letters(file_bodies: FileBodies) -> None:
    put(file_bodies, b"data")
    assert files_below(Path(file_bodies.folder)) == [Path(file_bodies.folder, "01", NAME)]


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bodies = FileBodies("relative", 0)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    bodies.open()
    put(bodies, b"data")
    assert files_below(tmp_path) == [tmp_path / "relative" / "01" / NAME]


def test_a_folder_removed_while_it_is_used_is_made_again(file_bodies: FileBodies) -> None:
    put(file_bodies, b"first")
    folder = Path(file_bodies.folder)
    folder.rename(folder.with_name("gone"))
    put(file_bodies, b"second")
    assert file_bodies.read(NAME).read(0, 100) == b"second"


def test_a_shard_removed_before_the_seal_is_made_again(file_bodies: FileBodies) -> None:
    put(file_bodies, b"first")
    writer = file_bodies.create(NAME)
    writer.write(b"second")
    file_bodies.delete(NAME)
    Path(file_bodies.folder, "01").rmdir()
    writer.seal()
    reader = file_bodies.read(NAME)
    assert reader.read(0, 100) == b"second"
    reader.close()


def test_the_file_is_flushed_before_it_has_its_name_and_the_name_after(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no test without a power cut can show is at least done in the order that makes it true."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(fd: int) -> None:
        steps.append(f"flush {Path(os.readlink(f'/proc/self/fd/{fd}')).relative_to(file_bodies.folder).parts[0]}")
        fsync(fd)

    def noted_replace(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    put(file_bodies, b"the folder 01 is now known")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    put(file_bodies, b"data")
    assert steps == ["flush incomplete", "rename", "flush 01"]


def test_the_name_of_a_new_folder_is_flushed_as_well(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def noted_fsync(fd: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    Path(file_bodies.folder, "01").mkdir()  # As by another process, a moment ago.
    monkeypatch.setattr(os, "fsync", noted_fsync)
    put(file_bodies, b"data")
    assert file_bodies.folder in flushed


def test_a_partial_write_is_continued(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    put(file_bodies, b"more than seven bytes, in one call")
    assert file_bodies.read(NAME).read(0, 100) == b"more than seven bytes, in one call"


def test_a_platform_without_pread_reads_the_same(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    put(file_bodies, bytes(range(200)))
    monkeypatch.delattr(os, "pread")
    reader = file_bodies.read(NAME)
    assert reader.read(100, 5) == bytes(range(100, 105))
    assert reader.read(0, 3) == bytes(range(3))
    assert reader.read(200, 3) == b""
    reader.close()


def test_closing_under_a_read_in_another_thread_waits_for_the_read(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the descriptor's number could already be another file's."""
    put(file_bodies, b"mine")
    reader = file_bodies.read(NAME)
    in_read, may_go_on = threading.Event(), threading.Event()
    real = os.pread

    def slow_pread(fd: int, length: int, offset: int) -> bytes:
        in_read.set()
        may_go_on.wait()
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", slow_pread)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(reader.read(0, 100)))
    thread.start()
    in_read.wait()
    reader.close()
    other = os.open("/dev/zero", os.O_RDONLY)
    may_go_on.set()
    thread.join()
    os.close(other)
    assert got == [b"mine"]
    with pytest.raises(BodyError):
        reader.read(0, 1)


def test_no_descriptor_is_left_open(file_bodies: FileBodies) -> None:
    before = set(os.listdir("/proc/self/fd"))
    put(file_bodies, b"data")
    file_bodies.create(NAME).discard()
    reader = file_bodies.read(NAME)
    reader.read(0, 1)
    reader.close()
    assert set(os.listdir("/proc/self/fd")) == before


WRITE_UNTIL_KILLED = """
import sys
from bgrs_middleware.bodies import FileBodies
bodies = FileBodies(sys.argv[1], 0)
writer = bodies.create(sys.argv[2])
writer.write(b"x" * 3_000_000)
print("written", flush=True)
sys.stdin.read()
"""


def test_a_process_killed_while_writing_leaves_no_body_and_what_it_leaves_is_swept(file_bodies: FileBodies) -> None:
    folder = Path(file_bodies.folder)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(folder), NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        written_at = files_below(folder)[0].stat().st_mtime
        swept_while_alive = file_bodies.sweep_temporary(60, written_at + 3_600)
        process.send_signal(signal.SIGKILL)
    assert swept_while_alive == 0
    with pytest.raises(BodyNotFound):
        file_bodies.read(NAME)
    (left,) = files_below(folder)
    assert left.parent == folder / "incomplete"
    assert file_bodies.sweep_temporary(60, written_at + 59) == 0
    assert file_bodies.sweep_temporary(60, written_at + 61) == 1
    assert files_below(folder) == []


def test_a_sweep_leaves_complete_bodies_and_files_of_others(file_bodies: FileBodies) -> None:
    put(file_bodies, b"data")
    foreign = Path(file_bodies.folder, "incomplete", "notes.txt")
    foreign.write_text("not ours")
    assert file_bodies.sweep_temporary(0, 4e9) == 0
    assert foreign.exists()
    assert file_bodies.read(NAME).size == 4


def test_a_sweep_before_anything_was_written_finds_nothing(tmp_path: Path) -> None:
    assert FileBodies(str(tmp_path / "not there"), 0).sweep_temporary(0, 4e9) == 0


def test_a_write_in_this_process_is_never_swept(file_bodies: FileBodies) -> None:
    writer = file_bodies.create(NAME)
    writer.write(b"slowly")
    assert file_bodies.sweep_temporary(0, 4e9) == 0
    writer.seal()
    assert file_bodies.read(NAME).size == 6


def test_files_of_others_are_no_names_and_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    bodies = FileBodies(str(tmp_path / "bodies"), 0)
    assert list(bodies.names(0, 4e9)) == []
    put(bodies, b"data")
    shard = Path(bodies.folder, NAME[:2])
    (shard / "notes.txt").write_text("not ours")
    (shard / ("ff" * 16)).write_text("in a folder where it would never be looked for")
    Path(bodies.folder, "lost+found").mkdir()
    assert list(bodies.names(0, 4e9)) == [NAME]


def test_the_mark_of_a_store_is_private_and_found_by_the_next_process(file_bodies: FileBodies) -> None:
    assert file_bodies.belong_to("first")
    assert (Path(file_bodies.folder) / "store").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(file_bodies.folder)) == ["incomplete", "store"]
    assert not FileBodies(file_bodies.folder, 0).belong_to("second")
    assert FileBodies(file_bodies.folder, 0).belong_to("first")


def test_of_two_stores_that_come_at_once_one_is_the_first(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_mark = listing._put

    def put_after_another(path: str, identity: str) -> None:
        put_mark(path, "another")
        put_mark(path, identity)

    monkeypatch.setattr(listing, "_put", put_after_another)
    assert not file_bodies.belong_to("mine")
    assert file_bodies.belong_to("another")


def test_a_folder_that_cannot_be_listed_is_an_error_of_ours(file_bodies: FileBodies) -> None:
    put(file_bodies, b"data")
    shard = Path(file_bodies.folder, NAME[:2])
    (shard / NAME).unlink()
    shard.rmdir()
    shard.write_text("no folder")
    with pytest.raises(BodyError):
        list(file_bodies.names(0, 4e9))
