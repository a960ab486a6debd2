"""Disks that are full, at their floor, read-only or broken: an error in words, nothing half-written, recovery.

Where the claim is the kernel's word, the kernel says it: /dev/full, and a small tmpfs where mounting is possible, else
a limit on the size of files. What root cannot provoke is simulated at the file layer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.bodies import FileBodies, disk, files
from bgrs_middleware.errors import BodyError, BodyNotFound, DiskFull, StorageError

NAME = "0123456789abcdef" * 2 + ".1.result"
OLD_NAME = "fedcba9876543210" * 2 + ".1.result"
MIB = 1024 * 1024


def files_below(folder: str) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def put(bodies: FileBodies, name: str, data: bytes) -> None:
    writer = bodies.create(name)
    try:
        for start in range(0, len(data), 64 * 1024):
            writer.write(data[start : start + 64 * 1024])
        writer.seal()
    finally:
        writer.discard()


def failing(number: int, only_for: Callable[..., bool] = lambda *_: True, *, real: Any = None) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        if real is not None and not only_for(*arguments):
            return real(*arguments, **options)
        raise OSError(number, os.strerror(number), str(arguments[0]))

    return fail


def test_the_kernels_no_space_is_disk_full(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_open_new", lambda _path: os.open("/dev/full", os.O_WRONLY))
    writer = file_bodies.create(NAME)
    with pytest.raises(DiskFull) as caught:
        writer.write(b"data")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.retry_after_seconds is not None
    writer.discard()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[str, type[Exception], Callable[[], object]]]:
    """A folder that takes less than 2 MiB, the error it gives, and what makes more room."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if mounted:
        try:
            remount = ["mount", "-o", "remount,size=8m", str(tmp_path)]
            yield str(tmp_path), DiskFull, lambda: subprocess.run(remount, check=True)
        finally:
            subprocess.run(["umount", "-l", str(tmp_path)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
    try:
        yield str(tmp_path), BodyError, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_real_small_disk_nothing_is_left_half_written_and_it_recovers(
    small_disk: tuple[str, type[Exception], Callable[[], object]],
) -> None:
    folder, error, make_room = small_disk
    bodies = FileBodies(folder, 0)
    bodies.open()
    put(bodies, OLD_NAME, b"already here")
    with pytest.raises(error):
        put(bodies, NAME, b"x" * (3 * MIB))
    with pytest.raises(BodyNotFound):
        bodies.read(NAME)
    assert files_below(folder) == [Path(folder, "fe", OLD_NAME)]
    make_room()
    put(bodies, NAME, b"x" * (3 * MIB))
    reader = bodies.read(NAME)
    assert reader.size == 3 * MIB
    reader.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("taken", [0, 1, 100_000])
def test_a_disk_that_fills_up_while_writing_is_disk_full_and_the_body_absent(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch, number: int, taken: int
) -> None:
    """The last write before the error takes only a part, as a real disk does."""
    real, left = os.write, [taken]

    def write(fd: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(number, os.strerror(number))
        written = real(fd, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    writer = file_bodies.create(NAME)
    with pytest.raises(DiskFull):
        writer.write(b"x" * 200_000)
    with pytest.raises(BodyError, match="a write failed"):
        writer.seal()
    with pytest.raises(BodyError, match="a write failed"):
        writer.write(b"x")
    writer.discard()
    with pytest.raises(BodyNotFound):
        file_bodies.read(NAME)
    assert files_below(file_bodies.folder) == []


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EIO, BodyError)])
def test_a_flush_that_fails_leaves_no_body(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    writer = file_bodies.create(NAME)
    writer.write(b"data")
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(error):
        writer.seal()
    assert files_below(file_bodies.folder) == []


def test_a_name_that_cannot_be_flushed_is_taken_back(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    put(file_bodies, NAME, b"the folder 01 is now known")
    file_bodies.delete(NAME)
    writer = file_bodies.create(NAME)
    monkeypatch.setattr(files, "sync_folder", failing(errno.EIO))
    with pytest.raises(BodyError):
        writer.seal()
    assert files_below(file_bodies.folder) == []


def test_a_rename_that_fails_leaves_the_older_body_of_that_name(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file_bodies, NAME, b"older")
    writer = file_bodies.create(NAME)
    writer.write(b"newer")
    monkeypatch.setattr(os, "replace", failing(errno.EIO))
    with pytest.raises(BodyError):
        writer.seal()
    assert [path.read_bytes() for path in files_below(file_bodies.folder)] == [b"older"]


def test_a_read_only_folder_is_an_error_in_words_without_the_path_and_is_over_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = FileBodies(str(tmp_path / "bodies"), 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", failing(errno.EROFS))
        with pytest.raises(BodyError, match="Read-only file system") as at_open:
            bodies.open()
        with pytest.raises(BodyError, match="Read-only file system"):
            bodies.create(NAME)
    assert str(tmp_path) not in str(at_open.value)
    assert isinstance(at_open.value.__cause__, OSError)
    bodies.open()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing(errno.EROFS))
        with pytest.raises(BodyError, match="Read-only file system"):
            bodies.create(NAME)
    put(bodies, NAME, b"data")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", failing(errno.EROFS))
        with pytest.raises(BodyError, match="Read-only file system"):
            bodies.delete(NAME)
    bodies.delete(NAME)


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bodies").write_text("in the way")
    with pytest.raises(BodyError):
        FileBodies(str(tmp_path / "bodies"), 0).open()


def test_a_body_that_may_not_be_opened_or_read_is_not_called_absent(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file_bodies, NAME, b"data")
    reader = file_bodies.read(NAME)
    monkeypatch.setattr(os, "pread", failing(errno.EIO))
    with pytest.raises(BodyError):
        reader.read(0, 1)
    reader.close()
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    with pytest.raises(BodyError):
        file_bodies.read(NAME)


def test_a_file_whose_permissions_cannot_be_set_is_not_left_behind(
    file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", failing(errno.EPERM))
    with pytest.raises(BodyError):
        file_bodies.create(NAME)
    assert files_below(file_bodies.folder) == []


def test_a_folder_that_may_not_be_read_is_no_obstacle(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a home directory with mode 0711: names can be made in it, and it cannot be opened to be flushed."""
    parent = os.path.dirname(file_bodies.folder)
    monkeypatch.setattr(os, "open", failing(errno.EACCES, lambda path, *_: path == parent, real=os.open))
    file_bodies.open()


def test_a_sweep_that_cannot_remove_says_so(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Path(file_bodies.folder, "incomplete", f"{NAME}.0123456789abcdef.tmp")
    left.write_bytes(b"of a process that died")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", failing(errno.EIO))
        with pytest.raises(BodyError):
            file_bodies.sweep_temporary(0, 4e9)
    assert file_bodies.sweep_temporary(0, 4e9) == 1


def test_without_file_locks_a_sweep_goes_by_age(file_bodies: FileBodies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    put(file_bodies, NAME, b"data")
    writer = file_bodies.create(OLD_NAME)
    assert file_bodies.sweep_temporary(3_600, files_below(file_bodies.folder)[0].stat().st_mtime) == 0
    assert file_bodies.sweep_temporary(0, 4e9) == 1
    writer.discard()


# The floor.


class Disk:
    """Stands for `os.statvfs`, and counts how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, total: int, free: int) -> None:
        self.total = total
        self.free = free
        self.asked = 0
        self.now = 1_000.0
        self.error: OSError | None = None
        monkeypatch.setattr(os, "statvfs", self._statvfs)
        monkeypatch.setattr(disk, "monotonic", lambda: self.now)

    def _statvfs(self, _path: str) -> os.statvfs_result:
        self.asked += 1
        if self.error is not None:
            raise self.error
        # The first two are block sizes, then blocks in all, free ones, and those free for this user.
        return os.statvfs_result((512, 4096, self.total // 4096, 0, self.free // 4096, 0, 0, 0, 0, 255))


@pytest.mark.parametrize(
    ("floor", "total", "free", "is_full"),
    [
        (None, 1_000 * MIB, 99 * MIB, True),
        (None, 1_000 * MIB, 101 * MIB, False),
        (None, 1_000_000 * MIB, 2_047 * MIB, True),
        (None, 1_000_000 * MIB, 2_049 * MIB, False),
        (5 * MIB, 1_000 * MIB, 4 * MIB, True),
        (5 * MIB, 1_000 * MIB, 5 * MIB, False),
        (0, 1_000 * MIB, 0, False),
    ],
)
def test_the_floor_is_two_gibibytes_or_a_tenth_or_what_was_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, floor: int | None, total: int, free: int, is_full: bool
) -> None:
    Disk(monkeypatch, total=total, free=free)
    bodies = FileBodies(str(tmp_path), floor)
    if is_full:
        with pytest.raises(DiskFull, match="min_free_bytes"):
            bodies.check_room()
        with pytest.raises(DiskFull, match="min_free_bytes"):
            bodies.create(NAME)
    else:
        bodies.check_room()


def test_the_disk_is_looked_at_once_a_second_and_recovers_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = Disk(monkeypatch, total=1_000 * MIB, free=0)
    bodies = FileBodies(str(tmp_path), MIB)
    for _ in range(100):
        with pytest.raises(DiskFull):
            bodies.check_room()
    assert small.asked == 1
    small.free = 2 * MIB
    small.now += 1.0
    for _ in range(100):
        bodies.check_room()
    assert small.asked == 2


def test_a_long_write_meets_the_floor_within_16_mib(
    monkeypatch: pytest.MonkeyPatch, file_bodies: FileBodies, tmp_path: Path
) -> None:
    small = Disk(monkeypatch, total=1_000 * MIB, free=500 * MIB)
    bodies = FileBodies(file_bodies.folder, 100 * MIB)
    writer = bodies.create(NAME)
    small.free = 99 * MIB
    for _ in range(15):
        writer.write(bytes(MIB))
    with pytest.raises(DiskFull, match="min_free_bytes"):
        writer.write(bytes(MIB))
    writer.discard()
    assert files_below(str(tmp_path)) == []


def test_the_room_of_a_folder_that_is_not_there_yet_is_that_of_the_one_above(tmp_path: Path) -> None:
    FileBodies(str(tmp_path / "not" / "there" / "yet"), 0).check_room()
    with pytest.raises(DiskFull):
        FileBodies(str(tmp_path / "not" / "there" / "yet"), 2**62).check_room()


def test_a_disk_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = Disk(monkeypatch, total=MIB, free=MIB)
    for broken.error in (OSError(errno.EIO, "broken"), FileNotFoundError(errno.ENOENT, "even /")):
        with pytest.raises(StorageError):
            FileBodies(str(tmp_path), 0).check_room()
