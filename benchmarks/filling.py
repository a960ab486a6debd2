"""Stores that are filled beforehand: one with a thousand requests, and one with a million.

They are made when the first part asks for them, and serve all that ask: a million records take minutes to make. All of
them belong to one owner, and ended well.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from types import TracebackType

from bgrs_middleware.models import Captured, Rerun, Status, new_rid
from bgrs_middleware.orders import Add, Claim, Finish
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores import make_store

from .report import Report

OWNER = "somebody"

FEW = 1_000
SPAN_SECONDS = 20 * 86_400
"""How old the oldest record is: not as old as retention allows."""

BATCH = 5_000
SEALED_BYTES = 600
"""About what a request with ten headers and a small body takes, sealed."""

_CONTENT = b"{}"
CAPTURED = Captured(
    status=200,
    headers=((b"content-type", b"application/json"), (b"content-length", b"%d" % len(_CONTENT))),
    length=len(_CONTENT),
    sha256=hashlib.sha256(_CONTENT).hexdigest(),
    inline=_CONTENT,
)


class Filled:
    """The two stores, in the folders `few` and `many` of `data`, until the end of a `with` block.

    Parameters:
        folder: on a real disk.
        records: how many the large store has.
    """

    def __init__(self, folder: str, records: int) -> None:
        self.records = records
        self._folder = folder
        self._made: tempfile.TemporaryDirectory[str] | None = None
        self._rids: dict[str, list[str]] = {}

    def __enter__(self) -> Filled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made is not None:
            self._made.cleanup()

    @property
    def data(self) -> str:
        """The folder that holds the folders of both stores."""
        if self._made is None:
            self._made = tempfile.TemporaryDirectory(dir=self._folder)
        return self._made.name

    def make(self, report: Report) -> dict[str, list[str]]:
        """Fill both stores, unless they are; the rids in each, oldest first."""
        if not self._rids:
            started = time.perf_counter()
            counts = {"few": FEW, "many": self.records}
            self._rids = {name: fill(os.path.join(self.data, name), count) for name, count in counts.items()}
            report.remark(f"{sum(counts.values()):,} records were made in {time.perf_counter() - started:.0f} s")
        return self._rids


def fill(data_dir: str, count: int) -> list[str]:
    """Make a store with so many requests that another process ran to their end; their rids."""
    store = make_store(Settings(data_dir=data_dir))
    store.open()
    sealed = os.urandom(SEALED_BYTES)
    rids: list[str] = []
    while len(rids) < count:
        now = time.time() - SPAN_SECONDS * (1 - len(rids) / count)
        orders = [_order(new_rid(), sealed, now + number) for number in range(min(BATCH, count - len(rids)))]
        claim = Claim(worker="elsewhere", limit=len(orders), now=now, lease_until=now + 60.0)
        with store.transaction() as transaction:
            transaction.add(orders)
            transaction.claim([claim])
            transaction.finish([_end(order.rid, now) for order in orders])
        rids += [order.rid for order in orders]
    store.close()
    return rids


def _end(rid: str, now: float) -> Finish:
    return Finish(rid=rid, worker="elsewhere", status=Status.FINISHED, now=now, progress=100.0, captured=CAPTURED)


def _order(rid: str, sealed: bytes, now: float) -> Add:
    return Add(
        rid=rid,
        owner=OWNER,
        method="POST",
        name="/v2.5/reports?bgrs=yes&month=2017-12",
        type="POST_V2_5_REPORTS",
        now=now,
        sealed_request=sealed,
        request_body_name=None,
        rerun=Rerun.SAFE,
        max_run_seconds=21_600.0,
        retention_days=30.0,
        max_queued=10 * BATCH,
        max_queued_per_caller=10 * BATCH,
    )
