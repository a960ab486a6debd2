"""What a process told the kernel, in its order: which rows and bodies were on disk before which answer left.

`strace` stops a process at the beginning and at the end of each call and writes it down before it lets it go on. So in
what it wrote, the order of lines is the order in which things happened, over all threads. A call during which others
began or ended has two lines.
"""

from __future__ import annotations

import codecs
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

START_SECONDS = 10.0
LOOK_SECONDS = 0.01
CALLS = "fdatasync,fsync,pwrite64,rename,sendto,sendmsg,write,writev"
SHOWN_BYTES = 5_000
"""Of each buffer; a page of the database has 4096."""

_LINE = re.compile(rb"(\d+) +(?:<\.\.\. \w+ resumed>|(\w+)\()(.*)")
_RID = re.compile(rb"(?=([0-9a-f]{32}))")
"""Every place where one may begin: a byte before it in the page may happen to look like a part of it."""

_PATH = re.compile(rb"\d+<([^>]*)>")
_TEXT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ANSWER = re.compile(rb'"HTTP/1\.1 202 (?:[^"\\]|\\.)*?/bgrs/([0-9a-f]{32})/result\\r\\n')
_BODY = re.compile(rb"/([0-9a-f]{32})\.request(?:\.[^/]*)?$")
_UNFINISHED = b"<unfinished ...>"
_FRAME_HEADER_BYTES = 24


class CannotTrace(Exception):
    """There is no strace here, or it may not look at other processes; the message says which."""


@contextmanager
def traced(pid: int, file: Path) -> Iterator[None]:
    """Write down what a process and its threads tell the kernel about files and sockets, during the block.

    Raises:
        CannotTrace: that cannot be done here.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise CannotTrace("strace is not installed")
    said = file.with_suffix(".said")
    options = ["-f", "-y", "-s", str(SHOWN_BYTES), "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(file)]
    with said.open("wb") as log:
        process = subprocess.Popen([strace, *options, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=log)
    try:
        _wait_until_attached(process, said)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _wait_until_attached(process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while b" attached" not in said.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotTrace(f"strace may not trace here: {said.read_text(errors='replace').strip()}"[:200])
        time.sleep(LOOK_SECONDS)


@dataclass(slots=True)
class Flushed:
    """What was on disk when each answer left.

    Parameters:
        rows: the rids of the 202s before which the transaction with the rid was written whole to the database's log,
            its commit frame included, and flushed.
        bodies: the rids of the 202s before which their body's file was flushed, then named, then its folder flushed.
        answered: the rids of all 202s.
    """

    rows: set[bytes] = field(default_factory=set)
    bodies: set[bytes] = field(default_factory=set)
    answered: set[bytes] = field(default_factory=set)

    def add(self, other: Flushed) -> None:
        """Take in what another look has found."""
        self.rows |= other.rows
        self.bodies |= other.bodies
        self.answered |= other.answered


class _Call(NamedTuple):
    name: bytes
    begun: bytes
    """The line up to where it was written when the call began."""


def read(lines: Iterable[bytes]) -> Flushed:
    """Read what strace wrote."""
    reader = _Reader()
    under_way: dict[bytes, _Call] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        thread, name, rest = found.groups()
        if name is not None:
            call = under_way[thread] = _Call(name, rest)
            reader.begins(thread, call)
        if not rest.endswith(_UNFINISHED) and thread in under_way:
            reader.ends(thread, under_way.pop(thread), succeeded=b"= -1 " not in rest[-80:])
    return reader.flushed


class _Reader:
    """Follows the calls. Frames of the log are written as a header and a page, one after the other."""

    def __init__(self) -> None:
        self.flushed = Flushed()
        self._commits = False
        """Whether the frame whose page comes next is the last one of its transaction."""
        self._written: set[bytes] = set()
        """Rids in pages of the transaction that is being written."""
        self._committed: set[bytes] = set()
        self._covered: dict[bytes, set[bytes]] = {}
        """What a flush that is under way, by thread, will have flushed."""
        self._rows: set[bytes] = set()
        self._bodies: dict[bytes, int] = {}
        """How far a body's file has come: 1 flushed, 2 named, 3 its folder flushed."""

    def begins(self, thread: bytes, call: _Call) -> None:
        if call.name in (b"fdatasync", b"fsync"):
            self._covered[thread] = set(self._committed)
        elif answer := _ANSWER.search(call.begun):
            rid = answer[1]
            self.flushed.answered.add(rid)
            if rid in self._rows:
                self.flushed.rows.add(rid)
            if self._bodies.get(rid) == 3:
                self.flushed.bodies.add(rid)

    def ends(self, thread: bytes, call: _Call, *, succeeded: bool) -> None:
        if not succeeded:
            return
        path = found[1] if (found := _PATH.match(call.begun)) else b""
        if call.name in (b"fdatasync", b"fsync"):
            self._flush_ends(path, self._covered.pop(thread))
        elif call.name == b"pwrite64" and path.endswith(b"-wal"):
            self._frame(call.begun)
        elif call.name == b"rename":
            self._rename(call.begun)

    def _flush_ends(self, path: bytes, covered: set[bytes]) -> None:
        if path.endswith(b"-wal"):
            self._rows |= covered
        elif body := _BODY.search(path):
            self._bodies[body[1]] = 1
        elif b"/bodies/" in path:
            for rid, stage in self._bodies.items():
                if stage == 2 and path.endswith(b"/" + rid[:2]):
                    self._bodies[rid] = 3

    def _frame(self, begun: bytes) -> None:
        text = _TEXT.search(begun)
        if text is None:
            return
        data = codecs.escape_decode(text[1])[0]
        if len(data) == _FRAME_HEADER_BYTES:
            # Bytes 4 to 7: the pages of the database after a commit, and 0 in all other frames (SQLite, "WAL format").
            self._commits = any(data[4:8])
            return
        self._written.update(_RID.findall(data))
        if self._commits:
            self._committed |= self._written
            self._written, self._commits = set(), False

    def _rename(self, begun: bytes) -> None:
        names = _TEXT.findall(begun)
        if len(names) == 2 and (body := _BODY.search(names[1])) and self._bodies.get(body[1]) == 1:
            self._bodies[body[1]] = 2
