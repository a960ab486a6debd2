"""What every file of ours needs from a disk: private folders, names that survive a power cut, room, errors in words.

The words leave out the path: a message may reach a client. The `OSError` behind it, with its path, is the cause.
"""

from __future__ import annotations

import errno
import os
from time import monotonic

from ..errors import BodyError, DiskFull, StorageError

MIB = 1024 * 1024
MAX_DEFAULT_FLOOR_BYTES = 2 * 1024 * MIB
RETRY_AFTER_SECONDS = 30

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_CANNOT_BE_FLUSHED = frozenset({errno.EACCES, errno.EINVAL})


def disk_error(doing: str, error: OSError, kind: type[StorageError] = BodyError) -> DiskFull | StorageError:
    """Return what an `OSError` means here, to be raised from it.

    Parameters:
        doing: what failed, as the beginning of a sentence.
        error: no room and an exhausted quota become `DiskFull`, everything else `kind`.
    """
    if error.errno in _NO_ROOM:
        return DiskFull(
            "The disk of the server is full. Send this again later.", retry_after_seconds=RETRY_AFTER_SECONDS
        )
    return kind(f"{doing}: {error.strerror or type(error).__name__}")


def make_private_folder(path: str) -> None:
    """Create a folder, and those above it that are missing, for this user alone (0700, whatever the umask).

    A folder that is already there keeps its permissions: somebody chose them.

    Raises:
        OSError: it could not be created, or is no folder.
    """
    parent = os.path.dirname(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    except FileNotFoundError:
        make_private_folder(parent)
        make_private_folder(path)
        return
    os.chmod(path, 0o700)
    sync_folder(parent)


def sync_folder(path: str) -> None:
    """Flush the names in a folder to disk. One that may not be read (mode 0711), or cannot be flushed, is left be.

    Raises:
        OSError: the disk failed.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _CANNOT_BE_FLUSHED:
            raise


class Room:
    """How much room a disk has above its floor.

    Parameters:
        folder: any folder on that disk; it need not exist yet.
        min_free_bytes: the floor; None is 2 GiB or a tenth of the disk, whichever is smaller.
    """

    def __init__(self, folder: str, min_free_bytes: int | None) -> None:
        self._folder = folder
        self._floor = min_free_bytes
        self._looked_at = float("-inf")
        self._is_full = False

    def check(self) -> None:
        """Raise `DiskFull` when the floor is reached; looks at the disk at most once a second.

        Raises:
            DiskFull: less than the floor is free.
            BodyError: the disk does not answer.
        """
        if monotonic() - self._looked_at >= 1.0:
            self.look()
        elif self._is_full:
            raise _at_its_floor()

    def look(self) -> None:
        """The same, looking now."""
        try:
            disk = _statvfs(self._folder)
        except OSError as error:
            raise disk_error("The free space of the disk could not be read", error) from error
        floor = self._floor
        if floor is None:
            floor = min(MAX_DEFAULT_FLOOR_BYTES, disk.f_blocks * disk.f_frsize // 10)
        self._is_full = disk.f_bavail * disk.f_frsize < floor
        self._looked_at = monotonic()
        if self._is_full:
            raise _at_its_floor()


def _statvfs(folder: str) -> os.statvfs_result:
    """Of the folder, or of the nearest one above it that exists."""
    while True:
        try:
            return os.statvfs(folder)
        except FileNotFoundError:
            parent = os.path.dirname(folder)
            if parent == folder:
                raise
            folder = parent


def _at_its_floor() -> DiskFull:
    return DiskFull(
        "The disk of the server is nearly full (min_free_bytes). Send this again later.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
