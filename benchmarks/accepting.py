"""(b) Accepted and fsynced requests per second, and accepted to finished, behind uvicorn with 64 connections.

Beside each measurement of ours stands the same server's constant from raw ASGI: the very bytes that ours answers, sent
again. Nothing is accepted without a flush to disk: commits are counted, and system calls where `strace` may look.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from .load import Load, LoadError, request
from .report import Report, at_least, median_ratio
from .servers import Server, serving

CONNECTIONS = 64
CONCURRENCIES = (4, 64)
"""Replays at a time: the default, and as many as there are connections."""

MAX_WARM_UP = 1_000
FINISH_SECONDS = 120.0
TRACE_SECONDS = 2.0
WARM_UP_SECONDS = 0.5

ACCEPT_TARGET = at_least(0.25)

# What httpx sends for a small JSON body.
_HEADERS = (
    "accept: */*\r\n"
    "accept-encoding: gzip, deflate\r\n"
    "connection: keep-alive\r\n"
    "user-agent: python-httpx/0.28.1\r\n"
    "content-type: application/json\r\n"
)
_BODY = b'{"report": "monthly", "month": "2017-12", "format": "csv"}'


def _requests(target: str) -> Iterator[bytes]:
    """The same POST with seven headers and a small body, for ever."""
    return repeat(request("POST", target, _HEADERS, _BODY))


def run(report: Report, folder: str, *, rounds: int, seconds: float) -> None:
    """Measure and report.

    Parameters:
        folder: on a real disk.
        rounds: how often the constants and ours are measured.
        seconds: how long each measurement takes.
    """
    report.title(
        f"(b) Accepting, uvicorn, one process, {CONNECTIONS} connections, SQLite synchronous=FULL; "
        f"{rounds} rounds of {seconds:g} s, medians"
    )
    with (
        tempfile.TemporaryDirectory(dir=folder) as data,
        serving("accepting", data, executor="worker", concurrency=1) as server,
    ):
        _accept(report, server, rounds, seconds)
        _trace(report, server, folder)
    for concurrency in CONCURRENCIES:
        with (
            tempfile.TemporaryDirectory(dir=folder) as data,
            serving("accepting", data, executor="embedded", concurrency=concurrency) as server,
        ):
            _run(report, server, rounds, seconds, concurrency)


def _accept(report: Report, server: Server, rounds: int, seconds: float) -> None:
    bares, constants, accepts, per_commit = [], [], [], []
    with Load(server.address, CONNECTIONS) as load:
        _warm_up(load)
        for _ in range(rounds):
            bares.append(load.rate(_requests("/bare"), 200, seconds))
            constants.append(load.rate(_requests("/constant"), 202, seconds))
            before = server.get("/counts")["commits"]
            counted, elapsed = load.run(_requests("/work?bgrs=yes"), 202, seconds=seconds)
            accepts.append(counted / elapsed)
            per_commit.append(counted / max(1, server.get("/counts")["commits"] - before))
    ratio = median_ratio(accepts, constants)
    report.figure("a constant of the same bytes, requests per second", f"{median(constants):,.0f}")
    report.figure("accepted and fsynced, requests per second", f"{median(accepts):,.0f}")
    report.figure("requests per commit", f"{median(per_commit):.1f}")
    report.figure("accepted and fsynced, a constant of the same bytes = 1", f"{ratio:.3f}", ratio, ACCEPT_TARGET)
    report.figure("accepted and fsynced, a constant of 18 bytes = 1", f"{median_ratio(accepts, bares):.3f}")


def _run(report: Report, server: Server, rounds: int, seconds: float, concurrency: int) -> None:
    constants, runs = [], []
    with Load(server.address, CONNECTIONS) as load:
        _warm_up(load)
        # So many that accepting and finishing them takes about the time of a measurement.
        count = 500
        for _ in range(rounds):
            _wait_until_finished(server, None)
            constants.append(load.rate(_requests("/constant"), 202, seconds))
            runs.append(_accepted_to_finished(load, server, count))
            count = max(500, int(median(runs) * seconds))
    ratio = median_ratio(runs, constants)
    name = f"accepted to finished, trivial endpoint, {concurrency} at a time"
    report.figure(f"{name}, per second", f"{median(runs):,.0f}")
    report.figure(f"{name}, a constant of the same bytes = 1", f"{ratio:.3f}")


def _warm_up(load: Load) -> None:
    load.run(_requests("/work?bgrs=yes"), 202, seconds=WARM_UP_SECONDS, count=MAX_WARM_UP)
    load.rate(_requests("/constant"), 202, WARM_UP_SECONDS)


def _accepted_to_finished(load: Load, server: Server, count: int) -> float:
    """Requests per second from the first one sent to the last one finished."""
    before = server.get("/counts")["finished"]
    started = perf_counter()
    load.run(_requests("/work?bgrs=yes"), 202, count=count)
    return count / (_wait_until_finished(server, before + count) - started)


def _wait_until_finished(server: Server, wanted: int | None) -> float:
    """Wait until so many are finished (None: until none more is), and return the clock's time of the last one."""
    until = perf_counter() + FINISH_SECONDS
    seen = -1
    while perf_counter() < until:
        counts = server.get("/counts")
        if counts["finished"] == (seen if wanted is None else wanted):
            return float(counts["at"])
        seen = counts["finished"]
        sleep(0.2)
    raise LoadError(f"{seen} of {wanted} background requests finished within {FINISH_SECONDS:g} s")


def _trace(report: Report, server: Server, folder: str) -> None:
    """Count the flushes that the kernel is asked for, in a measurement of its own: tracing slows the server."""
    if shutil.which("strace") is None:
        report.remark("fsyncs were not counted: strace is not installed (commits were; SQLite flushes at each)")
        return
    with tempfile.NamedTemporaryFile(dir=folder) as summary:
        command = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", summary.name, "-p", str(server.pid)]
        tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            sleep(1.0)
            if tracer.poll() is not None:
                report.remark("fsyncs were not counted: strace may not look into processes here")
                return
            before = server.get("/counts")["commits"]
            with Load(server.address, CONNECTIONS) as load:
                accepted, _ = load.run(_requests("/work?bgrs=yes"), 202, seconds=TRACE_SECONDS)
            commits = server.get("/counts")["commits"] - before
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
        flushes = sum(
            int(line.split()[3])
            for line in Path(summary.name).read_text().splitlines()
            if line.split()[-1:] in (["fsync"], ["fdatasync"])
        )
    report.figure("under strace: accepted / commits / fsyncs", f"{accepted:,} / {commits:,} / {flushes:,}")
