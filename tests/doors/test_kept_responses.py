"""A response that is on disk when its process ends and the store is away: the next process keeps it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bgrs_middleware.stores.sql import SqlStore

from .bad_disks import url_of

SHORT = {"lease_seconds": 3.0, "heartbeat_seconds": 0.5, "sweep_seconds": 0.5, "drain_seconds": 0.1}


def until_sealed(data_dir: Path, rid: str) -> Path:
    body = data_dir / "bodies" / rid[:2] / f"{rid}.1.result"
    deadline = time.monotonic() + 60
    while not body.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return body


def test_what_could_not_be_recorded_before_the_end_is_recorded_after_it(open_door, data_dir: Path) -> None:
    ending = open_door(store=SqlStore(url_of(data_dir), busy_seconds=0.05), **SHORT)
    rid = ending.hold("a", "length:100000", "send:100000")
    with closing(sqlite3.connect(data_dir / "bgrs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ending.release("a")
        body = until_sealed(data_dir, rid)
        ending.close()
        other.execute("ROLLBACK")
    assert body.exists()
    following = open_door(**SHORT)
    result = following.result(rid)
    assert (result.status, result.body) == (200, b"x" * 100_000)
    assert following.status(rid)["attempt"] == "1"
