"""A PostgreSQL that is restarted every 5 to 40 seconds under load, and one that falls silent; see each line.

Whoever was acknowledged is found, and finished, by exactly one start: a restart of the database is no death of a
worker. A request that was refused is not run. What runs goes on within 10 seconds, and no row stays as it was. Half of
the restarts are crashes ("immediate"), half of them break off what clients do ("fast"). A silent database, whose
connections stay open, keeps nobody waiting for ever.
"""

from __future__ import annotations

import random
import signal
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bgrs_middleware.stores.sql import SqlStore

from .. import borrowed
from ..card import Card, spread
from ..client import Client, NoAnswer, WrongAnswer
from ..load import Asked, Heard, Load
from ..sizes import Size, Sizes
from ..stage import PATIENCE_SECONDS, Stage

if TYPE_CHECKING:
    from postgres import PostgresServer

SIZES = {
    "postgres_restarts": Size(of="restarts, half of them with workers", fast=4, full=200),
    "shortest_life_ms": Size(of="shortest life of the database", fast=500, full=5_000),
    "longest_life_ms": Size(of="longest life of the database", fast=1_500, full=40_000),
    "silences": Size(of="times that the database falls silent", fast=1, full=20),
}

CLIENTS = 8
PER_SECOND = 100.0
"""Calls of all clients together: enough that a commit is on its way at any moment."""

LONGEST_AWAY_SECONDS = 1.0
LOOK_SECONDS = 0.02
RESUME_SECONDS = 10.0
SILENT_SECONDS = 35.0
"""Within which a silent database must be given up: twice what `stores/sql/silence.py` says, and a look after each."""

SHUTDOWNS = (signal.SIGQUIT, signal.SIGINT)
IN_DOUBT = "not known whether"
SETTINGS = {"max_queued": "1000000", "min_free_bytes": "0"}
PAGE = 500


class _Found:
    """What all stages found together."""

    def __init__(self) -> None:
        self.requests = 0
        self.wrong: list[str] = []
        self.refused = 0
        self.run_all_the_same = 0
        self.stuck: list[str] = []
        self.resumed: list[float] = []
        self.slow: list[str] = []


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Restart it under an embedded executor, then under workers; then let it fall silent."""
    found, restarts = _Found(), sizes["postgres_restarts"]
    lives = (sizes["shortest_life_ms"] / 1_000, sizes["longest_life_ms"] / 1_000)
    for executor, count in (("embedded", restarts - restarts // 2), ("worker", restarts // 2)):
        with borrowed.postgres() as server:
            store = server.url(driver="postgresql")
            with Stage(folder / executor, "asgi", None, store=store, executor=executor, **SETTINGS) as stage:
                _restart_under_load(card, stage, server, count, lives, found, workers=executor == "worker")
    _tell(card, restarts, found)
    _fall_silent(card, folder / "silent", sizes["silences"])


def _restart_under_load(
    card: Card,
    stage: Stage,
    server: PostgresServer,
    restarts: int,
    lives: tuple[float, float],
    found: _Found,
    *,
    workers: bool,
) -> None:
    stage.web()
    if workers:
        stage.until_ready(stage.worker())
    load = Load(stage.client, CLIENTS, per_second=PER_SECOND)
    with load.running() as heard:
        for shutdown in islice(cycle(SHUTDOWNS), restarts):
            time.sleep(random.uniform(*lives))
            server.stop(shutdown)
            time.sleep(random.uniform(0, LONGEST_AWAY_SECONDS))
            server.start()
            _resumes(stage, heard, found)
    card.remarks([f"{count} times {text}" for text, count in heard.refused.items()])
    _check(stage, heard, found)
    found.stuck += _stuck(server)


def _resumes(stage: Stage, heard: Heard, found: _Found) -> None:
    """How long it takes until something is accepted, and something is started; not the same, where a queue is long."""
    began, before, story = time.monotonic(), len(stage.evidence.started()), _Story()
    accepted = started = False
    with stage.client() as client:
        while not (accepted and started) and time.monotonic() < began + PATIENCE_SECONDS:
            if not accepted:
                try:
                    heard.acknowledged.append(Asked(client.ask("POST", "/quick"), "POST", time.monotonic()))
                    accepted = True
                    story.tell("accepted")
                except (NoAnswer, WrongAnswer) as error:
                    story.tell(str(error))
            if not started and len(stage.evidence.started()) > before:
                started = True
                story.tell("started")
            time.sleep(LOOK_SECONDS)
    found.resumed.append(time.monotonic() - began)
    if found.resumed[-1] > RESUME_SECONDS:
        found.slow.append(str(story))


class _Story:
    """What happened when, in words."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told: list[str] = []

    def tell(self, text: str) -> None:
        self._told.append(f"{time.monotonic() - self._began:.1f} s: {text}")

    def __str__(self) -> str:
        return "; ".join(self._told)


def _until_final(client: Client, rid: str) -> dict[str, Any] | None:
    """As `Client.until_final`, of a server that may say now and then that it has no database."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return client.until_final(rid)
        except WrongAnswer:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _check(stage: Stage, heard: Heard, found: _Found) -> None:
    found.requests += len(heard.acknowledged)
    with stage.client() as client:
        for asked in heard.acknowledged:
            if wrong := _wrong(stage, client, asked):
                found.wrong.append(f"{asked.method} {asked.rid} {wrong}")
    known = {asked.rid for asked in heard.acknowledged}
    doubtful = heard.unanswered + sum(count for text, count in heard.refused.items() if IN_DOUBT in text)
    unknown = len(stage.evidence.started() - known)
    found.refused += heard.refused.total()
    found.run_all_the_same += max(0, unknown - doubtful)


def _wrong(stage: Stage, client: Client, asked: Asked) -> str:
    document, starts = _until_final(client, asked.rid), stage.evidence.starts(asked.rid)
    if document is None:
        return "is not there"
    if document["status_name"] != "finished" or len(starts) != 1:
        return f"is {document['status_name']}, started as {starts}: {client.details(asked.rid)}"
    return ""


def _stuck(server: PostgresServer) -> list[str]:
    """The rows that are not final, though all that was acknowledged is."""
    store = SqlStore(server.url(driver="postgresql"))
    deadline = time.monotonic() + RESUME_SECONDS
    try:
        while True:
            held, queued = store.abandoned(float("inf"), 0, PAGE), store.count_queued()
            if not (held or queued) or time.monotonic() > deadline:
                return [f"{record.rid} is {record.status.label}" for record in held] + ["queued"] * queued
            time.sleep(0.1)
    finally:
        store.close()


def _tell(card: Card, restarts: int, found: _Found) -> None:
    note = f"requests, in {restarts} restarts"
    card.remarks(found.wrong + found.stuck + found.slow)
    card.line(
        "PostgreSQL restarted: acknowledged = found = finished, by one start",
        n=max(1, found.requests),
        failures=len(found.wrong) if found.requests else 1,
        note=note,
    )
    card.line(
        "and what was refused is not run",
        n=max(1, found.refused),
        failures=min(max(1, found.refused), found.run_all_the_same),
        note="refusals",
    )
    late = sum(seconds > RESUME_SECONDS for seconds in found.resumed)
    card.line(f"and work goes on within {RESUME_SECONDS:g} s", n=restarts, failures=late, note=spread(found.resumed))
    rows = max(1, found.requests)
    card.line("and no row is stuck", n=rows, failures=min(rows, len(found.stuck)), note="rows")


def _fall_silent(card: Card, folder: Path, silences: int) -> None:
    """Connections that are open and dead: none of them may keep a client waiting for ever."""
    found = _Found()
    with borrowed.postgres() as server, borrowed.silent_proxy(server.connect) as proxy:
        store = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        with Stage(folder, "asgi", None, store=store, **SETTINGS) as stage:
            stage.web()
            load = Load(stage.client, CLIENTS, per_second=PER_SECOND)
            with load.running() as heard:
                for _ in range(silences):
                    time.sleep(random.uniform(0.5, 2))
                    proxy.fall_silent()
                    _resumes(stage, heard, found)
            _check(stage, heard, found)
            found.stuck += _stuck(server)
    card.remarks(found.wrong + found.stuck)
    card.line(
        "PostgreSQL silent: acknowledged = found = finished, by one start",
        n=max(1, found.requests),
        failures=min(max(1, found.requests), len(found.wrong) + len(found.stuck)),
        note=f"requests, in {silences} silences",
    )
    late = sum(seconds > SILENT_SECONDS for seconds in found.resumed)
    card.line(f"and it is given up within {SILENT_SECONDS:g} s", n=silences, failures=late, note=spread(found.resumed))
