"""The process in which capturing is measured: a plain write, then a capture, in turns; prints its figures as JSON.

A task that asks to be woken each millisecond tells how long the loop was kept from it. The plain write is made by a
thread, so that the same task shows what the machine itself does to the loop meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from bgrs_middleware.asgi import BgrsMiddleware

from .machine import MIB, memory_mib, reset_peak_memory, use_all_cores
from .served import PIECE, stream

TICK_SECONDS = 0.001


class Stalls:
    """The longest time that the loop came late, in milliseconds, while the `async with` block ran."""

    longest_ms = 0.0

    async def __aenter__(self) -> Stalls:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        # Once more, so that a stall at the very end is seen too.
        await asyncio.sleep(2 * TICK_SECONDS)
        self._task.cancel()

    async def _tick(self) -> None:
        last = perf_counter()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = perf_counter()
            self.longest_ms = max(self.longest_ms, (now - last - TICK_SECONDS) * 1e3)
            last = now


async def call(app: Any, method: str, path: str, query: bytes = b"") -> tuple[int, bytes]:
    """Call an ASGI application; the response's status and body."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
    }
    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    return status, body


def write_plainly(path: str, length: int) -> float:
    """Write so many bytes in the same pieces, flush, and give the file its name; MiB/s."""
    started = perf_counter()
    number = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    for _ in range(length // len(PIECE)):
        os.write(number, PIECE)
    os.fsync(number)
    os.close(number)
    os.rename(f"{path}.tmp", path)
    return length / MIB / (perf_counter() - started)


async def capture(app: Any, length: int) -> float:
    """Let the response be captured; MiB/s from the request to the end of the record. What was captured is deleted."""
    started = perf_counter()
    _, body = await call(app, "GET", "/stream", b"bgrs=yes")
    rid = json.loads(body)["request"]
    status = "queued"
    while status in ("queued", "running"):
        _, body = await call(app, "GET", f"/bgrs/{rid}", b"wait_for=20")
        status = json.loads(body)[0]["status_name"]
    elapsed = perf_counter() - started
    if status != "finished":
        raise RuntimeError(f"the response was not captured: {body!r}")
    await call(app, "DELETE", f"/bgrs/{rid}")
    return length / MIB / elapsed


async def measure(folder: str, rounds: int, length: int) -> dict[str, Any]:
    """All rounds; speeds in MiB/s, stalls in milliseconds, memory in MiB."""

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await stream(send, length if scope["path"] == "/stream" else len(PIECE))

    app = BgrsMiddleware(endpoint, data_dir=os.path.join(folder, "data"))
    plain_path = os.path.join(folder, "plain")
    figures: dict[str, Any] = {"plain": [], "captured": [], "plain_stalls": [], "stalls": [], "memory": 0.0}
    # Opens the service and warms up what is imported at first use.
    await call(app, "GET", "/small", b"bgrs=yes&wait_for=20")
    for _ in range(rounds):
        async with Stalls() as plain_stalls:
            figures["plain"].append(await asyncio.to_thread(write_plainly, plain_path, length))
        await asyncio.to_thread(os.unlink, plain_path)
        before = memory_mib("self", "VmRSS")
        reset_peak_memory("self")
        async with Stalls() as stalls:
            figures["captured"].append(await capture(app, length))
        figures["memory"] = max(figures["memory"], memory_mib("self", "VmHWM") - before)
        figures["plain_stalls"].append(plain_stalls.longest_ms)
        figures["stalls"].append(stalls.longest_ms)
    return figures


def main() -> None:
    """Measure what the command line says, and print the figures."""
    use_all_cores()
    folder, rounds, length = sys.argv[1:]
    factory = None
    if find_spec("uvloop"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        figures = runner.run(measure(folder, int(rounds), int(length)))
    sys.stdout.write(json.dumps(figures))
    sys.stdout.flush()
    # The service's threads end with the process; there was no lifespan to close it.
    os._exit(0)


if __name__ == "__main__":
    main()
