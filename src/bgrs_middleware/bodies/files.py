"""Bodies as files in a private folder: complete under their own name, or not there at all.

A body is written below `incomplete/`, flushed, and renamed into the folder of its first two letters; both the file and
its name are on disk when `seal()` returns. Whatever kills a process leaves at most a file in `incomplete/`, which
`sweep_temporary` removes.

Writes block and are unbuffered. Measured on 1 GiB in pieces of 64 KiB: no write took longer than 6 ms and the flush at
the end 0.3 s. Flushing early from a second thread made the end quicker but single writes slower (25 ms).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ..advice import Advice, gathered, open_to_others
from ..errors import BodyError, BodyNotFound
from ..failpoints import ARMED, Failpoint, reach
from .base import Bodies, BodyReader, BodyWriter
from .disk import MIB, Room, disk_error, make_private_folder, sync_folder
from .listing import MARK, is_marked, names_below
from .names import checked_name

logger = logging.getLogger("bgrs_middleware.bodies")

ROOM_CHECK_BYTES: Final = 16 * MIB
INCOMPLETE: Final = "incomplete"
_TEMPORARY = re.compile(r"[0-9a-f]{32}[a-z0-9.]*\.[0-9a-f]{16}\.tmp", re.ASCII)


class FileBodies(Bodies):
    """Bodies as files. Nothing is touched before `open()` or the first use.

    Parameters:
        folder: where they live; created where it is missing. Folders made here are 0700 and files 0600, whatever the
            umask.
        min_free_bytes: below this much free room nothing more is written; None is 2 GiB or a tenth of the disk,
            whichever is smaller.
    """

    def __init__(self, folder: str, min_free_bytes: int | None) -> None:
        self.folder = os.path.abspath(folder)
        self._room = Room(self.folder, min_free_bytes)
        self._shards_on_disk: set[str] = set()

    def open(self) -> None:
        try:
            make_private_folder(os.path.join(self.folder, INCOMPLETE))
            # Another process may have made the folder a moment ago, and not yet flushed its name.
            sync_folder(os.path.dirname(self.folder))
        except OSError as error:
            raise disk_error("The folder for bodies cannot be used", error) from error

    def create(self, name: str) -> BodyWriter:
        path = self._path(name)
        self._room.check()
        temporary = os.path.join(self.folder, INCOMPLETE, f"{name}.{secrets.token_hex(8)}.tmp")
        try:
            try:
                fd = _open_new(temporary)
            except FileNotFoundError:
                self.open()
                fd = _open_new(temporary)
        except OSError as error:
            raise disk_error("A body could not be begun", error) from error
        return _FileWriter(self, fd, temporary, path)

    def read(self, name: str) -> BodyReader:
        try:
            fd = os.open(self._path(name), os.O_RDONLY)
        except FileNotFoundError as error:
            raise BodyNotFound("The body is not there any more.") from error
        except OSError as error:
            raise disk_error("A body could not be opened", error) from error
        return _FileReader(fd)

    def delete(self, name: str) -> None:
        """As the interface says. Takes long for a large file (0.2 s for 1 GiB): nothing for an event loop."""
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(name))
        except OSError as error:
            raise disk_error("A body could not be removed", error) from error

    def check_room(self) -> None:
        self._room.check()

    def advice(self) -> Sequence[Advice]:
        return gathered([lambda: open_to_others(Path(self.folder))])

    def belong_to(self, identity: str) -> bool:
        try:
            ours = is_marked(self.folder, identity)
        except OSError as error:
            raise disk_error("The mark of the store that the bodies belong to could not be read", error) from error
        if not ours:
            logger.warning("The folder of bodies is another store's by its file %r: nothing is tidied up there.", MARK)
        return ours

    def names(self, older_than_seconds: float, now: float) -> Iterator[str]:
        try:
            yield from names_below(self.folder, now - older_than_seconds)
        except OSError as error:
            raise disk_error("The bodies could not be listed", error) from error

    def sweep_temporary(self, older_than_seconds: float, now: float) -> int:
        folder = os.path.join(self.folder, INCOMPLETE)
        try:
            names = os.listdir(folder)
            return sum(
                _sweep(os.path.join(folder, name), now - older_than_seconds)
                for name in names
                if _TEMPORARY.fullmatch(name) is not None
            )
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise disk_error("Unfinished bodies could not be removed", error) from error

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, checked_name(name)[:2], name)

    def _rename(self, temporary: str, path: str) -> None:
        """Give a flushed file its name."""
        shard = os.path.dirname(path)
        if shard not in self._shards_on_disk:
            self._make_shard(shard)
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            # Somebody removed the folder while we ran.
            self._make_shard(shard)
            os.replace(temporary, path)

    def _make_shard(self, shard: str) -> None:
        make_private_folder(shard)
        sync_folder(self.folder)
        self._shards_on_disk.add(shard)


class _FileWriter(BodyWriter):
    def __init__(self, bodies: FileBodies, fd: int, temporary: str, path: str) -> None:
        self._bodies = bodies
        self._fd = fd
        self._temporary = temporary
        self._path = path
        self._failed = False
        self._until_room_check = ROOM_CHECK_BYTES

    def write(self, data: bytes | memoryview) -> None:
        self._refuse_unless_whole()
        rest = memoryview(data).cast("B")
        self._until_room_check -= len(rest)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._failed = True
            raise disk_error("A body could not be written", error) from error
        if ARMED:
            reach(Failpoint.BODY_PIECE_WRITTEN)
        if self._until_room_check <= 0:
            self._until_room_check = ROOM_CHECK_BYTES
            self._bodies._room.look()

    def seal(self) -> None:
        self._refuse_unless_whole()
        has_its_name = False
        try:
            os.fsync(self._fd)
            if ARMED:
                reach(Failpoint.BODY_BEFORE_NAMED)
            self._bodies._rename(self._temporary, self._path)
            has_its_name = True
            sync_folder(os.path.dirname(self._path))
        except OSError as error:
            if has_its_name:
                _unlink(self._path)
            self.discard()
            raise disk_error("A body could not be flushed to disk", error) from error
        self._close()

    def discard(self) -> None:
        if self._fd >= 0:
            self._close()
            _unlink(self._temporary)

    def _refuse_unless_whole(self) -> None:
        if self._fd < 0:
            raise BodyError("This body is sealed or discarded already.")
        if self._failed:
            raise BodyError("This body cannot be completed: a write failed.")

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


class _FileReader(BodyReader):
    """Reads from any thread. The file is closed when the last read is over, never under one.

    A number of a closed file is given to the next file that is opened: a read that came too late would show it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._reading = 0
        self._closed = False
        # Not every platform has it.
        self._has_pread = hasattr(os, "pread")
        self.size = os.fstat(fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            if self._closed:
                raise BodyError("This body is closed already.")
            self._reading += 1
        try:
            return os.pread(self._fd, length, offset) if self._has_pread else self._seek_and_read(offset, length)
        except OSError as error:
            raise disk_error("A body could not be read", error) from error
        finally:
            with self._lock:
                self._reading -= 1
                self._close_if_unused()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._close_if_unused()

    def _seek_and_read(self, offset: int, length: int) -> bytes:
        with self._lock:
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, length)

    def _close_if_unused(self) -> None:
        if self._closed and not self._reading and self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _open_new(path: str) -> int:
    """Create a file for this user alone, locked for as long as it is open: so a sweep knows that it is in use."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(fd, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        _unlink(path)
        raise
    return fd


def _is_locked(fd: int) -> bool:
    """Whether a process that lives has it open. Where the file system has no locks, nobody can tell: no."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _sweep(path: str, older_than: float) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(fd).st_mtime > older_than or _is_locked(fd):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return False
    finally:
        os.close(fd)
    return True


def _unlink(path: str) -> None:
    """Remove a file on the way out of a failure, which is what the caller is to hear of."""
    with contextlib.suppress(OSError):
        os.unlink(path)
