"""8 servers on one SQLite store, all of them accepting, running, answering and deleting, for minutes.

No client ever hears that the database is locked, or of any other trouble with the store, and no server has it in its
log; every request that was acknowledged comes to its end.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

from ..card import Card
from ..client import Client
from ..load import Asked, Load, told
from ..sizes import Size, Sizes
from ..stage import Stage

SIZES = {
    "crowd_seconds": Size(of="seconds that the crowd writes", fast=6, full=300),
    "crowd_servers": Size(of="servers on one store", fast=8, full=8),
}

CLIENTS = 16
DELETED = 0.2
SETTINGS = {"max_queued": "1000000", "concurrency": "4", "min_free_bytes": "0"}
SIGNS = ("database is locked", "database table is locked", "store is locked")


class _Visits:
    """What clients do with what was acknowledged: look, take the result, now and then delete it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.wrong: Counter[str] = Counter()
        self.deleted: set[str] = set()

    def visit(self, client: Client, asked: Asked) -> None:
        self._expect(client, "GET", f"/bgrs/{asked.rid}", 200)
        if random.random() < DELETED:
            client.until_final(asked.rid)
            self._expect(client, "GET", f"/bgrs/{asked.rid}/result", 200)
            self._expect(client, "DELETE", f"/bgrs/{asked.rid}", 204)
            self.deleted.add(asked.rid)

    def _expect(self, client: Client, method: str, target: str, status: int) -> None:
        answer = client.call(method, target)
        with self._lock:
            self.calls += 1
            if answer.status != status:
                self.wrong[f"{method}: {told(answer)}"] += 1


def run(card: Card, folder: Path, sizes: Sizes) -> None:
    """Let them write, and count what clients were told."""
    servers, visits = sizes["crowd_servers"], _Visits()
    with Stage(folder, "asgi", None, **SETTINGS) as stage:
        processes = [stage.web() for _ in range(servers)]
        load = Load(stage.client, CLIENTS)
        with load.running(visits.visit) as heard:
            time.sleep(sizes["crowd_seconds"])
        with stage.client() as client:
            open_ends = [
                f"{asked.rid} is {document and document['status_name']}"
                for asked in heard.acknowledged
                if asked.rid not in visits.deleted
                and ((document := client.until_final(asked.rid)) is None or document["status_name"] != "finished")
            ]
        in_logs = [sign for process in processes for sign in SIGNS if sign in process.log().lower()]
    wrong = heard.refused + visits.wrong
    card.remarks([f"{count} times {text}" for text, count in wrong.items()] + in_logs + open_ends)
    calls = heard.asked + visits.calls
    failures = wrong.total() + heard.unanswered + len(in_logs)
    card.line(
        f"{servers} servers write on one SQLite: nobody hears of a lock",
        n=calls,
        failures=min(calls, failures),
        note=f"calls of {CLIENTS} clients in {sizes['crowd_seconds']} s",
    )
    acknowledged = len(heard.acknowledged)
    card.line(
        "and all that was acknowledged is finished",
        n=max(1, acknowledged),
        failures=len(open_ends) if acknowledged else 1,
        note="requests",
    )
