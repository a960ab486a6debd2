"""Whether a database keeps what it was given: versions and settings under which a commit could be lost, in words.

`advice_of` looks at an opened store, through its writer's connection. Nothing is changed by it, and nothing is refused:
who runs a server may have their reasons.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from ...advice import Advice, Check, gathered, network_file_system, open_to_others
from .sqlite import MIB

Version = tuple[int, int, int]

FIRST_FAULTY: Version = (3, 7, 0)
REPAIRED: tuple[tuple[Version, Version], ...] = (
    ((3, 44, 6), (3, 45, 0)),
    ((3, 50, 7), (3, 51, 0)),
    ((3, 51, 3), (4, 0, 0)),
)
"""From which version, and up to which, the WAL-reset fault is repaired (sqlite.org/wal.html, "The WAL-reset bug")."""

FULL = 2
LONG_LOG_BYTES = 256 * MIB
"""Far beyond what a log grows to when nobody holds it: it is copied back at every 16 MiB."""

WEAK_COMMITS = ("off", "local", "remote_write")

_POSTGRES = """
    SELECT name, setting, reset_val FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
"""


def advice_of(connection: Connection, path: Path | None) -> list[Advice]:
    """All advice on a store.

    Parameters:
        connection: the writer's, in a transaction.
        path: SQLite's file, where it is known.
    """
    if connection.dialect.name == "sqlite":
        return gathered([*_checks_of_sqlite(connection), *([] if path is None else _checks_of_file(path))])
    if connection.dialect.name == "postgresql":
        return gathered(_checks_of_postgres(connection))
    return []


def _checks_of_sqlite(connection: Connection) -> list[Check]:
    return [
        lambda: wal_reset(_version(connection)),
        lambda: weak_synchronous(int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())),
        lambda: no_log(str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())),
    ]


def _version(connection: Connection) -> Version:
    """Of the library that the connection uses, which need not be the one that Python brings."""
    major, minor, patch = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()).split(".")[:3]
    return int(major), int(minor), int(patch)


def _checks_of_file(path: Path) -> list[Check]:
    return [
        lambda: on_network(path, network_file_system(path)),
        partial(open_to_others, path.parent),
        partial(open_to_others, path),
        lambda: long_log(path.with_name(path.name + "-wal").stat().st_size),
    ]


def _checks_of_postgres(connection: Connection) -> list[Check]:
    rows = connection.exec_driver_sql(_POSTGRES).fetchall()
    ours, default = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
    return [lambda: no_fsync(ours), lambda: no_full_pages(ours), lambda: weak_commit(ours, default)]


def wal_reset(version: Version) -> Advice | None:
    """A fault of SQLite's, which our own lock around commits and checkpoints keeps from happening among our own."""
    if version < FIRST_FAULTY or any(first <= version < end for first, end in REPAIRED):
        return None
    name = ".".join(map(str, version))
    return Advice(
        text=f"SQLite {name} has the WAL-reset fault (repaired in 3.51.3, 3.50.7 and 3.44.6): very rarely, a "
        "checkpoint that meets a commit loses data. The middleware's processes take turns, so none of theirs meet; "
        "let no other program write to the store while they run, or install a newer SQLite.",
        level=logging.INFO,
    )


def on_network(path: Path, kind: str | None) -> Advice | None:
    """SQLite needs shared memory and locks that hold, and network file systems give neither."""
    if kind is None:
        return None
    return Advice(
        text=f"The store {path} lies on a network file system ({kind}), where SQLite can lose or damage it as soon as "
        "two processes use it. Put data_dir on a local disk, or use PostgreSQL by the setting store."
    )


def weak_synchronous(level: int) -> Advice | None:
    """Each connection of the store sets it; something set it back."""
    if level >= FULL:
        return None
    return Advice(
        text=f"SQLite's synchronous is {level} instead of FULL, though the store sets it: what was accepted last can "
        "be lost at a power cut. Find what sets it, such as a listener on the engine that was given as store."
    )


def no_log(mode: str) -> Advice | None:
    """SQLite keeps another journal where it cannot have a write-ahead log, and says nothing."""
    if mode == "wal":
        return None
    return Advice(
        text=f"SQLite keeps a journal of the kind {mode!r} instead of a write-ahead log, which this file system or VFS "
        "does not allow: writers and readers lock each other out. Put data_dir on a local disk."
    )


def long_log(size_bytes: int) -> Advice | None:
    """It can only be copied back when nobody reads an old state. We never do for longer than a question takes."""
    if size_bytes <= LONG_LOG_BYTES:
        return None
    return Advice(
        text=f"SQLite's write-ahead log has grown to {size_bytes // MIB:,} MiB: another program reads the store in a "
        "transaction that it does not end (an open shell, a backup that hangs). End it, and the log shrinks by itself."
    )


def no_fsync(ours: Mapping[str, str]) -> Advice | None:
    """The server does not flush at all."""
    if ours.get("fsync") != "off":
        return None
    return Advice(
        text="PostgreSQL runs with fsync = off: a crash of its machine can lose what was accepted, and damage the "
        "whole database. Set fsync = on."
    )


def no_full_pages(ours: Mapping[str, str]) -> Advice | None:
    """A page that was half written when the power went cannot be repaired."""
    if ours.get("full_page_writes") != "off":
        return None
    return Advice(
        text="PostgreSQL runs with full_page_writes = off: a crash of its machine can damage the database beyond "
        "repair, unless its file system never writes half a page. Set full_page_writes = on."
    )


def weak_commit(ours: Mapping[str, str], default: Mapping[str, str]) -> Advice | None:
    """The store asks for flushed commits itself; what the server or the user is set to shows where that is lost."""
    if ours.get("synchronous_commit") in WEAK_COMMITS:
        return Advice(
            text=f"PostgreSQL's synchronous_commit is {ours['synchronous_commit']} for the store's own connection: "
            "what was accepted last can be lost in a crash or a failover. Set it to on, for the user or the server."
        )
    if default.get("synchronous_commit") in WEAK_COMMITS:
        return Advice(
            text=f"PostgreSQL's synchronous_commit is {default['synchronous_commit']} by default. The store sets it to "
            "on for its own connection; a pooler that shares connections between transactions would lose that. "
            "Then set it for the user.",
            level=logging.INFO,
        )
    return None
