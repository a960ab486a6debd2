"""(d) Status reads per second, of requests that ran elsewhere, with a million records and with a thousand.

One server answers for two stores, filled beforehand, and for a constant. It ran none of the requests itself, so every
answer comes from the store. Which requests are asked for is drawn from all of them, so that no cache is flattered.
"""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from itertools import repeat
from statistics import median

from bgrs_middleware.models import Captured, Rerun, Status, new_rid
from bgrs_middleware.orders import Add, Claim, Finish
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores import make_store

from .accepting import CONNECTIONS, WARM_UP_SECONDS
from .load import Load, request
from .report import Report, at_least, median_ratio
from .servers import serving

CONSTANT_TARGET = at_least(0.40)
SIZE_TARGET = at_least(0.9)

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

_HEADERS = "user-agent: python-httpx/0.28.1\r\naccept: application/json\r\naccept-encoding: identity\r\n"


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
        owner=None,
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


def _status_requests(path: str, rids: list[str]) -> Iterator[bytes]:
    """Status requests for rids drawn at random, for ever."""
    chosen = random.Random(2017).choices(rids, k=min(len(rids) * 10, 200_000))
    requests = [request("GET", f"{path}/{rid}", _HEADERS) for rid in chosen]
    while True:
        yield from requests


def run(report: Report, folder: str, *, rounds: int, seconds: float, records: int) -> None:
    """Measure and report.

    Parameters:
        folder: on a real disk.
        rounds: how often each is measured.
        seconds: how long each measurement takes.
        records: how many the large store has.
    """
    report.title(
        f"(d) Status reads, uvicorn, one process, {CONNECTIONS} connections; {rounds} rounds of {seconds:g} s, medians"
    )
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as data:
        started = time.perf_counter()
        asked = {
            "few": _status_requests("/few", fill(os.path.join(data, "few"), FEW)),
            "many": _status_requests("/many", fill(os.path.join(data, "many"), records)),
            "constant": repeat(request("GET", "/constant", _HEADERS)),
            "bare": repeat(request("GET", "/bare", _HEADERS)),
        }
        report.remark(f"{FEW + records:,} records were made in {time.perf_counter() - started:.0f} s")
        with serving("reading", data, few="few", many="many") as server, Load(server.address, CONNECTIONS) as load:
            for requests in asked.values():
                load.rate(requests, 200, WARM_UP_SECONDS)
            for _ in range(rounds):
                for name in ("bare", "constant", "many", "few"):
                    rates.setdefault(name, []).append(load.rate(asked[name], 200, seconds))
    ratio = median_ratio(rates["many"], rates["constant"])
    by_size = median_ratio(rates["many"], rates["few"])
    many = f"status reads with {records:,} records"
    report.figure("a constant of the same bytes, requests per second", f"{median(rates['constant']):,.0f}")
    report.figure(f"status reads with {FEW:,} records, per second", f"{median(rates['few']):,.0f}")
    report.figure(f"{many}, per second", f"{median(rates['many']):,.0f}")
    report.figure(f"{many}, a constant of the same bytes = 1", f"{ratio:.3f}", ratio, CONSTANT_TARGET)
    report.figure(f"{many}, a constant of 18 bytes = 1", f"{median_ratio(rates['many'], rates['bare']):.3f}")
    report.figure(f"{many}, with {FEW:,} = 1", f"{by_size:.3f}", by_size, SIZE_TARGET)
