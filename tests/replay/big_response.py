"""Run as a program: captures one huge response and prints by how many KiB the process grew, at its peak.

A program of its own, because the peak of a process never comes down again. Arguments: `asgi` or `wsgi`, MiB, folder.
"""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replay.helpers import MIB, GivenBody, head_of, replay_in_thread, replay_on_loop, stage

PIECE = bytes(256) * 256


class HugeBody(GivenBody):
    """An upload that lies nowhere."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def pieces(self) -> Iterator[bytes]:
        for _ in range(self.length // len(PIECE)):
            yield PIECE


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


def wsgi_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    while piece := environ["wsgi.input"].read(len(PIECE)):
        yield piece


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def replay(gateway: str, folder: Path, length: int) -> int:
    """Replay an upload that is sent back as it comes; returns the length captured."""
    folder.mkdir()
    on = stage(folder, head_of("POST"), HugeBody(length))
    if gateway == "asgi":
        replay_on_loop(asgi_app, on)
    else:
        replay_in_thread(wsgi_app, on)
    shutil.rmtree(folder)
    return on.heard.response.length


if __name__ == "__main__":
    kind, mebibytes, where = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    replay(kind, where / "first", 8 * MIB)
    before = peak_kib()
    assert replay(kind, where / "second", mebibytes * MIB) == mebibytes * MIB
    sys.stdout.write(f"{peak_kib() - before}\n")
