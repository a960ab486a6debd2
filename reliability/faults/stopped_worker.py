"""SIGSTOP of a worker for longer than its lease; another one takes over; then SIGCONT.

The sleeper overwrites nothing of what came after it, though some of its work comes to an end just as it wakes up: each
request has one final state, with the answer of the attempt that is recorded. What still works stops by itself, within a
second. It is never put to sleep in the middle of a commit: see docs/reliability.md, "What is not covered".
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..card import Card, spread
from ..client import Client
from ..evidence import answer
from ..frozen import freeze
from ..sizes import Size, Sizes
from ..stage import PATIENCE_SECONDS, Gateway, Nurseries, Process, Stage, under_both_gateways

SIZES = {
    "worker_stops": Size(of="sleeps of a worker, half of them with each gateway", fast=6, full=500),
    # A machine that does more than this at the time may wake it late.
    "milliseconds_to_stop": Size(of="within which a sleeper that wakes up must stop", fast=10_000, full=1_000),
}

LEASES = {"lease_seconds": "3", "heartbeat_seconds": "0.25", "sweep_seconds": "0.25"}
LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class _Held:
    """A request that the sleeper holds, and what it works on when it wakes up.

    `first` goes on until it is told to stop. `done` may end as soon as it wakes up, and the other worker's second
    attempt ended long before. `race` may end then too, and so may the second attempt.
    """

    rid: str
    method: str
    path: str

    @property
    def goes_on(self) -> bool:
        return self.path == "/first"


@dataclass(frozen=True, slots=True)
class _Slept:
    """What became of the requests of one sleep: what is wrong with them, and how long the sleeper went on."""

    requests: int
    wrong: Sequence[str]
    seconds: Sequence[float | None]


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Put workers to sleep, under both gateways at a time: most of it is waiting."""
    sleeps, limit = -(-sizes["worker_stops"] // 2), sizes["milliseconds_to_stop"] / 1000
    found = under_both_gateways(lambda each, nurseries: _sleep(folder / each, each, nurseries, sleeps))
    wrong = [text for one in found for text in one.wrong]
    card.remarks(wrong)
    requests = sum(one.requests for one in found)
    note = f"requests, in {2 * sleeps:,} sleeps"
    card.line(
        "SIGSTOP beyond the lease: one final state, no overwrite",
        n=requests,
        failures=min(requests, len(wrong)),
        note=note,
    )
    seconds = [each for one in found for each in one.seconds]
    late = [each for each in seconds if each is None or each > limit]
    note = spread(each for each in seconds if each is not None)
    card.line(f"SIGCONT: the sleeper stops itself within {limit:g} s", n=len(seconds), failures=len(late), note=note)


def _sleep(folder: Path, gateway: Gateway, nurseries: Nurseries, sleeps: int) -> list[_Slept]:
    found: list[_Slept] = []
    with Stage(folder, gateway, nurseries, executor="worker", concurrency="8", **LEASES) as stage:
        stage.web()
        worker = stage.worker()
        for number in range(sleeps):
            worker, slept = _sleep_once(stage, worker, number)
            found.append(slept)
    return found


def _sleep_once(stage: Stage, sleeper: Process, number: int) -> tuple[Process, _Slept]:
    """Returns the worker that took over, too."""
    paths = ("/first", f"/done-{number}", f"/race-{number}")
    with stage.client() as client:
        held = [_Held(client.ask(method, path), method, path) for method in ("POST", "GET") for path in paths]
        for one in held:
            stage.until_started(one.rid)
        freeze(sleeper.pid, stage.data)
        successor = stage.worker()
        _until_taken_over(stage, client, held)
        stage.let_go(paths[1])
        settled = {one.rid: client.until_final(one.rid) for one in held if "race" not in one.path}
        woken = time.monotonic()
        sleeper.send(signal.SIGCONT)
        stage.let_go(paths[2])
        seconds = [_stopped_after(stage, one, woken) for one in held if one.goes_on]
        # When it has ended in order, it has tried to write all that it had.
        sleeper.send(signal.SIGTERM)
        code = sleeper.wait()
        wrong = [f"the sleeper ended with {code}: {sleeper.log()}"] * bool(code)
        for one in held:
            document = client.until_final(one.rid)
            if one.rid in settled and document != settled[one.rid]:
                wrong.append(f"{one} was {settled[one.rid]}, and is {document}")
            elif document is None or (text := _wrong(stage, client, one, document)):
                wrong.append(f"{one} {text if document else 'is not there'}")
    return successor, _Slept(len(held), wrong, seconds)


def _until_taken_over(stage: Stage, client: Client, held: Sequence[_Held]) -> None:
    for one in held:
        if one.method == "GET":
            stage.until_started(one.rid, times=2)
        else:
            client.until_final(one.rid)


def _stopped_after(stage: Stage, one: _Held, woken: float) -> float | None:
    while (stopped := stage.evidence.stopped_at(one.rid, 1)) is None:
        if time.monotonic() > woken + PATIENCE_SECONDS:
            return None
        time.sleep(LOOK_SECONDS)
    return stopped - woken


def _wrong(stage: Stage, client: Client, one: _Held, document: dict[str, Any]) -> str:
    status, starts, details = document["status_name"], stage.evidence.starts(one.rid), client.details(one.rid)
    if one.method == "POST":
        right = (status, starts, details.count("done")) == ("lost", [1], 0)
        return "" if right else f"is {status}, started as {starts}: {details}"
    body = client.result(one.rid).body
    right = (status, document["attempt"], starts, details.count("done")) == ("finished", "2", [1, 2], 1)
    return "" if right and body == b"".join(answer(one.rid, 2, one.path)) else f"is {document}, {starts}: {details}"
