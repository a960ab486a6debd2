"""What lies in a folder of bodies, and to which store the folder belongs.

Bodies that no record names are removed one day. That must never befall the bodies of another store that somebody let
lie in the same folder, so the first store that asks puts its mark there, and no other one tidies up.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from typing import Final

from .disk import sync_folder
from .names import is_name

MARK: Final = "store"
_SHARD = re.compile(r"[0-9a-f]{2}", re.ASCII)


def names_below(folder: str, written_before: float) -> Iterator[str]:
    """The names of complete bodies that were written before a time, in seconds since the epoch. Other files are not.

    Raises:
        OSError: the folder cannot be read.
    """
    with contextlib.suppress(FileNotFoundError):
        for shard in sorted(name for name in os.listdir(folder) if _SHARD.fullmatch(name)):
            yield from _names_in(os.path.join(folder, shard), written_before)


def _names_in(shard: str, written_before: float) -> list[str]:
    found = []
    with os.scandir(shard) as entries:
        for entry in entries:
            # One that is removed meanwhile is not there.
            with contextlib.suppress(FileNotFoundError):
                ours = is_name(entry.name) and entry.name.startswith(os.path.basename(shard))
                if ours and entry.stat(follow_symlinks=False).st_mtime < written_before:
                    found.append(entry.name)
    return sorted(found)


def is_marked(folder: str, identity: str) -> bool:
    """Whether a folder belongs to the store of this identity. One that is nobody's becomes its own.

    Raises:
        OSError: the mark cannot be read or put there.
    """
    path = os.path.join(folder, MARK)
    try:
        return _read(path) == identity
    except FileNotFoundError:
        _put(path, identity)
        return _read(path) == identity


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as mark:
        return mark.read().strip()


def _put(path: str, identity: str) -> None:
    """Complete or not at all, and only where there is none: of two stores that come at once, one is the first."""
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w", encoding="ascii") as mark:
            mark.write(identity + "\n")
            mark.flush()
            os.fsync(mark.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    sync_folder(os.path.dirname(path))
