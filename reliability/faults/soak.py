"""A server at half of its load, for as long as it is given; its records are kept for seconds and then removed.

Nothing of it grows: neither its memory, nor its descriptors, nor its threads, nor the log of the store. The slopes are
of the second half, when what is filled once is full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgrs_middleware.stores.sql.sqlite import COPY_BACK_PAGES, LOG_LIMIT_BYTES

from ..card import Card
from ..client import Client
from ..load import Asked, Load
from ..sizes import Size, Sizes
from ..stage import Stage

SIZES = {
    "soak_seconds": Size(of="seconds at half load", fast=16, full=1_800),
    # A short soak sees steps, not slopes: there, only what runs away is found.
    "soak_tolerance": Size(of="times what may be left over of a slope", fast=10, full=1),
}

CLIENTS = 8
PROBE_SECONDS = 2.0
LOOK_SECONDS = 0.5
KIB = 1024
PAGE_BYTES = 4 * KIB
MIB = 1024 * 1024

SETTINGS = {"retention_days": "0.00005", "sweep_seconds": "1", "max_queued": "1000000", "min_free_bytes": "0"}
"""Kept for four seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """Something of a process that must not grow.

    `may_grow` is by how much it may have grown at the end of the second half, by its slope.
    """

    read: Callable[[Path, Path], float]
    unit: str
    may_grow: float


def _status(name: str) -> Callable[[Path, Path], float]:
    """A line of /proc/<pid>/status; what is in KiB there is in MiB here."""

    def read(process: Path, _: Path) -> float:
        for line in (process / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                words = line.split()
                return float(words[1]) / (KIB if len(words) > 2 else 1)
        raise ValueError(f"no {name} of {process}")

    return read


def _descriptors(process: Path, _: Path) -> float:
    return len(list((process / "fd").iterdir()))


def _log_of_store(_: Path, data: Path) -> float:
    """What it has at least before it is copied back is no growth, however slowly it comes to that."""
    return max((data / "bgrs.sqlite3-wal").stat().st_size, COPY_BACK_PAGES * PAGE_BYTES) / MIB


MEASURES: Mapping[str, _Measure] = {
    "memory": _Measure(read=_status("VmRSS"), unit="MiB", may_grow=3.0),
    "descriptors": _Measure(read=_descriptors, unit="", may_grow=2.0),
    "threads": _Measure(read=_status("Threads"), unit="", may_grow=2.0),
    "the store's log": _Measure(read=_log_of_store, unit="MiB", may_grow=2.0),
}


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Find out what it can do, and then ask for half of that."""
    with Stage(folder, "asgi", None, **SETTINGS) as stage:
        server = stage.web()
        most = Load(stage.client, CLIENTS)
        with most.running(_use) as heard:
            time.sleep(PROBE_SECONDS)
        per_second = len(heard.acknowledged) / PROBE_SECONDS / 2
        load = Load(stage.client, CLIENTS, per_second=per_second)
        with load.running(_use) as heard:
            looks = _watch(Path("/proc") / str(server.pid), stage.data, sizes["soak_seconds"])
    if heard.refused or heard.unanswered:
        card.remarks([f"{count} times {text}" for text, count in heard.refused.items()])
        card.remark(f"{heard.unanswered} were not answered")
    asked, missed = heard.asked, heard.refused.total() + heard.unanswered
    card.line("Soak at half load: every request is accepted", n=max(1, asked), failures=missed if asked else 1)
    for name, measure in MEASURES.items():
        _judge(card, name, measure, looks, sizes, per_second)
    longest = max(look["the store's log"] for _, look in looks) * MIB
    card.line(
        "and the store's log is bounded",
        n=len(looks),
        failures=sum(look["the store's log"] * MIB > LOG_LIMIT_BYTES for _, look in looks),
        note=f"longest {longest / MIB:.1f} MiB",
    )


def _use(client: Client, asked: Asked) -> None:
    """What a client does: waits for the end, and takes the result."""
    client.until_final(asked.rid)
    client.result(asked.rid)


def _watch(process: Path, data: Path, seconds: float) -> list[tuple[float, dict[str, float]]]:
    started = time.monotonic()
    looks: list[tuple[float, dict[str, float]]] = []
    while (now := time.monotonic() - started) < seconds:
        looks.append((now, {name: measure.read(process, data) for name, measure in MEASURES.items()}))
        time.sleep(LOOK_SECONDS)
    return looks


def _judge(
    card: Card,
    name: str,
    measure: _Measure,
    looks: Sequence[tuple[float, dict[str, float]]],
    sizes: Sizes,
    per_second: float,
) -> None:
    second_half = [(at, look[name]) for at, look in looks[len(looks) // 2 :]]
    seconds = second_half[-1][0] - second_half[0][0]
    growth = slope(second_half) * seconds
    has_grown = growth > measure.may_grow * sizes["soak_tolerance"]
    unit = f" {measure.unit}".rstrip()
    card.line(
        f"and {name}: no slope",
        n=len(second_half),
        failures=len(second_half) * has_grown,
        note=f"{second_half[-1][1]:.4g}{unit}, {growth:+.2g}{unit} in {seconds:.0f} s at {per_second:.0f} a second",
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line that fits best (least squares)."""
    middle_x, middle_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
