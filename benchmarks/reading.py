"""(d) Status reads per second, of requests that ran elsewhere, with a million records and with a thousand.

One server answers for two stores, filled beforehand, and for a constant. It ran none of the requests itself, so every
answer comes from the store. Which requests are asked for is drawn from all of them, so that no cache is flattered.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import repeat
from statistics import median

from .accepting import CONNECTIONS, WARM_UP_SECONDS
from .filling import FEW, Filled
from .load import Load, request
from .report import Report, at_least, median_ratio
from .servers import serving

CONSTANT_TARGET = at_least(0.40)
SIZE_TARGET = at_least(0.9)

_HEADERS = "user-agent: python-httpx/0.28.1\r\naccept: application/json\r\naccept-encoding: identity\r\n"


def _status_requests(path: str, rids: list[str]) -> Iterator[bytes]:
    """Status requests for rids drawn at random, for ever."""
    chosen = random.Random(2017).choices(rids, k=min(len(rids) * 10, 200_000))
    requests = [request("GET", f"{path}/{rid}", _HEADERS) for rid in chosen]
    while True:
        yield from requests


def run(report: Report, filled: Filled, *, rounds: int, seconds: float) -> None:
    """Measure and report.

    Parameters:
        filled: the stores.
        rounds: how often each is measured.
        seconds: how long each measurement takes.
    """
    report.title(
        f"(d) Status reads, uvicorn, one process, {CONNECTIONS} connections; {rounds} rounds of {seconds:g} s, medians"
    )
    rates: dict[str, list[float]] = {}
    rids = filled.make(report)
    asked = {
        "few": _status_requests("/few", rids["few"]),
        "many": _status_requests("/many", rids["many"]),
        "constant": repeat(request("GET", "/constant", _HEADERS)),
        "bare": repeat(request("GET", "/bare", _HEADERS)),
    }
    with serving("reading", filled.data, few="few", many="many") as server, Load(server.address, CONNECTIONS) as load:
        for requests in asked.values():
            load.rate(requests, 200, WARM_UP_SECONDS)
        for _ in range(rounds):
            for name in ("bare", "constant", "many", "few"):
                rates.setdefault(name, []).append(load.rate(asked[name], 200, seconds))
    ratio = median_ratio(rates["many"], rates["constant"])
    by_size = median_ratio(rates["many"], rates["few"])
    many = f"status reads with {filled.records:,} records"
    report.figure("a constant of the same bytes, requests per second", f"{median(rates['constant']):,.0f}")
    report.figure(f"status reads with {FEW:,} records, per second", f"{median(rates['few']):,.0f}")
    report.figure(f"{many}, per second", f"{median(rates['many']):,.0f}")
    report.figure(f"{many}, a constant of the same bytes = 1", f"{ratio:.3f}", ratio, CONSTANT_TARGET)
    report.figure(f"{many}, a constant of 18 bytes = 1", f"{median_ratio(rates['many'], rates['bare']):.3f}")
    report.figure(f"{many}, with {FEW:,} = 1", f"{by_size:.3f}", by_size, SIZE_TARGET)
