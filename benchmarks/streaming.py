"""(c) A large streamed response: captured beside a plain file write, served beside Starlette's FileResponse.

Capturing is measured in a process without a server (`capturing.py`), because the loop's stalls and the memory are to
be the middleware's own; serving behind uvicorn, to a client that throws away what it gets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from statistics import median

from .load import Address, LoadError, ask, download, request
from .machine import MIB, memory_mib, reset_peak_memory
from .report import Report, at_least, at_most, median_ratio
from .served import PIECE
from .servers import Server, serving

CAPTURE_TARGET = at_least(0.5)
STALL_TARGET = at_most(20.0, "ms")
SERVE_TARGET = at_least(3.0)
MEMORY_TARGET = at_most(32.0, "MiB")

CAPTURE_SECONDS = 600.0


def run(report: Report, folder: str, *, rounds: int, length: int) -> None:
    """Measure and report.

    Parameters:
        folder: on a real disk.
        rounds: how often each way is measured.
        length: bytes of the response; a multiple of 64 KiB.
    """
    report.title(f"(c) A streamed response of {length / MIB:,.0f} MiB in pieces of 64 KiB; {rounds} rounds, medians")
    _capture(report, folder, rounds, length)
    _serve(report, folder, rounds, length)


def _capture(report: Report, folder: str, rounds: int, length: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as data:
        command = [sys.executable, "-m", "benchmarks.capturing", data, str(rounds), str(length)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=CAPTURE_SECONDS)
    measured = json.loads(ended.stdout)
    plain, captured = measured["plain"], measured["captured"]
    ratio = median_ratio(captured, plain)
    report.figure("a plain file write, flushed at the end, MiB/s", f"{median(plain):,.0f}")
    report.figure("captured, from the request to the record's end, MiB/s", f"{median(captured):,.0f}")
    report.figure("captured, a plain write = 1", f"{ratio:.2f}", ratio, CAPTURE_TARGET)
    report.figure("longest stall of the loop while a thread writes plainly", f"{max(measured['plain_stalls']):.1f} ms")
    worst = max(measured["stalls"])
    report.figure("longest stall of the loop while capturing", f"{worst:.1f} ms", worst, STALL_TARGET)
    grown = measured["memory"]
    report.figure("memory grown while capturing, at its peak", f"{grown:.1f} MiB", grown, MEMORY_TARGET)


def _serve(report: Report, folder: str, rounds: int, length: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as data:
        plain = os.path.join(data, "plain")
        with open(plain, "wb") as file:
            for _ in range(length // len(PIECE)):
                file.write(PIECE)
        with serving("streaming", data, length=length, plain=plain) as server:
            rid = _captured_rid(server.address)
            ours, theirs, grown = _downloads(server, f"/bgrs/{rid}/result", rounds, length)
    ratio = median_ratio(ours, theirs)
    report.figure("served by Starlette's FileResponse, MiB/s", f"{median(theirs):,.0f}")
    report.figure("served by bgrs_middleware, MiB/s", f"{median(ours):,.0f}")
    report.figure("served, FileResponse = 1", f"{ratio:.2f}", ratio, SERVE_TARGET)
    report.figure("memory grown while serving, at its peak", f"{grown:.1f} MiB", grown, MEMORY_TARGET)


def _captured_rid(address: Address) -> str:
    """Let the response be captured; the id of the request."""
    _, body = ask(address, request("GET", "/stream?bgrs=yes"))
    rid: str = json.loads(body)["request"]
    for _ in range(20):
        _, body = ask(address, request("GET", f"/bgrs/{rid}?wait_for=20"), timeout_seconds=60.0)
        status = json.loads(body)[0]["status_name"]
        if status == "finished":
            return rid
        if status not in ("queued", "running"):
            break
    raise LoadError(f"the response was not captured: {body[:500]!r}")


def _downloads(server: Server, result: str, rounds: int, length: int) -> tuple[list[float], list[float], float]:
    """MiB/s of ours and of FileResponse's, and by how many MiB the server grew while it served ours."""
    ours: list[float] = []
    theirs: list[float] = []
    grown = 0.0
    ask(server.address, request("GET", result, "range: bytes=0-1023\r\n"))
    for _ in range(rounds):
        theirs.append(_download(server.address, "/file", length))
        before = memory_mib(server.pid, "VmRSS")
        reset_peak_memory(server.pid)
        ours.append(_download(server.address, result, length))
        grown = max(grown, memory_mib(server.pid, "VmHWM") - before)
    return ours, theirs, grown


def _download(address: Address, target: str, length: int) -> float:
    got, seconds = download(address, request("GET", target))
    if got != length:
        raise LoadError(f"{target}: {got} bytes instead of {length}")
    return got / MIB / seconds
