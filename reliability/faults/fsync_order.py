"""The order in which a live server flushes and answers, by strace.

Each 202 leaves after the fdatasync that covers the whole transaction with its row; and, where its body is a file, after
that was flushed, named, and its folder flushed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..card import Card
from ..sizes import Size, Sizes
from ..stage import GATEWAYS, Nurseries, Stage
from ..trace import CannotTrace, Flushed, read, traced

SIZES = {"traced_accepts": Size(of="202s whose order is looked at", fast=1_000, full=10_000)}

CLIENTS = 16
AT_A_TIME = 1_000
BODY_BYTES = 70_000
EVERY_NTH_WITH_BODY = 20
ROW = "fsync order: each 202 after the flush of its row"
BODY = "fsync order: each 202 after the flush of its body's file"


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Trace so many accepts, half of them with each gateway."""
    each = -(-sizes["traced_accepts"] // len(GATEWAYS))
    asked: list[tuple[bytes, bool]] = []
    flushed = Flushed()
    try:
        with Nurseries() as nurseries:
            for gateway in GATEWAYS:
                # Nothing runs: what is written belongs to the accepts.
                settings = {"executor": "worker", "max_queued": "1000000"}
                with Stage(folder / gateway, gateway, nurseries, **settings) as stage:
                    asked += _trace(stage, each, flushed)
    except CannotTrace as error:
        card.not_run(ROW, str(error))
        card.not_run(BODY, str(error))
        return
    missing = [rid for rid, _ in asked if rid not in flushed.rows]
    unnamed = [rid for rid, has_body in asked if has_body and rid not in flushed.bodies]
    card.remarks([f"{rid.decode()}: no flush was seen before its 202" for rid in missing + unnamed])
    card.remarks([f"{rid.decode()}: its 202 was not seen to leave" for rid, _ in asked if rid not in flushed.answered])
    note = f"202s to {CLIENTS} clients, ASGI and WSGI"
    card.line(ROW, n=len(asked), failures=len(missing), note=note)
    card.line(BODY, n=sum(has_body for _, has_body in asked), failures=len(unnamed), note=note)


def _trace(stage: Stage, total: int, flushed: Flushed) -> list[tuple[bytes, bool]]:
    """Some at a time, because what strace writes is large."""
    asked: list[tuple[bytes, bool]] = []
    server = stage.web()
    with stage.client() as client:
        client.call("GET", "/bgrs")
    for first in range(0, total, AT_A_TIME):
        file = stage.folder / "trace"
        with traced(server.pid, file):
            asked += _ask(stage, range(first, min(first + AT_A_TIME, total)))
        with file.open("rb") as lines:
            flushed.add(read(line.rstrip() for line in lines))
        file.unlink()
    return asked


def _ask(stage: Stage, numbers: range) -> list[tuple[bytes, bool]]:
    """Ask for so many, 16 at a time; the rids, and whether their body is a file."""
    shares = [numbers[start::CLIENTS] for start in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        return [one for each in threads.map(lambda share: _ask_share(stage, share), shares) for one in each]


def _ask_share(stage: Stage, numbers: range) -> list[tuple[bytes, bool]]:
    asked: list[tuple[bytes, bool]] = []
    with stage.client() as client:
        for number in numbers:
            has_body = number % EVERY_NTH_WITH_BODY == 0
            rid = client.ask("POST", "/quick", bytes(BODY_BYTES) if has_body else None)
            asked.append((rid.encode(), has_body))
    return asked
