"""One scenario through both doors: each answer has the same status, the same headers in one order, the same bytes.

Only ids of requests and times are replaced before they are compared.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bgrs_middleware import Rule
from bgrs_middleware.models import Status
from bgrs_middleware.orders import Claim, Expire, Release

from .answer import Answer
from .door import KINDS, Door

ANN = [("Authorization", "Bearer ann")]
BEN = [("Authorization", "Bearer ben")]
RID = re.compile(rb"[0-9a-f]{32}")
TIME = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{6}Z)?")
Exchanged = tuple[str, object, object, object]

KEYS = ("a secret that both doors share",)
RULES = (
    Rule(path="/do/ask/{more:path}", methods=("POST",), id_field="processing_id", results_path="/results/{id}"),
    Rule(path="/do/me", methods=("PUT",), wait_seconds=25, type="WHO"),
)


class Transcript:
    """Sends requests and keeps what came, with ids numbered in the order in which they appeared."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.answers: list[Exchanged] = []
        self._names: dict[bytes, bytes] = {}

    def send(self, method: str, target: str, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> Answer:
        answer = self.door.call(method, target, headers or [], body)
        asked = f"{method} {self._plainly(target.encode()).decode()} {headers}"
        named = tuple((name, self._plainly(value)) for name, value in answer.headers)
        self.answers.append((asked, answer.status, named, self._plainly(answer.body)))
        return answer

    def finished(self, target: str, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> str:
        """Ask for the background, wait for the end, and return the rid."""
        rid = self.send("POST", target + "?bgrs=yes", headers, body).rid
        self.door.ended(rid, headers or [])
        return rid

    def _plainly(self, data: bytes) -> bytes:
        named = RID.sub(lambda found: self._names.setdefault(found[0], b"<id %d>" % len(self._names)), data)
        return TIME.sub(b"<time>", named)


def asking(transcript: Transcript) -> None:
    send = transcript.send
    for query in (
        "bgrs=yes",
        "bgrs=perhaps",
        "bgrs=1&bgrs=0",
        "bgrs=yes&wait_for=-1",
        "bgrs=yes&wait_for=x",
        "bgrs=no",
    ):
        send("GET", f"/do/ask?{query}")
    send("GET", "/do/ask", [("Prefer", "handling=lenient, respond-async")])
    send("GET", "/do/ask?bgrs=yes&wait_for=25")
    send("GET", "/do/length:3/send:2?bgrs=yes&wait_for=25")
    send("PUT", "/do/me?x=1")
    accepted = send("POST", "/do/ask/ask?wait_for=0").json()["processing_id"]
    transcript.door.ended(accepted)
    for path in (f"/results/{accepted}", f"/do/ask/ask/{accepted}", "/results/none", f"/results/{'0' * 32}"):
        send("GET", path)
    send("POST", "/do/ask?bgrs=yes", [("Content-Length", "ten")])
    send("POST", "/do/ask?bgrs=yes", None, b"x" * 100_001)
    send("GET", "/do/ask?bgrs=yes", [("X-User", "ben")])
    send("GET", "/do/ask?bgrs=yes", [("X-User", "ben"), *BEN])


def reading(transcript: Transcript) -> None:
    send = transcript.send
    rid = transcript.finished("/do/progress:50:half/item:a:done:really/length:100/send:60/send:40", ANN)
    for headers in (ANN, BEN):
        for path in ("", "/details", "/result", "/details?after=2", "/details?after=x", "?wait_for=1", "?wait_for=x"):
            send("GET", f"/bgrs/{rid}{path}", headers)
        send("GET", f"/bgrs/{rid}/operation", headers)
    send("HEAD", f"/bgrs/{rid}/operation")
    etag = send("HEAD", f"/bgrs/{rid}/result").header("etag") or ""
    for sent in (
        [("Range", "bytes=10-19")],
        [("Range", "bytes=-1")],
        [("Range", "bytes=100-")],
        [("Range", "bytes=0-1,3-4")],
        [("If-None-Match", etag)],
        [("If-Range", etag), ("Range", "bytes=0-0")],
        [("If-Range", '"x"'), ("Range", "bytes=0-0")],
    ):
        send("GET", f"/bgrs/{rid}/result", sent)
        send("HEAD", f"/bgrs/{rid}/result", sent)
    send("HEAD", f"/bgrs/{rid}")
    send("GET", f"/bgrs/{transcript.finished('/do/length:200000/send:200000')}/result", [("Range", "bytes=7-150000")])
    send("GET", f"/bgrs/{transcript.finished('/do/raise:oops')}/result")


def managing(transcript: Transcript) -> None:
    send, door = transcript.send, transcript.door
    failed = transcript.finished("/do/length:9/send:3", ANN)
    finished = transcript.finished("/do/ask", ANN)
    for rid in (failed, finished, "0" * 32, "no-rid"):
        for method, action in (
            ("GET", "/result"),
            ("GET", "/operation"),
            ("POST", "/cancel"),
            ("DELETE", "/result"),
            ("PUT", ""),
            ("GET", "/cancel"),
            ("HEAD", "/retry"),
            ("GET", "/nothing"),
        ):
            send(method, f"/bgrs/{rid}{action}", ANN)
    send("POST", f"/bgrs/{finished}/retry", ANN)
    send("POST", f"/bgrs/{failed}/retry", BEN)
    send("POST", f"/bgrs/{failed}/retry", ANN)
    door.when(failed, lambda document: document["attempt"] == "2" and document["status_name"] == "failed", ANN)
    send("GET", f"/bgrs/{failed}/details", ANN)
    send("DELETE", f"/bgrs/{failed}", BEN)
    for _ in range(2):
        send("DELETE", f"/bgrs/{failed}", ANN)
    for query in ("", "?page_size=1", "?status=finished", "?status=asleep", "?page_size=x", "?page_token=x"):
        send("GET", f"/bgrs{query}", ANN)
        send("GET", f"/bgrs{query}")


def running(transcript: Transcript) -> None:
    send, door = transcript.send, transcript.door
    rid = send("GET", "/do/progress:20:reading/length:100/send:40/gate:a/send:60?bgrs=yes").rid
    door.stage.gate("a").wait_until_reached()
    for path in ("", "/details", "/result"):
        send("GET", f"/bgrs/{rid}{path}")
    send("DELETE", f"/bgrs/{rid}")
    send("POST", f"/bgrs/{rid}/retry")
    send("GET", f"/bgrs/{rid}/result?wait_for=0.01")
    door.release("a")
    door.ended(rid)
    send("GET", f"/bgrs/{rid}/result")


def queued(transcript: Transcript) -> None:
    """With nobody to run what is accepted, and two places in the queue."""
    send, ledger = transcript.send, transcript.door.service
    lost = send("POST", "/do/ask?bgrs=yes").rid
    now = time.time()
    worker = "w" * 32
    ledger._ledger.claim(Claim(worker=worker, limit=1, now=now, lease_until=now + 60)).wait()
    send("GET", f"/bgrs/{lost}")
    send("POST", f"/bgrs/{lost}/cancel")
    release = Release(rid=lost, worker=worker, status=Status.LOST, now=now, died=True, note="lost: its worker died")
    ledger._ledger.release(release).wait()
    expired = send("GET", "/do/ask?bgrs=yes", ANN).rid
    ledger._ledger.expire(Expire(queued_before=now + 60, now=now, limit=9)).wait()
    cancelled = send("GET", "/do/ask?bgrs=yes", ANN).rid
    send("POST", f"/bgrs/{cancelled}/cancel", ANN)
    for rid in (lost, expired, cancelled):
        for path in ("", "/result"):
            send("GET", f"/bgrs/{rid}{path}")
    for _ in range(2):
        send("GET", "/do/ask?bgrs=yes", ANN)
    send("GET", "/do/ask?bgrs=yes")
    send("GET", "/do/ask?bgrs=yes")


def authorize(gateway: Any) -> bool:
    """Nobody who calls themselves ben may."""
    headers = dict(gateway["headers"]) if "headers" in gateway else {}
    said: bytes = headers.get(b"x-user", gateway.get("HTTP_X_USER", "").encode())
    return said != b"ben"


def transcripts(tmp_path: Path, scenario, **settings) -> Iterator[list[Exchanged]]:
    """What each door answered."""
    for kind in KINDS:
        door = Door(
            kind,
            tmp_path / kind,
            rules=RULES,
            secret_keys=KEYS,
            max_body_bytes=100_000,
            authorize=authorize,
            **settings,
        )
        transcript = Transcript(door)
        scenario(transcript)
        door.close()
        yield transcript.answers


def assert_alike(tmp_path: Path, scenario, **settings) -> None:
    asgi, wsgi = transcripts(tmp_path, scenario, **settings)
    assert len(asgi) >= 8
    for one, other in zip(asgi, wsgi, strict=True):
        assert one == other


def test_asking_is_answered_alike(tmp_path: Path) -> None:
    assert_alike(tmp_path, asking)


def test_reading_is_answered_alike(tmp_path: Path) -> None:
    assert_alike(tmp_path, reading)


def test_managing_is_answered_alike(tmp_path: Path) -> None:
    assert_alike(tmp_path, managing)


def test_a_running_one_is_answered_alike(tmp_path: Path) -> None:
    assert_alike(tmp_path, running, access="link")


def test_what_never_ran_and_full_queues_are_answered_alike(tmp_path: Path) -> None:
    assert_alike(tmp_path, queued, executor="worker", max_queued=3, max_queued_per_caller=1, access="link")
