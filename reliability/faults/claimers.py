"""32 processes claim 100,000 queued requests, on SQLite and on PostgreSQL, as fast as they can.

No request is ever given to two of them, none is left out, and the store says of each who got it.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bgrs_middleware.errors import StoreUnavailable
from bgrs_middleware.models import Rerun, new_rid
from bgrs_middleware.orders import Add, Added, Claim
from bgrs_middleware.stores.sql import SqlStore

from .. import borrowed
from ..card import Card
from ..sizes import Size, Sizes

SIZES = {
    "claimed_rows": Size(of="queued requests, on each database", fast=2_000, full=100_000),
    "claimers": Size(of="processes that claim them", fast=8, full=32),
}

ADDED_AT_ONCE = 1_000
MOST_AT_ONCE = 8
WAIT_SECONDS = 600
SPAWN = multiprocessing.get_context("spawn")


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Fill each database, and let the claimers loose on it."""
    rows, claimers = sizes["claimed_rows"], sizes["claimers"]
    _claim_all(card, "SQLite", f"sqlite:///{folder / 'data' / 'bgrs.sqlite3'}", folder / "sqlite", rows, claimers)
    with borrowed.postgres() as server:
        _claim_all(card, "PostgreSQL", server.url(driver="postgresql"), folder / "postgres", rows, claimers)


def _claim_all(card: Card, database: str, url: str, folder: Path, rows: int, claimers: int) -> None:
    folder.mkdir()
    store = SqlStore(url)
    store.open()
    rids = list(_filled(store, rows))
    barrier = SPAWN.Barrier(claimers)
    processes = [
        SPAWN.Process(target=claim_until_empty, args=(barrier, url, str(number), str(folder / str(number))))
        for number in range(claimers)
    ]
    started = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_SECONDS)
    seconds = time.monotonic() - started
    codes = [process.exitcode for process in processes]
    if any(codes):
        card.remark(f"claimers ended with {codes}")
    got = {path.name: path.read_text().split() for path in folder.iterdir()}
    failures = _check(card, store, rids, got) + sum(map(bool, codes))
    store.close()
    shares = sorted(len(mine) for mine in got.values())
    card.line(
        f"{claimers} claimers on {database}: each request to exactly one",
        n=rows,
        failures=min(rows, failures),
        note=f"requests, {shares[0]:,} to {shares[-1]:,} for each claimer, in {seconds:.0f} s",
    )


def _filled(store: SqlStore, rows: int) -> Iterator[str]:
    orders = (_order() for _ in range(rows))
    while batch := list(islice(orders, ADDED_AT_ONCE)):
        with store.transaction() as transaction:
            assert set(transaction.add(batch)) == {Added.ADDED}
        yield from (order.rid for order in batch)


def _order() -> Add:
    return Add(
        rid=new_rid(),
        owner=None,
        method="POST",
        name="/quick?bgrs=yes",
        type="POST_QUICK",
        now=time.time(),
        sealed_request=b"sealed",
        request_body_name=None,
        rerun=Rerun.SAFE,
        max_run_seconds=3_600.0,
        retention_days=30.0,
        max_queued=10**9,
        max_queued_per_caller=10**9,
    )


def claim_until_empty(barrier: Barrier, url: str, worker: str, path: str) -> None:
    """What each process does: a few at a time, until nothing is queued; writes down what it got."""
    store = SqlStore(url)
    store.open()
    barrier.wait(WAIT_SECONDS)
    with open(path, "w") as mine:
        while claimed := _claimed(store, worker) or store.count_queued():
            if not isinstance(claimed, int):
                mine.writelines(f"{rid}\n" for rid in claimed)
    store.close()


def _claimed(store: SqlStore, worker: str) -> list[str]:
    order = Claim(worker=worker, limit=random.randint(1, MOST_AT_ONCE), now=time.time(), lease_until=3_600.0)
    try:
        with store.transaction() as transaction:
            [claimed] = transaction.claim([order])
    except StoreUnavailable:
        # It had to wait too long for its turn, and tries again, as a server does.
        return []
    return [one.record.rid for one in claimed]


def _check(card: Card, store: SqlStore, rids: list[str], got: dict[str, list[str]]) -> int:
    """How many were given to another number of claimers than one, or to another one than the store says."""
    times = Counter(rid for mine in got.values() for rid in mine)
    whose = {rid: worker for worker, mine in got.items() for rid in mine}
    failures = [f"{rid} was claimed {times[rid]} times" for rid in rids if times[rid] != 1]
    for start in range(0, len(rids), ADDED_AT_ONCE):
        page = rids[start : start + ADDED_AT_ONCE]
        found = store.get(page)
        failures += [
            f"{rid} is recorded as {found.get(rid)}"
            for rid in page
            if times[rid] == 1 and (rid not in found or (found[rid].worker, found[rid].attempt) != (whose[rid], 1))
        ]
    card.remarks(failures)
    return len(failures)
