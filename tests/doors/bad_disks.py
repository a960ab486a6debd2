"""Disks that take nothing more, and what must be true of a middleware that has one.

SQLite's errors are its own: a page limit makes it say that the disk is full, permissions that it is read-only. Where no
disk of a test could be filled, the system call says so.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event

from .answer import Answer

NOBODY = 65_534


def rows(data_dir: Path) -> int:
    """How many requests are recorded, read past the middleware."""
    with closing(sqlite3.connect(data_dir / "bgrs.sqlite3")) as connection:
        count: int = connection.execute("SELECT count(*) FROM bgrs_request").fetchone()[0]
        return count


def body_files(data_dir: Path) -> list[str]:
    return [name for _, _, names in os.walk(data_dir / "bodies") for name in names]


def is_unavailable(answer: Answer, reason: str) -> bool:
    """A 503 that says why, with this word, and when to come back, and shows no path."""
    assert answer.status == 503, answer
    assert answer.header("content-type") == "application/problem+json"
    assert int(answer.header("retry-after") or 0) > 0
    detail = answer.json()["detail"]
    return reason in detail and "/" not in detail


def url_of(data_dir: Path) -> str:
    data_dir.mkdir(mode=0o700, exist_ok=True)
    return f"sqlite:///{data_dir}/bgrs.sqlite3"


class SmallDisk:
    """A database that may not grow, until it may, whichever connection wants it to."""

    ROOM = 1_000_000

    def __init__(self, data_dir: Path) -> None:
        self.engine = create_engine(url_of(data_dir))
        self._pages = self.ROOM
        self._connections: list[sqlite3.Connection] = []
        event.listen(self.engine, "connect", lambda connection, _: self._connected(connection))

    def fill(self) -> None:
        """As small as it is now; SQLite takes no limit below that."""
        self._limit(1)

    def make_room(self) -> None:
        self._limit(self.ROOM)

    def _connected(self, connection: sqlite3.Connection) -> None:
        self._connections.append(connection)
        connection.execute(f"PRAGMA max_page_count = {self._pages}").close()

    def _limit(self, pages: int) -> None:
        self._pages = pages
        for connection in self._connections:
            # One that failed was closed, and another took its place.
            with suppress(sqlite3.ProgrammingError):
                connection.execute(f"PRAGMA max_page_count = {pages}").close()


@contextmanager
def no_space_for_bodies(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every write to a file of bodies finds the disk full."""
    write = os.write

    def full(fd: int, data: bytes) -> int:
        status = os.fstat(fd)
        ours = [entry.stat().st_ino for entry in os.scandir(data_dir / "bodies" / "incomplete")]
        if stat.S_ISREG(status.st_mode) and status.st_ino in ours:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        yield


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """As a user whom permissions hold for, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder and all in it cannot be written."""
    everything = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in everything}
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with without_roots_rights():
            yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
