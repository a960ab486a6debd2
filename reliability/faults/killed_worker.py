"""SIGKILL of a `bgrs worker` in the middle of its work, while another one stands by.

A POST was started exactly once and becomes `lost`; a GET is started at most once more and finishes, as the attempt that
is recorded. The note has how long after the death a client saw that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..card import Card, spread
from ..client import Client
from ..evidence import answer
from ..sizes import Size, Sizes
from ..stage import Gateway, Nurseries, Process, Stage, under_both_gateways

SIZES = {"worker_kills": Size(of="kills of a worker, half of them with each gateway", fast=10, full=1_000)}

PATH = "/first"
HELD = ("POST", "GET") * 4
WORKING_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Look:
    """How long after the death a client saw the final state of a request, and what is wrong with it, if anything."""

    method: str
    seconds: float
    wrong: str


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Kill workers, under both gateways at a time: most of it is waiting."""
    kills = -(-sizes["worker_kills"] // 2)
    looks = under_both_gateways(lambda each, nurseries: _kill(folder / each, each, nurseries, kills))
    card.remarks([look.wrong for look in looks if look.wrong])
    for method, text in {"POST": "POST: one start, lost", "GET": "GET: two starts at most, finished"}.items():
        of_method = [look for look in looks if look.method == method]
        note = f"requests, in {2 * kills:,} kills; seen after {spread(look.seconds for look in of_method)}"
        failures = sum(bool(look.wrong) for look in of_method)
        card.line(f"SIGKILL of the worker, {text}", n=len(of_method), failures=failures, note=note)


def _kill(folder: Path, gateway: Gateway, nurseries: Nurseries, kills: int) -> list[_Look]:
    looks: list[_Look] = []
    with Stage(folder, gateway, nurseries, executor="worker", concurrency=str(len(HELD))) as stage:
        stage.web()
        worker = stage.worker()
        for _ in range(kills):
            worker = _kill_one(stage, worker, looks)
    return looks


def _kill_one(stage: Stage, worker: Process, looks: list[_Look]) -> Process:
    """Kill a worker that works on several requests; returns the one that took over."""
    with stage.client() as client:
        held = [(client.ask(method, PATH), method) for method in HELD]
    for rid, _ in held:
        stage.until_started(rid)
    successor = stage.worker()
    stage.until_ready(successor)
    time.sleep(random.uniform(0, WORKING_SECONDS))
    killed = time.monotonic()
    worker.kill()
    with ThreadPoolExecutor(len(held)) as threads:
        looks += threads.map(lambda one: _look(stage, one[0], one[1], killed), held)
    return successor


def _look(stage: Stage, rid: str, method: str, killed: float) -> _Look:
    with stage.client() as client:
        document = client.until_final(rid)
        seconds = time.monotonic() - killed
        wrong = "is not there" if document is None else _wrong(stage, client, document, method)
    return _Look(method, seconds, wrong and f"{stage.gateway} {method} {rid}: {wrong}")


def _wrong(stage: Stage, client: Client, document: Mapping[str, Any], method: str) -> str:
    rid, status, attempt = document["rid"], document["status_name"], int(document["attempt"])
    starts = stage.evidence.starts(rid)
    if method == "POST":
        return "" if (status, starts) == ("lost", [1]) else f"is {status}, started as {starts}"
    if (status, attempt, starts) != ("finished", 2, [1, 2]):
        return f"is {status} as attempt {attempt}, started as {starts}"
    body = client.result(rid).body
    return "" if body == b"".join(answer(rid, attempt, PATH)) else f"is served as {body!r}"
