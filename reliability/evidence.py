"""What the oracle answers and writes down, in words that both sides use: the application, and the one who checks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

PIECE_BYTES = 64 * 1024


def answer(rid: str, attempt: int, path: str) -> Iterator[bytes]:
    """The body that an attempt answers with, in pieces; another one for each request and attempt."""
    line = f"worked {rid} {attempt}\n".encode()
    kind, _, count = path.strip("/").partition("/")
    if kind != "bytes":
        yield line
        return
    left = int(count)
    piece = line * (PIECE_BYTES // len(line))
    while left:
        yield piece[:left]
        left -= min(left, len(piece))


class Evidence:
    """What was written down in an oracle's folder. Each look reads what is new since the last. From any thread."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._starts: dict[str, list[int]] = {}
        self._stops: dict[tuple[str, int], float] = {}
        self._start_lines = _Lines(folder / "starts")
        self._stop_lines = _Lines(folder / "stops")

    def starts(self, rid: str) -> list[int]:
        """The attempts at which the application was started for a request, in order."""
        with self._lock:
            for found, attempt in self._start_lines.new():
                self._starts.setdefault(found, []).append(int(attempt))
            return list(self._starts.get(rid, ()))

    def started(self) -> set[str]:
        """All rids that the application was started for."""
        self.starts("")
        return set(self._starts)

    def stopped_at(self, rid: str, attempt: int) -> float | None:
        """When an attempt noticed that it should stop, on the monotonic clock; None where it did not."""
        with self._lock:
            for found, number, at in self._stop_lines.new():
                self._stops[found, int(number)] = float(at)
            return self._stops.get((rid, attempt))


class _Lines:
    """The lines of a file that grows, as words, each once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_bytes = 0

    def new(self) -> Iterator[list[str]]:
        if self._file.exists():
            with self._file.open("rb") as opened:
                opened.seek(self._read_bytes)
                for line in opened:
                    # One that is being written has no end yet.
                    if not line.endswith(b"\n"):
                        return
                    self._read_bytes += len(line)
                    yield line.decode().split()
