"""The wall clock is set by an hour and by a year, forwards and backwards, while servers run.

No lease ends early, and no dead worker keeps its own for that. Nothing is removed, expires or is wiped: neither what is
finished, nor what is queued, nor the request of a lost one that its owner may still retry.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from ..card import Card
from ..client import Client
from ..evidence import answer
from ..sizes import Size, Sizes
from ..stage import ROOT, Process, Stage, StageError

SIZES = {"clock_steps": Size(of="steps of the clock", fast=4, full=100)}

HOUR = 3_600.0
YEAR = 365.0 * 86_400.0
STEPS = (HOUR, -HOUR, YEAR, -YEAR, YEAR + HOUR, -YEAR - HOUR)
STEPS_PER_STAGE = 10
SETTLE_SECONDS = 2.0
"""After a step: a few heartbeats, and a few rounds of all sweepers."""

FINISHED = 20
QUEUED = 10
PERIODS = {"lease_seconds": "5", "heartbeat_seconds": "0.5", "sweep_seconds": "0.5"}
DEAD_SECONDS = 15.0
"""Lease and sweep, and as much again for a busy machine."""


@dataclass(slots=True)
class _Found:
    """What was looked at, and what was wrong with it."""

    leases: int = 0
    records: int = 0
    early: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    deaths: int = 0
    unseen: list[str] = field(default_factory=list)


class Clock:
    """The wall clock of what is started during `held`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0.0
        file.write_bytes(struct.pack("d", 0.0))

    def step(self, seconds: float) -> None:
        """Set it forwards or backwards."""
        self._offset += seconds
        with self._file.open("r+b") as opened:
            opened.write(struct.pack("d", self._offset))

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is started in the block, and its children, go by it."""
        before = {name: os.environ.get(name) for name in ("PYTHONPATH", "CLOCK_STEP")}
        paths = [str(ROOT / "reliability" / "stepped"), *filter(None, [before["PYTHONPATH"]])]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "CLOCK_STEP": str(self._file)}
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Step by step, a few on each store."""
    steps, found = list(islice(cycle(STEPS), sizes["clock_steps"])), _Found()
    for first in range(0, len(steps), STEPS_PER_STAGE):
        place = folder / f"from-{first}"
        place.mkdir()
        clock = Clock(place / "clock")
        with clock.held(), Stage(place / "stage", "asgi", None, min_free_bytes="0", **PERIODS) as stage:
            _step_on_one_store(stage, clock, steps[first : first + STEPS_PER_STAGE], found)
    card.remarks(found.early + found.gone + found.unseen)
    note = f"leases looked at, after {len(steps)} steps"
    card.line("Clock steps: no lease ends early", n=found.leases, failures=len(found.early), note=note)
    note = f"records looked at, after {len(steps)} steps"
    card.line("and nothing is removed, expires or is wiped", n=found.records, failures=len(found.gone), note=note)
    card.line("and the dead are seen", n=found.deaths, failures=len(found.unseen), note="by their leases alone")


def _step_on_one_store(stage: Stage, clock: Clock, steps: list[float], found: _Found) -> None:
    stage.web(executor="worker")
    with stage.client() as client:
        lost = _lost(stage, client)
        workers = [stage.worker("--concurrency", "2") for _ in range(2)]
        _until_clock_steps(client, clock)
        finished = [client.ask("GET", "/quick") for _ in range(FINISHED)]
        for rid in finished:
            client.until_final(rid)
        running = [client.ask("POST", "/work") for _ in range(4)]
        for rid in running:
            stage.until_started(rid)
        queued = [client.ask("POST", "/quick") for _ in range(QUEUED)]
        for step in steps:
            clock.step(step)
            time.sleep(SETTLE_SECONDS)
            _look(stage, client, found, running, queued, finished)
        found.records += 1
        if client.call("POST", f"/bgrs/{lost}/retry").status != 202:
            found.gone.append(f"the request of {lost}, which was lost, is no longer kept")
        stage.let_go("/work")
        for rid in [*running, *queued, lost]:
            document = client.until_final(rid)
            if document is None or document["status_name"] != "finished":
                found.gone.append(f"{rid} came to be {document}")
        _die_unseen(stage, client, clock, workers, found)


def _lost(stage: Stage, client: Client) -> str:
    """A request that its owner may retry for a day."""
    doomed = stage.worker()
    rid = client.ask("POST", "/first")
    stage.until_started(rid)
    doomed.kill()
    document = client.until_final(rid)
    if document is None or document["status_name"] != "lost":
        raise StageError(f"{rid} should be lost, and is {document}")
    return rid


def _until_clock_steps(client: Client, clock: Clock) -> None:
    """Make sure that the servers go by the clock that is stepped: they would stand all that follows otherwise."""
    clock.step(-YEAR)
    client.call("GET", "/bgrs")
    document = client.find(client.ask("GET", "/quick"))
    clock.step(YEAR)
    year = time.gmtime(time.time() - YEAR).tm_year
    if document is None or not document["created_dt"].startswith(str(year)):
        raise StageError(f"the clock cannot be set: {document} was made a year ago")


def _look(
    stage: Stage, client: Client, found: _Found, running: list[str], queued: list[str], finished: list[str]
) -> None:
    for rid in running:
        document = client.find(rid)
        found.leases += 1
        if document is None or (document["status_name"], stage.evidence.starts(rid)) != ("running", [1]):
            found.early.append(f"{rid} should be running, and is {document}: {client.details(rid)}")
    for rid in queued:
        document = client.find(rid)
        found.records += 1
        if document is None or document["status_name"] != "queued":
            found.gone.append(f"{rid} should be queued, and is {document}")
    for rid in random.sample(finished, len(finished)):
        result = client.result(rid)
        found.records += 1
        if (result.status, result.body) != (200, b"".join(answer(rid, 1, "/quick"))):
            found.gone.append(f"{rid} should be finished, and is {client.find(rid)}")


def _die_unseen(stage: Stage, client: Client, clock: Clock, workers: list[Process], found: _Found) -> None:
    """Without their locks, only their leases tell that workers are dead; and those end, whatever the clock says."""
    running = [client.ask("POST", "/held") for _ in range(2)]
    for rid in running:
        stage.until_started(rid)
    clock.step(-YEAR)
    for lock in (stage.data / "workers").glob("*.lock"):
        lock.unlink()
    for worker in workers:
        worker.kill()
    died = time.monotonic()
    for rid in running:
        document = client.until_final(rid)
        found.deaths += 1
        if document is None or document["status_name"] != "lost" or time.monotonic() > died + DEAD_SECONDS:
            found.unseen.append(f"{rid} is {document} after {time.monotonic() - died:.1f} s")
    clock.step(YEAR)
