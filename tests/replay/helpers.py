"""A replay without a service: a job with real bodies on disk, and a listener that remembers what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgrs_middleware.bodies.base import RequestBody
from bgrs_middleware.bodies.files import FileBodies
from bgrs_middleware.bodies.recorder import Recorder
from bgrs_middleware.models import Captured, Headers
from bgrs_middleware.pending import Pending
from bgrs_middleware.progress import Run
from bgrs_middleware.protocol.message import RequestHead
from bgrs_middleware.replay.asgi import start_replay
from bgrs_middleware.replay.wsgi import run_replay
from bgrs_middleware.service.job import Job

RID = "0123456789abcdef0123456789abcdef"
BODY_NAME = f"{RID}.1.result"
MIB = 1024 * 1024

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class GivenBody(RequestBody):
    """A stored request body; `pieces_of` bytes a piece."""

    def __init__(self, data: bytes = b"", pieces_of: int = 65_536) -> None:
        self.data = data
        self.length = len(data)
        self.pieces_of = pieces_of
        self.closed = 0

    def pieces(self) -> Iterator[bytes]:
        for offset in range(0, len(self.data), self.pieces_of):
            yield self.data[offset : offset + self.pieces_of]

    def close(self) -> None:
        self.closed += 1


@dataclass
class Heard:
    """What the listener was told, and when: `events` is shared with the application under test."""

    events: list[str] = field(default_factory=list)
    captured_response: Captured | None = None
    reason: str | None = None
    stopped: bool | None = None
    committing: Callable[[], Pending[None]] = field(default=lambda: Pending.of(None))

    async def captured(self, captured: Captured) -> None:
        await self.committing()
        assert self.reason is None, "told twice"
        assert self.captured_response is None, "told twice"
        self.events.append("captured")
        self.captured_response = captured

    async def broken(self, reason: str, *, stopped: bool) -> None:
        await self.committing()
        assert self.reason is None, "told twice"
        assert self.captured_response is None, "told twice"
        self.events.append("broken")
        self.reason, self.stopped = reason, stopped

    @property
    def response(self) -> Captured:
        assert self.captured_response is not None, f"not captured: {self.reason}"
        return self.captured_response


@dataclass
class Stage:
    """One job and everything around it."""

    job: Job
    heard: Heard
    bodies: FileBodies
    body: RequestBody

    @property
    def run(self) -> Run:
        return self.job.run

    @property
    def notes(self) -> list[str]:
        """The details that the replay and the application have written. May be asked once."""
        return [text for _, text in self.run.take_notes()]

    @property
    def content(self) -> bytes:
        """The body of the captured response, from memory or from disk."""
        captured = self.heard.response
        if captured.inline is not None:
            assert captured.body_name is None
            return captured.inline
        assert captured.body_name == BODY_NAME
        reader = self.bodies.read(captured.body_name)
        try:
            return reader.read(0, captured.length)
        finally:
            reader.close()

    @property
    def files(self) -> list[str]:
        """What lies in the folder of bodies."""
        return [path.name for path in Path(self.bodies.folder).rglob("*") if path.is_file()]


def head_of(
    method: str = "GET", path: str = "/", query: bytes = b"", headers: Headers = (), **changes: Any
) -> RequestHead:
    """The head of a stored request."""
    return RequestHead(
        **{
            "method": method,
            "path": path,
            "root_path": "",
            "raw_path": path.encode(),
            "query": query,
            "headers": ((b"host", b"shop.example"), *headers),
            "client": ("203.0.113.9", 5555),
            "server": ("shop.example", 80),
            **changes,
        }
    )


def stage(
    folder: Path,
    head: RequestHead | None = None,
    body: bytes | RequestBody = b"",
    *,
    max_result_bytes: int = 1 << 40,
    create_body: Any = None,
) -> Stage:
    """A job on files in `folder`."""
    bodies = FileBodies(str(folder / "bodies"), 0)
    head = head or head_of()
    run = Run(rid=RID, attempt=1, method=head.method, name=head.path, changed=lambda _: None)
    recorder = Recorder(
        body_name=BODY_NAME,
        create_body=create_body or bodies.create,
        max_result_bytes=max_result_bytes,
        derive_progress=run.derive,
    )
    given = body if isinstance(body, RequestBody) else GivenBody(body)
    heard = Heard()
    return Stage(Job(head=head, body=given, run=run, recorder=recorder, listener=heard), heard, bodies, given)


def replay_on_loop(app: AsgiApp, on: Stage, state: dict[str, Any] | None = None) -> Stage:
    """Replay to the end on an event loop of its own."""

    async def main() -> None:
        await start_replay(app, on.job, state=state, loop=asyncio.get_running_loop())

    asyncio.run(main())
    return on


def replay_in_thread(app: Any, on: Stage) -> Stage:
    """Replay to the end in this thread."""
    run_replay(app, on.job)
    return on


async def send_response(send: Any, *pieces: bytes, status: int = 200, headers: Headers = ()) -> None:
    """Send a response piece by piece, from raw ASGI."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def read_request(receive: Any) -> tuple[bytes, list[int]]:
    """The whole body from raw ASGI, and the lengths of its messages."""
    body, lengths = b"", []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        lengths.append(len(message["body"]))
        if not message["more_body"]:
            return body, lengths
